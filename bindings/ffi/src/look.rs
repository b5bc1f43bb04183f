//! Looking at what is there.

use crate::{
    AssetState, Cancellation, Kind, Location, Rendition, SnapTrak, SnapTrakError, StepState, cancellation::Waiting, ids,
};
use snaptrak::{CancelToken, ErrorCode, PictureFormat};
use std::{collections::HashMap, fs::OpenOptions, path::Path, sync::Arc};

/// Captures of a page when the app does not say how many.
const PAGE_DEFAULT: u32 = 100;

/// A capture as lists show it.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct CaptureSummary {
    /// The capture, a UUID.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// State of its original.
    pub state: AssetState,
    /// When it was captured, Unix time in milliseconds.
    pub created_ms: i64,
    /// Plaintext bytes of the original.
    pub bytes: u64,
    /// SHA-256 of the original; nothing while it is being recorded.
    pub sha256: Option<String>,
}

/// Some captures, oldest first.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Page {
    /// The captures.
    pub captures: Vec<CaptureSummary>,
    /// Give it as `after` for the next page; nothing: this was the last.
    pub next: Option<String>,
}

/// A capture with everything that hangs on it.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct CaptureDetail {
    /// The capture, a UUID.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Media type by content.
    pub content_type: String,
    /// When it was captured, Unix time in milliseconds.
    pub created_ms: i64,
    /// The name that the file had.
    pub file_name: Option<String>,
    /// What a person wrote about it.
    pub note: Option<String>,
    /// Words for finding it again.
    pub tags: Vec<String>,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// Where the app said it was taken.
    pub location: Option<Location>,
    /// A recording that ended with its process: what was complete by then is all that there is.
    pub interrupted: bool,
    /// Whether its bytes are to stay on this device.
    pub pinned: bool,
    /// Its assets, the original first.
    pub assets: Vec<Asset>,
    /// What was found in it.
    pub findings: Vec<Finding>,
    /// What people said of it later, by field.
    pub annotations: Vec<Annotation>,
    /// What was and is to be done with it.
    pub steps: Vec<Step>,
}

/// A field that somebody wrote about a capture.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Annotation {
    /// Which field; names are the app's.
    pub field: String,
    /// What it says.
    pub value: String,
    /// When it was written, Unix time in milliseconds.
    pub written_ms: i64,
    /// Who wrote it, a device's UUID.
    pub device_id: String,
}

/// A rendition of a capture.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Asset {
    /// The asset, a UUID.
    pub id: String,
    /// Which rendition.
    pub rendition: Rendition,
    /// Where it stands.
    pub state: AssetState,
    /// Plaintext bytes.
    pub bytes: u64,
    /// SHA-256 of the plaintext; nothing while it is being recorded.
    pub sha256: Option<String>,
    /// Its pieces in order.
    pub pieces: Vec<Piece>,
}

/// One sealed piece of an asset.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Piece {
    /// Place in the asset.
    pub index: u32,
    /// Sealed bytes.
    pub bytes: u64,
    /// SHA-256 of the sealed bytes.
    pub sha256: String,
}

/// What one model said of the original.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Finding {
    /// What was asked, as a word: `detect`, `find_faces`, ...
    pub task: String,
    /// Which model.
    pub model_id: String,
    /// SHA-256 of the model's file that ran.
    pub model_sha256: String,
    /// Which engine ran it, with its version.
    pub engine: String,
    /// The accelerator that was asked for.
    pub accelerator_asked: String,
    /// The accelerator that ran.
    pub accelerator_ran: String,
    /// Milliseconds by stage.
    pub ms: StageMs,
    /// Boxes, best first.
    pub boxes: Vec<Box2d>,
    /// Text that was read.
    pub text: Option<String>,
}

/// Milliseconds of each stage.
#[derive(Debug, Clone, Copy, PartialEq, uniffi::Record)]
pub struct StageMs {
    /// Opening and decoding the picture.
    pub decode: f64,
    /// Pixels into the input tensor.
    pub pack: f64,
    /// The engine's run.
    pub run: f64,
    /// Tensors into findings.
    pub post: f64,
}

/// A box in pixels of the upright original picture; (x, y) is its upper left corner.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Box2d {
    /// What it is.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// One unit of work on a capture.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Step {
    /// What, as a word: `analyse`, `send_piece`, ...
    pub step: String,
    /// For which piece.
    pub piece: Option<u32>,
    /// Where it stands.
    pub state: StepState,
    /// Attempts that counted.
    pub attempts: u32,
    /// Why it waits or is parked: a reason code.
    pub code: Option<String>,
}

/// How the store stands.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Status {
    /// Captures that are still on their way.
    pub waiting: u64,
    /// Sealed bytes of theirs that the server does not hold yet.
    pub waiting_bytes: u64,
    /// When the oldest of them was captured, Unix time in milliseconds.
    pub oldest_ms: Option<i64>,
    /// Captures by the word of their state; every state is there.
    pub by_state: HashMap<String, u64>,
    /// What was set aside, oldest first, at most a thousand.
    pub parked: Vec<ParkedStep>,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A step that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ParkedStep {
    /// Of which capture, a UUID.
    pub id: String,
    /// Which step, as a word.
    pub step: String,
    /// Why: a reason code.
    pub code: String,
}

