//! A model's golden input and the output that it must give, as files beside the model.
//!
//! An entry of the manifest may say
//! `"self_test": {"inputs": [{"name", "file", "bytes", "sha256"}], "outputs": [{"name", "file", "bytes", "sha256"}]}`: each file
//! holds the 32-bit floats of one tensor of the entry, little-endian, in the order of its shape.

use super::manifest::{Manifest, ManifestError, ModelEntry};
use super::validate::is_plain_name;
use serde::Deserialize;
use snaptrak_domain::{Sha256Digest, engine::Tensor};
use std::{collections::BTreeMap, io, path::Path};

const VALUE_BYTES: usize = 4;

/// Of one model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Golden {
    pub(super) inputs: Vec<GoldenTensor>,
    pub(super) outputs: Vec<GoldenTensor>,
}

/// One tensor's file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct GoldenTensor {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Digest,
}

/// Of a manifest's models, those that have one, by the model's id.
pub(super) fn parse(bytes: &[u8], manifest: &Manifest) -> Result<BTreeMap<String, Golden>, ManifestError> {
    #[derive(Deserialize)]
    struct Goldens {
        models: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        self_test: Option<Golden>,
    }
    let Goldens { models } = serde_json::from_slice(bytes).map_err(|source| ManifestError::Malformed { source })?;
    let goldens: BTreeMap<_, _> = models.into_iter().filter_map(|entry| Some((entry.id, entry.self_test?))).collect();
    for model in &manifest.models {
        let Some(golden) = goldens.get(&model.id) else { continue };
        let invalid = |what| ManifestError::Invalid { model_id: model.id.clone(), what };
        check(model, golden).map_err(invalid)?;
    }
    Ok(goldens)
}

fn check(model: &ModelEntry, golden: &Golden) -> Result<(), &'static str> {
    let tensors = || golden.inputs.iter().chain(&golden.outputs);
    if !tensors().all(|tensor| is_plain_name(&tensor.file)) {
        return Err("a file's name is not a plain name inside the folder");
    }
    if !model.inputs.iter().all(|input| golden.inputs.iter().any(|tensor| tensor.name == input.name)) {
        return Err("the self-test lacks an input");
    }
    if golden.outputs.is_empty() {
        return Err("the self-test has no output");
    }
    let fits = |tensor: &GoldenTensor| {
        let values = shape(model, &tensor.name).map(|shape| shape.iter().product::<usize>());
        values.and_then(|values| values.checked_mul(VALUE_BYTES)).is_some_and(|bytes| bytes as u64 == tensor.bytes)
    };
    if tensors().all(fits) { Ok(()) } else { Err("a tensor of the self-test does not fit the model's") }
}

fn shape<'a>(model: &'a ModelEntry, name: &str) -> Option<&'a [usize]> {
    let inputs = model.inputs.iter().map(|input| (&input.name, &input.shape));
    let outputs = model.outputs.iter().map(|output| (&output.name, &output.shape));
    inputs.chain(outputs).find(|(found, _)| *found == name).map(|(_, shape)| shape.as_slice())
}

impl GoldenTensor {
    /// Reads it, from a folder whose files were compared with the manifest.
    pub(super) fn read(&self, folder: &Path, model: &ModelEntry) -> io::Result<Tensor> {
        let bytes = std::fs::read(folder.join(&self.file))?;
        let (values, _) = bytes.as_chunks::<VALUE_BYTES>();
        let data = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Ok(Tensor { name: self.name.clone(), shape: shape(model, &self.name).unwrap_or_default().to_vec(), data })
    }
}
