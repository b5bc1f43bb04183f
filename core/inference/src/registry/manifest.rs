//! `models/manifest.json`: every model with its tensor contract, decoder, labels, licence and files.

use super::decoder::Decoder;
use serde::Deserialize;
use snaptrak_domain::{Sha256Digest, Task};
use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

/// The one schema that this build reads.
pub const MANIFEST_SCHEMA: &str = "snaptrak.models/1";

/// Bytes of a manifest: a model with a thousand labels is some 30 KiB, so this is room for dozens.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is no manifest in the folder.
    #[error("there is no model manifest at {path}")]
    Missing {
        /// Where it was looked for.
        path: String,
    },
    /// The file cannot be read.
    #[error("the model manifest cannot be read")]
    Unreadable {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any manifest.
    #[error("the model manifest is larger than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// A newer or foreign schema: update the app.
    #[error("the model manifest has the schema `{schema}`, this build reads `{MANIFEST_SCHEMA}`")]
    UnknownSchema {
        /// What the file says.
        schema: String,
    },
    /// Not JSON, or not of the schema's shape.
    #[error("the model manifest is malformed")]
    Malformed {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// Well-formed, but what it says cannot be.
    #[error("the model manifest's entry `{model_id}` is invalid: {what}")]
    Invalid {
        /// Which model.
        model_id: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// Always [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// Grows with every change and never goes back.
    pub version: u64,
    /// The models, in the order in which they run.
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModelEntry {
    /// Its name in findings.
    pub id: String,
    /// What it is asked.
    pub task: Task,
    /// Its own version.
    pub version: String,
    /// For people.
    pub title: String,
    /// SPDX expression.
    pub licence: String,
    /// The model card, relative to the manifest's folder.
    pub card: String,
    /// Input tensors.
    pub inputs: Vec<InputContract>,
    /// Output tensors.
    pub outputs: Vec<OutputContract>,
    /// How outputs become boxes.
    pub decoder: Decoder,
    /// From which score on a box counts.
    pub thresholds: Thresholds,
    /// How overlapping boxes are thinned out.
    pub nms: NmsRule,
    /// Boxes kept of one picture.
    pub boxes_max: usize,
    /// Names of the classes, without background.
    pub labels: Vec<String>,
    /// Files, one for each engine and precision.
    pub variants: Vec<Variant>,
    /// How far engines and builds may differ.
    #[serde(default)]
    pub tolerance: Option<Tolerance>,
}

/// What an input tensor looks like and how a picture becomes one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InputContract {
    /// The model's name for it.
    pub name: String,
    /// Type of its values.
    pub dtype: DataType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Order of the sizes.
    pub layout: Layout,
    /// Order of the channels.
    pub colour_order: ColourOrder,
    /// From a byte to the value.
    pub normalisation: Normalisation,
    /// How a picture of other proportions is fitted.
    pub resize: Resize,
    /// With which filter.
    pub resize_filter: ResizeFilter,
    /// The byte in the bars of a letterbox.
    #[serde(default)]
    pub letterbox_value: u8,
}

impl InputContract {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        let at = |index: usize| self.shape.get(index).and_then(|size| u32::try_from(*size).ok()).unwrap_or(0);
        match self.layout {
            Layout::Nhwc => (at(2), at(1)),
            Layout::Nchw => (at(3), at(2)),
        }
    }
}

/// What an output tensor looks like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OutputContract {
    /// The model's name for it.
    pub name: String,
    /// Type of its values.
    pub dtype: DataType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

/// Type of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// 32-bit float.
    F32,
}

/// Order of a picture tensor's sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Batch, height, width, channel.
    Nhwc,
    /// Batch, channel, height, width.
    Nchw,
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// `value = byte * scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Normalisation {
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub offset: f32,
}

/// How a picture of other proportions is fitted into the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Each side by its own factor.
    Stretch,
    /// One factor, in the middle, bars around.
    Letterbox,
}

/// The filter of a resize; always widened by the factor when it makes smaller, or fine patterns become noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// A triangle two pixels wide.
    Bilinear,
}

