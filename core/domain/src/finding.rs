//! Findings: what inference said of an asset, and how it came to say so.

use crate::capture::UnknownWord;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a model is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Objects with boxes.
    Detect,
    /// One label for the whole picture.
    Classify,
    /// Text.
    ReadText,
    /// Faces.
    FindFaces,
    /// A vector for similarity.
    Embed,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 5] = [Self::Detect, Self::Classify, Self::ReadText, Self::FindFaces, Self::Embed];

    /// The word in SQL, JSON and the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Classify => "classify",
            Self::ReadText => "read_text",
            Self::FindFaces => "find_faces",
            Self::Embed => "embed",
        }
    }
}

impl FromStr for Task {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|task| task.as_str() == text).ok_or(UnknownWord { what: "task" })
    }
}

/// A box in pixels of the upright original picture; (x, y) is its upper left corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingBox {
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

/// Milliseconds of each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StageMs {
    /// Opening and decoding the picture.
    pub decode: f64,
    /// Turning pixels into the input tensor.
    pub pack: f64,
    /// The engine's run.
    pub run: f64,
    /// Turning tensors into findings.
    pub post: f64,
}

/// What one model said of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was asked.
    pub task: Task,
    /// Which model.
    pub model_id: String,
    /// SHA-256 of the model's file that ran.
    pub model_sha256: crate::Sha256Digest,
    /// Which engine ran it, with its version (`onnxruntime 1.31.1`).
    pub engine: String,
    /// The accelerator that was asked for.
    pub accelerator_asked: String,
    /// The accelerator that ran.
    pub accelerator_ran: String,
    /// Milliseconds by stage.
    pub ms: StageMs,
    /// Boxes, best first.
    pub boxes: Vec<FindingBox>,
    /// Text that was read, if the task reads text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}
