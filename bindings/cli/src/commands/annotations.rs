//! `annotations`: what people say of a capture after it was taken.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session};
use serde::Serialize;
use snaptrak::{Annotation, CaptureId, DeviceId, FieldName};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
    /// Write a field; may be given several times
    #[arg(long, value_name = "FIELD=VALUE", value_parser = assignment)]
    set: Vec<(FieldName, String)>,
    /// Remove a field; may be given several times
    #[arg(long, value_name = "FIELD", value_parser = str::parse::<FieldName>)]
    remove: Vec<FieldName>,
}

#[derive(Serialize)]
struct Shape {
    id: CaptureId,
    annotations: Vec<AnnotationShape>,
}

/// One field, here and in `show`.
#[derive(Serialize)]
pub(super) struct AnnotationShape {
    pub(super) field: FieldName,
    pub(super) value: String,
    written_ms: i64,
    device: DeviceId,
}

impl AnnotationShape {
    /// Those that say something.
    pub(super) fn all(annotations: Vec<Annotation>) -> Vec<Self> {
        let shape = |one: Annotation| {
            let (written_ms, device) = (one.at.unix_ms.0, one.at.device_id);
            one.value.map(|value| Self { field: one.field, value, written_ms, device })
        };
        annotations.into_iter().filter_map(shape).collect()
    }
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let id = arguments.id;
    let set = arguments.set.iter().cloned().map(|(field, value)| (field, Some(value)));
    let fields: Vec<_> = set.chain(arguments.remove.iter().cloned().map(|field| (field, None))).collect();
    let detail = session::with_store(globals, output, |sdk| {
        if !fields.is_empty() {
            sdk.set_annotations(id, fields)?;
        }
        Ok(sdk.show(id)?)
    })?;
    let shape = Shape { id, annotations: AnnotationShape::all(detail.annotations) };
    output.result("snaptrak.annotations/1", &shape, |shape| {
        if shape.annotations.is_empty() {
            return "no annotations".to_owned();
        }
        words(&shape.annotations)
    })?;
    Ok(Exit::Done)
}

/// A table of the fields.
pub(super) fn words(annotations: &[AnnotationShape]) -> String {
    let row = |one: &AnnotationShape| {
        let written = format!("{} UTC", human::moment(one.written_ms));
        [one.field.to_string(), human::printable(&one.value), written]
    };
    human::table(["FIELD", "VALUE", "WRITTEN"], &annotations.iter().map(row).collect::<Vec<_>>())
}

fn assignment(text: &str) -> Result<(FieldName, String), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    Ok((field.parse().map_err(|error: snaptrak::FieldNameError| error.to_string())?, value.to_owned()))
}
