//! `show`: one capture in full.

use super::annotations::{self, AnnotationShape};
use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session, words as sentences};
use serde::Serialize;
use snaptrak::{
    AssetDetail, AssetId, AssetState, CaptureDetail, CaptureId, CaptureMetadata, Finding, FindingBox, PieceDetail,
    ReasonCode, Rendition, Sha256Digest, StageMs, StepDetail, StepKind, StepState, Task,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
}

#[derive(Serialize)]
struct Shape {
    id: CaptureId,
    metadata: CaptureMetadata,
    /// Its bytes are to stay on this device.
    pinned: bool,
    assets: Vec<AssetShape>,
    findings: Vec<FindingShape>,
    annotations: Vec<AnnotationShape>,
    steps: Vec<StepShape>,
}

#[derive(Serialize)]
struct AssetShape {
    asset_id: AssetId,
    rendition: Rendition,
    state: AssetState,
    bytes: u64,
    /// Known once the asset is whole: a recording that goes on has none.
    sha256: Option<Sha256Digest>,
    pieces: Vec<PieceShape>,
}

#[derive(Serialize)]
struct PieceShape {
    index: u32,
    /// The sealed file; absent for a note, whose piece is a row, and once purged.
    path: Option<String>,
    bytes: u64,
    sha256: Sha256Digest,
}

#[derive(Serialize)]
struct FindingShape {
    task: Task,
    model_id: String,
    model_sha256: Sha256Digest,
    engine: String,
    accelerator_asked: String,
    accelerator_ran: String,
    ms: StageMs,
    boxes: Vec<FindingBox>,
    text: Option<String>,
}

#[derive(Serialize)]
struct StepShape {
    step: StepKind,
    /// Which piece it sends, if it sends one.
    piece: Option<u32>,
    state: StepState,
    attempts: u32,
    code: Option<ReasonCode>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let detail = session::with_store(globals, output, |sdk| Ok(sdk.show(arguments.id)?))?;
    output.result("snaptrak.show/1", &shape(detail), words)?;
    Ok(Exit::Done)
}

fn shape(detail: CaptureDetail) -> Shape {
    Shape {
        id: detail.metadata.capture_id,
        metadata: detail.metadata,
        pinned: detail.pinned,
        assets: detail.assets.into_iter().map(asset).collect(),
        findings: detail.findings.into_iter().map(finding).collect(),
        annotations: AnnotationShape::all(detail.annotations),
        steps: detail.steps.into_iter().map(step).collect(),
    }
}

fn asset(asset: AssetDetail) -> AssetShape {
    AssetShape {
        asset_id: asset.asset_id,
        rendition: asset.rendition,
        state: asset.state,
        bytes: asset.bytes,
        sha256: asset.sha256,
        pieces: asset.pieces.into_iter().map(piece).collect(),
    }
}

fn piece(piece: PieceDetail) -> PieceShape {
    PieceShape {
        index: piece.index,
        path: piece.path.map(|path| path.to_string_lossy().into_owned()),
        bytes: piece.bytes,
        sha256: piece.sha256,
    }
}

fn finding(finding: Finding) -> FindingShape {
    FindingShape {
        task: finding.task,
        model_id: finding.model_id,
        model_sha256: finding.model_sha256,
        engine: finding.engine,
        accelerator_asked: finding.accelerator_asked,
        accelerator_ran: finding.accelerator_ran,
        ms: finding.ms,
        boxes: finding.boxes,
        text: finding.text,
    }
}

fn step(step: StepDetail) -> StepShape {
    StepShape {
        step: step.step,
        piece: step.piece,
        state: step.state,
        attempts: step.attempts,
        code: step.reason.map(|reason| reason.code),
    }
}

fn words(shape: &Shape) -> String {
    let mut blocks = vec![metadata_words(&shape.metadata)];
    let assets: Vec<[String; 5]> = shape
        .assets
        .iter()
        .map(|asset| {
            [
                asset.rendition.as_str().to_owned(),
                asset.state.as_str().to_owned(),
                human::size(asset.bytes),
                asset.pieces.len().to_string(),
                asset.sha256.map(|digest| digest.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    blocks.push(human::table(["ASSET", "STATE", "SIZE", "PIECES", "SHA-256"], &assets));
    blocks.extend(shape.findings.iter().map(finding_words));
    if !shape.annotations.is_empty() {
        blocks.push(annotations::words(&shape.annotations));
    }
    let steps: Vec<[String; 4]> = shape
        .steps
        .iter()
        .map(|step| {
            [
                step_name(step),
                step.state.as_str().to_owned(),
                step.attempts.to_string(),
                step.code.map(sentences::of_reason).unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    blocks.push(human::table(["STEP", "STATE", "TRIES", ""], &steps));
    blocks.join("\n\n")
}

fn step_name(step: &StepShape) -> String {
    match step.piece {
        Some(index) => format!("{} {index}", step.step.as_str()),
        None => step.step.as_str().to_owned(),
    }
}

fn metadata_words(metadata: &CaptureMetadata) -> String {
    let mut lines = vec![
        ("capture", metadata.capture_id.to_string()),
        ("kind", format!("{} ({})", metadata.kind.as_str(), metadata.content_type)),
        ("captured", format!("{} UTC", human::moment(metadata.created.unix_ms.0))),
    ];
    lines.extend(metadata.file_name.clone().map(|name| ("file", name)));
    lines.extend(metadata.note.clone().map(|note| ("note", note)));
    if !metadata.tags.is_empty() {
        lines.push(("tags", metadata.tags.join(", ")));
    }
    lines.extend(metadata.project.clone().map(|project| ("project", project)));
    let place = metadata.location.or(metadata.embedded.location);
    lines.extend(place.map(|place| ("place", format!("{:.6}, {:.6}", place.latitude, place.longitude))));
    lines.extend(metadata.embedded.taken_local.clone().map(|taken| ("taken", taken)));
    lines.extend(metadata.ended_because.map(|because| ("ended", sentences::of_end(because).to_owned())));
    lines.extend(metadata.interrupted_at_bytes.map(|bytes| {
        let at = metadata.interrupted_at_ms.map_or_else(String::new, |at| format!(", {} UTC", human::moment(at.0)));
        ("broke off", format!("after {bytes} bytes{at}"))
    }));
    let lines: Vec<String> =
        lines.into_iter().map(|(name, value)| format!("{name:<9} {}", human::printable(&value))).collect();
    lines.join("\n")
}

fn finding_words(finding: &FindingShape) -> String {
    let ms = finding.ms;
    let head = human::printable(&format!(
        "{} by {} on {} ({}), {:.0} ms",
        finding.task.as_str(),
        finding.model_id,
        finding.engine,
        finding.accelerator_ran,
        ms.decode + ms.pack + ms.run + ms.post
    ));
    if finding.boxes.is_empty() && finding.text.is_none() {
        return format!("{head}: nothing");
    }
    let rows: Vec<[String; 3]> = finding
        .boxes
        .iter()
        .map(|found| {
            let place = format!("{:.0},{:.0} {:.0}x{:.0}", found.x, found.y, found.w, found.h);
            [format!("  {}", found.label), format!("{:.0} %", found.score * 100.0), place]
        })
        .collect();
    let mut words = head;
    if !rows.is_empty() {
        words = format!("{words}\n{}", human::table(["  LABEL", "SCORE", "X,Y WxH"], &rows));
    }
    if let Some(text) = &finding.text {
        words = format!("{words}\n{}", human::printable(text));
    }
    words
}