/// Why a capture is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Why {
    /// State of its original.
    pub state: AssetState,
    /// Why: a reason code. Words in a person's language are the app's.
    pub code: String,
    /// Parameters of the reason, never contents of a capture.
    pub parameters: HashMap<String, String>,
    /// Since when, Unix time in milliseconds.
    pub since_ms: i64,
    /// When something will be tried again by itself.
    pub next_try_ms: Option<i64>,
    /// What would let it go on, as a word.
    pub unblocked_by: String,
    /// What the server answered last, if it is the reason.
    pub server_status: Option<u16>,
}

/// An original that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Viewed {
    /// SHA-256 of what was written; it was compared with the one taken at capture.
    pub sha256: String,
}

#[uniffi::export]
impl SnapTrak {
    /// Captures in order of arrival, oldest first, 1 to 1,000 of them; `after` is the `next` of the page before.
    #[uniffi::method(default(state = None, limit = None, after = None))]
    pub async fn list(
        &self,
        state: Option<AssetState>,
        limit: Option<u32>,
        after: Option<String>,
    ) -> Result<Page, SnapTrakError> {
        let after = after.as_deref().map(ids::cursor).transpose()?;
        let limit = limit.unwrap_or(PAGE_DEFAULT) as usize;
        self.run(move |core| {
            let page = core.list(state.map(Into::into), limit, after)?;
            let next = page.next.map(|next| next.to_string());
            Ok(Page { captures: page.captures.into_iter().map(Into::into).collect(), next })
        })
        .await
    }

    /// Everything that is known of one capture.
    pub async fn show(&self, id: String) -> Result<CaptureDetail, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        self.run(move |core| Ok(core.show(id)?.into())).await
    }

    /// Writes the original, byte for byte, into a new file that only its owner may read; a file that is there is refused.
    /// Broken off, it leaves no file.
    #[uniffi::method(default(cancellation = None))]
    pub async fn view(
        &self,
        id: String,
        path: String,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Viewed, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, cancel| view(core, id, Path::new(&path), cancel)).await
    }

    /// Up to `length` bytes of the original from `offset`; fewer only at its end. Segments that are not touched are not opened.
    pub async fn read(&self, id: String, offset: u64, length: u32) -> Result<Vec<u8>, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        self.run(move |core| {
            let mut reader = core.reader(id)?;
            let left = reader.length_bytes().saturating_sub(offset).min(u64::from(length));
            let mut bytes = vec![0; usize::try_from(left).unwrap_or_default()];
            let count = reader.read_at(offset, &mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        })
        .await
    }

    /// The upright picture with what was found drawn on it, as JPEG.
    pub async fn annotate(&self, id: String) -> Result<Vec<u8>, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        self.run(move |core| Ok(core.annotate(id, PictureFormat::Jpeg)?)).await
    }

    /// Writes fields of a capture (a value), or removes them (none): all of them or none. They stand in `show`, are durable when the
    /// call returns and come back from a recovery; the capture itself stays what it was. A name is a lowercase letter, then lowercase
    /// letters, digits, `_`, `.` and `-`, 64 characters at most; a value has 16 KiB at most, a capture 64 fields, removed ones
    /// counted. They stay on this device: no server is told of them yet.
    pub async fn set_annotations(
        &self,
        id: String,
        fields: HashMap<String, Option<String>>,
    ) -> Result<(), SnapTrakError> {
        let id = ids::capture_id(&id)?;
        let field = |(name, value): (String, _)| {
            let name = name.parse::<snaptrak::FieldName>();
            Ok((name.map_err(|error| SnapTrakError::new(ErrorCode::InvalidArgument, &error.to_string()))?, value))
        };
        let fields = fields.into_iter().map(field).collect::<Result<_, SnapTrakError>>()?;
        self.run(move |core| Ok(core.set_annotations(id, fields)?)).await
    }

    /// How much is where, what waits and what is parked.
    pub async fn status(&self) -> Result<Status, SnapTrakError> {
        self.run(|core| Ok(core.status()?.into())).await
    }

    /// Why a capture is where it is. There is always an answer.
    pub async fn why_not_uploaded(&self, id: String) -> Result<Why, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        self.run(move |core| Ok(core.why(id)?.into())).await
    }
}

fn view(
    core: &snaptrak::SnapTrak,
    id: snaptrak::CaptureId,
    path: &Path,
    cancel: &CancelToken,
) -> Result<Viewed, SnapTrakError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| {
        let message = format!("the file for the original cannot be made: {}", error.kind());
        SnapTrakError::new(ErrorCode::InvalidArgument, &message)
    })?;
    let viewed = core.view_until(id, &mut file, cancel);
    if viewed.is_err() {
        // A part of an original is worth nothing to whoever asked for all of it.
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, "a part of an original could not be removed");
        }
    }
    Ok(Viewed { sha256: viewed?.to_string() })
}

