//! What a manifest may say. Everything that later code relies on is checked here, once.

use super::decoder::{BlazefaceLayer, Decoder, SsdDecoder};
use super::manifest::{
    InputContract, Manifest, ManifestError, ModelEntry, OutputContract, Resize, Variant, WaveAnswer,
};
use std::collections::BTreeSet;

/// Models in one manifest: every one may be loaded at once.
const MODELS_MAX: usize = 64;
/// Values in one tensor: 64 MiB of floats, a 2300 x 2300 picture.
const TENSOR_VALUES_MAX: usize = 1 << 24;
/// Pixels of an input's side; keeps a letterbox of a hostile manifest from asking for a huge resize.
const INPUT_SIDE_MAX: usize = 4096;
/// Boxes kept of one picture: thinning out compares each with each.
const BOXES_MAX: usize = 1000;
/// Characters of an id or a file's name.
const NAME_CHARACTERS_MAX: usize = 128;
/// Characters of a label: it is drawn and indexed.
const LABEL_CHARACTERS_MAX: usize = 200;

type Check = Result<(), &'static str>;

pub(super) fn validate(manifest: &Manifest) -> Result<(), ManifestError> {
    let invalid = |model: &ModelEntry, what| ManifestError::Invalid { model_id: model.id.clone(), what };
    let mut ids = BTreeSet::new();
    for (index, model) in manifest.models.iter().enumerate() {
        if index >= MODELS_MAX {
            return Err(invalid(model, "too many models"));
        }
        if !ids.insert(&model.id) {
            return Err(invalid(model, "the id is there twice"));
        }
        check_model(model).map_err(|what| invalid(model, what))?;
    }
    Ok(())
}

fn check_model(model: &ModelEntry) -> Check {
    check(is_plain_name(&model.id), "the id is not a plain name")?;
    check(model.inputs.len() == 1, "a picture model has exactly one input")?;
    model.inputs.iter().try_for_each(check_input)?;
    model.outputs.iter().try_for_each(check_output)?;
    check(in_unit(model.thresholds.score), "the score threshold is not between 0 and 1")?;
    check(in_unit(model.nms.iou), "the overlap is not between 0 and 1")?;
    check((1..=BOXES_MAX).contains(&model.boxes_max), "boxes_max is out of range")?;
    check(!model.labels.is_empty(), "there are no labels")?;
    check(model.labels.iter().all(|label| label.chars().count() <= LABEL_CHARACTERS_MAX), "a label is too long")?;
    check(!model.variants.is_empty(), "there are no files")?;
    check_decoder(model)?;
    model.variants.iter().try_for_each(|variant| check_variant(model, variant))
}

fn check_input(input: &InputContract) -> Check {
    check(input.shape.len() == 4 && input.shape[0] == 1, "an input is not one picture")?;
    check(tensor_fits(&input.shape), "an input is too large or empty")?;
    let (width, height) = input.size();
    check(input.shape.contains(&3) && channels(input) == 3, "an input does not have three channels")?;
    check(width as usize <= INPUT_SIDE_MAX && height as usize <= INPUT_SIDE_MAX, "an input's side is too long")?;
    check(input.normalisation.scale.is_finite() && input.normalisation.offset.is_finite(), "a number is not finite")?;
    let square = width == height;
    check(square || input.resize != Resize::Letterbox, "a letterbox is not square")
}

fn channels(input: &InputContract) -> usize {
    match input.layout {
        super::manifest::Layout::Nhwc => input.shape[3],
        super::manifest::Layout::Nchw => input.shape[1],
    }
}

fn check_output(output: &OutputContract) -> Check {
    check(tensor_fits(&output.shape), "an output is too large or empty")
}

fn check_variant(model: &ModelEntry, variant: &Variant) -> Check {
    check(is_plain_name(&variant.file), "a file's name is not a plain name inside the folder")?;
    check(variant.bytes > 0, "a file has no bytes")?;
    check(variant.outputs.is_some() == variant.decoder.is_some(), "a file has outputs of its own without a decoder")?;
    let outputs = variant.outputs.as_ref().unwrap_or(&model.outputs);
    let is_tensor = |name: &String| {
        model.inputs.iter().any(|input| input.name == *name) || outputs.iter().any(|output| output.name == *name)
    };
    check(variant.names.keys().all(is_tensor), "a file renames a tensor that is not there")?;
    let entry = model.as_in(variant);
    entry.outputs.iter().try_for_each(check_output)?;
    check_decoder(&entry)?;
    check(variant.answers.iter().all(|answer| fits(&entry, answer)), "an answer does not fit the file's outputs")
}

