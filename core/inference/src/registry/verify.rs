//! Whether a model's file is the one that the manifest names. Done before any parser sees the file.

use super::manifest::{ModelEntry, Variant};
use snaptrak_domain::{Reason, ReasonCode, Sha256Digest, engine::ModelFile};
use std::{fs::File, io::Read as _, path::Path};

/// Bytes read at once: large enough that the disk and not the calls decide.
const READ_BYTES: usize = 256 * 1024;

/// Why a model's file is not used.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file is not there.
    #[error("the model {model_id} is not on this device")]
    Missing {
        /// Which.
        model_id: String,
    },
    /// The file cannot be read.
    #[error("the model {model_id} cannot be read")]
    Unreadable {
        /// Which.
        model_id: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another length than the manifest's.
    #[error("the model {model_id} has {bytes} bytes and not {wanted_bytes}")]
    WrongLength {
        /// Which.
        model_id: String,
        /// What is there.
        bytes: u64,
        /// What the manifest says.
        wanted_bytes: u64,
    },
    /// Another digest than the manifest's.
    #[error("the model {model_id} is not the one of the manifest")]
    WrongDigest {
        /// Which.
        model_id: String,
    },
}

impl VerifyError {
    /// The reason with which a step parks.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing { model_id } => Reason::new(ReasonCode::ModelMissing).with("model", model_id),
            Self::Unreadable { model_id, .. } | Self::WrongLength { model_id, .. } | Self::WrongDigest { model_id } => {
                Reason::new(ReasonCode::ModelDamaged).with("model", model_id)
            }
        }
    }
}

/// Compares length and SHA-256 of `variant`'s file in `folder` with the manifest; the answer is ready for an engine.
pub fn verify(folder: &Path, model: &ModelEntry, variant: &Variant) -> Result<ModelFile, VerifyError> {
    let path = folder.join(&variant.file);
    check_file(&path, &model.id, variant.bytes, variant.sha256)?;
    Ok(ModelFile { path, model_id: model.id.clone() })
}

/// Compares a file of the model with what it must be, the length before a byte is read.
pub(super) fn check_file(
    path: &Path,
    model_id: &str,
    wanted_bytes: u64,
    wanted_sha256: Sha256Digest,
) -> Result<(), VerifyError> {
    let model_id = || model_id.to_owned();
    let unreadable = |source| VerifyError::Unreadable { model_id: model_id(), source };
    let mut file = File::open(path).map_err(|source| {
        if source.kind() == std::io::ErrorKind::NotFound {
            return VerifyError::Missing { model_id: model_id() };
        }
        unreadable(source)
    })?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes != wanted_bytes {
        return Err(VerifyError::WrongLength { model_id: model_id(), bytes, wanted_bytes });
    }
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0_u8; READ_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
    }
    if digest.finish().as_ref() != wanted_sha256.as_bytes() {
        return Err(VerifyError::WrongDigest { model_id: model_id() });
    }
    Ok(())
}