impl From<snaptrak::CaptureSummary> for CaptureSummary {
    fn from(one: snaptrak::CaptureSummary) -> Self {
        Self {
            id: one.id.to_string(),
            kind: one.kind.into(),
            state: one.state.into(),
            created_ms: one.created.0,
            bytes: one.bytes,
            sha256: one.sha256.map(|digest| digest.to_string()),
        }
    }
}

impl From<snaptrak::CaptureDetail> for CaptureDetail {
    fn from(detail: snaptrak::CaptureDetail) -> Self {
        let snaptrak::CaptureDetail { metadata, pinned, assets, findings, annotations, steps } = detail;
        Self {
            id: metadata.capture_id.to_string(),
            kind: metadata.kind.into(),
            content_type: metadata.content_type,
            created_ms: metadata.created.unix_ms.0,
            file_name: metadata.file_name,
            note: metadata.note,
            tags: metadata.tags,
            project: metadata.project,
            location: metadata.location.map(Into::into),
            interrupted: metadata.interrupted,
            pinned,
            assets: assets.into_iter().map(Into::into).collect(),
            findings: findings.into_iter().map(Into::into).collect(),
            annotations: annotations.into_iter().filter_map(annotation).collect(),
            steps: steps.into_iter().map(Into::into).collect(),
        }
    }
}

/// One that was removed says nothing.
fn annotation(annotation: snaptrak::Annotation) -> Option<Annotation> {
    let snaptrak::Annotation { field, value, at } = annotation;
    Some(Annotation {
        field: field.into(),
        value: value?,
        written_ms: at.unix_ms.0,
        device_id: at.device_id.to_string(),
    })
}

impl From<snaptrak::AssetDetail> for Asset {
    fn from(asset: snaptrak::AssetDetail) -> Self {
        Self {
            id: asset.asset_id.to_string(),
            rendition: asset.rendition.into(),
            state: asset.state.into(),
            bytes: asset.bytes,
            sha256: asset.sha256.map(|digest| digest.to_string()),
            pieces: asset.pieces.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<snaptrak::PieceDetail> for Piece {
    fn from(piece: snaptrak::PieceDetail) -> Self {
        Self { index: piece.index, bytes: piece.bytes, sha256: piece.sha256.to_string() }
    }
}

impl From<snaptrak::Finding> for Finding {
    fn from(finding: snaptrak::Finding) -> Self {
        let snaptrak::StageMs { decode, pack, run, post } = finding.ms;
        Self {
            task: finding.task.as_str().to_owned(),
            model_id: finding.model_id,
            model_sha256: finding.model_sha256.to_string(),
            engine: finding.engine,
            accelerator_asked: finding.accelerator_asked,
            accelerator_ran: finding.accelerator_ran,
            ms: StageMs { decode, pack, run, post },
            boxes: finding.boxes.into_iter().map(Into::into).collect(),
            text: finding.text,
        }
    }
}

impl From<snaptrak::FindingBox> for Box2d {
    fn from(found: snaptrak::FindingBox) -> Self {
        let snaptrak::FindingBox { label, score, x, y, w, h } = found;
        Self { label, score, x, y, w, h }
    }
}

impl From<snaptrak::StepDetail> for Step {
    fn from(step: snaptrak::StepDetail) -> Self {
        Self {
            step: step.step.as_str().to_owned(),
            piece: step.piece,
            state: step.state.into(),
            attempts: step.attempts,
            code: step.reason.map(|reason| reason.code.as_str().to_owned()),
        }
    }
}

impl From<snaptrak::StoreStatus> for Status {
    fn from(status: snaptrak::StoreStatus) -> Self {
        let parked = |one: snaptrak::ParkedStep| ParkedStep {
            id: one.id.to_string(),
            step: one.step.as_str().to_owned(),
            code: one.code.as_str().to_owned(),
        };
        Self {
            waiting: status.waiting,
            waiting_bytes: status.waiting_bytes,
            oldest_ms: status.oldest.map(|time| time.0),
            by_state: status.by_state.into_iter().map(|(word, count)| (word.to_owned(), count)).collect(),
            parked: status.parked.into_iter().map(parked).collect(),
            bytes: status.bytes,
        }
    }
}

impl From<snaptrak::Why> for Why {
    fn from(why: snaptrak::Why) -> Self {
        let (unblocked_by, server_status) = (why.unblocked_by().to_owned(), why.server_status());
        Self {
            state: why.state.into(),
            code: why.reason.code.as_str().to_owned(),
            parameters: why.reason.parameters.into_iter().collect(),
            since_ms: why.since.0,
            next_try_ms: why.next_try.map(|time| time.0),
            unblocked_by,
            server_status,
        }
    }
}