fn fits(entry: &ModelEntry, answer: &WaveAnswer) -> bool {
    let output = entry.outputs.iter().find(|output| output.name == answer.output);
    let length = output.map_or(0, |output| output.shape.iter().product::<usize>());
    !answer.at.is_empty()
        && answer.at.len() == answer.values.len()
        && answer.at.iter().all(|at| *at < length)
        && answer.values.iter().all(|value| value.is_finite())
}

fn check_decoder(model: &ModelEntry) -> Check {
    let shape_of = |name: &str| model.outputs.iter().find(|output| output.name == name).map(|output| &output.shape[..]);
    match &model.decoder {
        Decoder::Ssd(ssd) => {
            let classes = model.labels.len().saturating_add(ssd.background_classes);
            check(
                shape_of(&ssd.boxes) == Some(&[1, ssd.anchors.count, 4]),
                "the boxes' output does not fit the anchors",
            )?;
            let wanted = [1, ssd.anchors.count, classes];
            check(shape_of(&ssd.scores) == Some(&wanted), "the scores' output does not fit anchors and labels")?;
            check_ssd_numbers(ssd)
        }
        Decoder::Blazeface(face) => {
            let side = model.inputs[0].size().0;
            check(model.labels.len() == 1, "a face model has one label")?;
            check(!face.layers.is_empty(), "there are no layers")?;
            let is_empty = |layer: &BlazefaceLayer| layer.stride == 0 || layer.anchors_per_cell == 0;
            check(!face.layers.iter().any(is_empty), "a layer is empty")?;
            face.layers.iter().try_for_each(|layer| {
                let sharing = face.layers.iter().filter(|other| other.scores == layer.scores);
                let rows = sharing.fold(0_usize, |rows, other| rows.saturating_add(other.anchors(side)));
                check(shape_of(&layer.scores) == Some(&[1, rows, 1]), "a layer's scores do not fit its anchors")?;
                check(shape_of(&layer.boxes) == Some(&[1, rows, 16]), "a layer's boxes do not fit its anchors")?;
                let torn = |other: &BlazefaceLayer| (other.scores == layer.scores) != (other.boxes == layer.boxes);
                check(!face.layers.iter().any(torn), "layers share scores without boxes")
            })
        }
    }
}

fn check_ssd_numbers(ssd: &SsdDecoder) -> Check {
    let anchors = &ssd.anchors;
    let scales = [ssd.box_scales.y, ssd.box_scales.x, ssd.box_scales.h, ssd.box_scales.w];
    let shapes = anchors.lowest_layer.iter().flat_map(|shape| [shape.aspect_ratio, shape.scale]);
    let positive = scales
        .into_iter()
        .chain(anchors.aspect_ratios.iter().copied())
        .chain([anchors.scale_min, anchors.scale_max, anchors.interpolated_scale_aspect_ratio])
        .chain(shapes)
        .all(|value| value.is_finite() && value > 0.0);
    check(positive, "a decoder's number is not positive")?;
    check(
        anchors.strides.len() >= 2 && !anchors.strides.contains(&0),
        "the strides are not at least two positive numbers",
    )
}

/// A name that cannot leave its folder on any system: no separator, no parent, no drive, nothing hidden.
pub(super) fn is_plain_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    !name.is_empty() && name.len() <= NAME_CHARACTERS_MAX && !name.starts_with('.') && name.chars().all(allowed)
}

fn tensor_fits(shape: &[usize]) -> bool {
    let product = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    product.is_some_and(|values| (1..=TENSOR_VALUES_MAX).contains(&values))
}

fn in_unit(value: f32) -> bool {
    (0.0..=1.0).contains(&value)
}

fn check(holds: bool, otherwise: &'static str) -> Check {
    if holds { Ok(()) } else { Err(otherwise) }
}