/// From which score on a box counts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Thresholds {
    /// 0 to 1.
    pub score: f32,
}

/// How overlapping boxes are thinned out.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct NmsRule {
    /// Boxes that overlap more than this (intersection over union) are one thing.
    pub iou: f32,
    /// Whether boxes of different classes leave each other alone.
    pub per_class: bool,
}

/// One file of a model, with what is otherwise in it than the model's entry says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Variant {
    /// The engine that reads it ([`snaptrak_domain::engine::Engine::id`]).
    pub engine: String,
    /// `f32`, `f16`, `int8`.
    pub precision: String,
    /// File name inside the models folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// What this file calls the tensors of the entry, where that is something else.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Output tensors, where the file cuts them otherwise; then there is a decoder for them, too.
    #[serde(default)]
    pub outputs: Option<Vec<OutputContract>>,
    /// How those outputs become boxes.
    #[serde(default)]
    pub decoder: Option<Decoder>,
    /// What this file answers to the wave: a self-test compares with it where the entry has no golden tensors.
    #[serde(default)]
    pub answers: Vec<WaveAnswer>,
}

/// Some values of an output for the one input that needs no file: value i of every input is `(i % 997) * 2 / 996 - 1`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WaveAnswer {
    /// What the file calls the output.
    pub output: String,
    /// Places in it, in the order of its shape.
    pub at: Vec<usize>,
    /// The values there.
    pub values: Vec<f32>,
}

/// How far engines, builds and machines may differ and still agree.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Tolerance {
    /// Largest difference of an output value.
    pub tensor_abs: f32,
    /// Largest difference of a score.
    pub score_abs: f32,
    /// Least overlap of the same box.
    pub iou_min: f32,
}

impl Manifest {
    /// Reads `manifest.json` in `folder`.
    pub fn load(folder: &Path) -> Result<Self, ManifestError> {
        Self::parse(&Self::read_bytes(folder)?)
    }

    /// The bytes of `manifest.json` in `folder`, not read yet for what they say.
    pub(super) fn read_bytes(folder: &Path) -> Result<Vec<u8>, ManifestError> {
        let path = folder.join("manifest.json");
        let file = File::open(&path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                return ManifestError::Missing { path: path.display().to_string() };
            }
            ManifestError::Unreadable { source }
        })?;
        let mut bytes = Vec::new();
        file.take(MANIFEST_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| ManifestError::Unreadable { source })?;
        Ok(bytes)
    }

    /// Reads a manifest's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: String,
        }
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { bytes_max: MANIFEST_BYTES_MAX });
        }
        // The schema is read alone first: what a later one adds must end as "update the app", not as "malformed".
        let malformed = |source| ManifestError::Malformed { source };
        let Schema { schema } = serde_json::from_slice(bytes).map_err(malformed)?;
        if schema != MANIFEST_SCHEMA {
            return Err(ManifestError::UnknownSchema { schema });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        super::validate::validate(&manifest)?;
        Ok(manifest)
    }

    /// The model with this id.
    pub fn model(&self, id: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|model| model.id == id)
    }
}

impl ModelEntry {
    /// The first file that `engine` reads.
    pub fn variant_for(&self, engine: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.engine == engine)
    }

    /// The entry as it holds for this file: its names of the tensors, its outputs, its decoder.
    pub fn as_in(&self, variant: &Variant) -> Self {
        let mut entry = self.clone();
        if let Some(outputs) = &variant.outputs {
            entry.outputs.clone_from(outputs);
        }
        if let Some(decoder) = &variant.decoder {
            entry.decoder = decoder.clone();
        }
        let inputs = entry.inputs.iter_mut().map(|input| &mut input.name);
        let outputs = entry.outputs.iter_mut().map(|output| &mut output.name);
        for name in inputs.chain(outputs).chain(entry.decoder.names_mut()) {
            if let Some(other) = variant.names.get(name) {
                name.clone_from(other);
            }
        }
        entry
    }
}
