//! A version's folder: what must be in it for this device, and whether it is.

use super::golden::{self, Golden};
use super::manifest::{Manifest, ManifestError};
use super::rollout::parse_for_device;
use super::verify::{VerifyError, check_file};
use snaptrak_domain::{DeviceId, Sha256Digest};
use std::{collections::BTreeMap, path::Path};

/// The models of one version as this device has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Those that are rolled out to this device.
    pub manifest: Manifest,
    /// What they must answer, where the manifest says it.
    pub(super) goldens: BTreeMap<String, Golden>,
    /// The files that the device's engines need.
    pub(super) files: Vec<WantedFile>,
}

/// A file and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedFile {
    pub(super) model_id: String,
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Digest,
}

impl Candidate {
    /// Reads a manifest for a device that has these engines.
    pub(super) fn read(bytes: &[u8], device_id: DeviceId, engines: &[String]) -> Result<Self, ManifestError> {
        let manifest = parse_for_device(bytes, device_id)?;
        let goldens = golden::parse(bytes, &manifest)?;
        let mut files: Vec<WantedFile> = Vec::new();
        for model in &manifest.models {
            let variants = || model.variants.iter().filter(|variant| engines.contains(&variant.engine));
            if variants().next().is_none() {
                let what = "it has no file for an engine of this device";
                return Err(ManifestError::Invalid { model_id: model.id.clone(), what });
            }
            let weights = variants().map(|variant| (&variant.file, variant.bytes, variant.sha256));
            let golden =
                goldens.get(&model.id).into_iter().flat_map(|golden| golden.inputs.iter().chain(&golden.outputs));
            let golden = golden.map(|tensor| (&tensor.file, tensor.bytes, tensor.sha256));
            for (file, bytes, sha256) in weights.chain(golden) {
                let wanted = WantedFile { model_id: model.id.clone(), file: file.clone(), bytes, sha256 };
                let same = files.iter().find(|other| other.file.eq_ignore_ascii_case(file));
                match same {
                    Some(other) if (&other.file, other.bytes, other.sha256) == (file, bytes, sha256) => {}
                    Some(_) => {
                        let what = "two files have one name";
                        return Err(ManifestError::Invalid { model_id: model.id.clone(), what });
                    }
                    None => files.push(wanted),
                }
            }
        }
        Ok(Self { manifest, goldens, files })
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Whether every file is there and what it must be.
    pub(super) fn verify(&self, folder: &Path) -> Result<(), VerifyError> {
        self.files
            .iter()
            .try_for_each(|file| check_file(&folder.join(&file.file), &file.model_id, file.bytes, file.sha256))
    }
}
