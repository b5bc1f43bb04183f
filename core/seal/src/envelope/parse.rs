//! Reading an envelope file that anyone may have written.
//!
//! Parsing needs no key and believes nothing; [`UntrustedEnvelope::authenticate`] turns claims into an [`Envelope`]. Length,
//! version and structure are checked before anything is allocated for the content. No input panics.

use ring::hmac;
use serde::Deserialize;
use snaptrak_domain::{AssetId, Sha256Digest};

use super::content::EnvelopeContent;
use super::error::EnvelopeError;
use super::write::Envelope;
use super::{
    ENVELOPE_BYTES_MAX, FILE_END, FORMAT_NAME, FORMAT_VERSION, HMAC_FIELD, HMAC_HEX_BYTES, METADATA_NONCE_BYTES,
    PIECES_MAX, WRAPS_MAX,
};
use crate::data_key::DataKey;
use crate::piece;

/// A well-formed envelope that nobody has vouched for yet. Good enough to find a wrap and to refuse early.
#[derive(Debug, Clone)]
pub struct UntrustedEnvelope {
    content: EnvelopeContent,
    /// The exact bytes that the HMAC covers.
    covered: Vec<u8>,
    hmac: Sha256Digest,
}

impl UntrustedEnvelope {
    /// Reads the exact bytes of an envelope file.
    pub fn parse(file: &[u8]) -> Result<Self, EnvelopeError> {
        if file.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes_max: ENVELOPE_BYTES_MAX });
        }
        check_version(file)?;
        let (covered, hmac) = split_hmac(file)?;
        let closed_object = [covered, b"}"].concat();
        let content: EnvelopeContent =
            serde_json::from_slice(&closed_object).map_err(|_| malformed("not the JSON of an envelope"))?;
        check_rules(&content)?;
        let mut covered = closed_object;
        covered.pop();
        Ok(Self { content, covered, hmac })
    }

    /// What the file claims.
    #[must_use]
    pub fn claims(&self) -> &EnvelopeContent {
        &self.content
    }

    /// Checks the HMAC. Whether the key belongs to the asset that the caller expects is for the caller to compare: the file
    /// names its asset itself.
    pub fn authenticate(self, data_key: &DataKey) -> Result<Envelope, EnvelopeError> {
        let key = mac_key(data_key, self.content.asset_id);
        hmac::verify(&key, &self.covered, self.hmac.as_bytes()).map_err(|_| EnvelopeError::NotAuthentic)?;
        Ok(Envelope::from_authentic(self.content))
    }
}

pub(super) fn mac_key(data_key: &DataKey, asset_id: AssetId) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, data_key.envelope_mac_key(asset_id).as_slice())
}

fn malformed(reason: &'static str) -> EnvelopeError {
    EnvelopeError::Malformed { reason }
}

/// The version comes before every other rule, because a later version may have broken any of them.
fn check_version(file: &[u8]) -> Result<(), EnvelopeError> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let Format { format } = serde_json::from_slice(file).map_err(|_| malformed("not a JSON object with a format"))?;
    let version = format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
    match version {
        Some(FORMAT_VERSION) if format.ends_with("/1") => Ok(()),
        Some(version) if version > FORMAT_VERSION => Err(EnvelopeError::Newer { version }),
        Some(_) | None => Err(malformed("another format")),
    }
}

/// Cuts the file at the last `,"hmac":"`, which must be followed by 64 hexadecimal digits and the end.
fn split_hmac(file: &[u8]) -> Result<(&[u8], Sha256Digest), EnvelopeError> {
    let wrong = || malformed("does not end with an hmac");
    let body = file.strip_suffix(FILE_END).ok_or_else(wrong)?;
    let (rest, hex) = body.split_at_checked(body.len().saturating_sub(HMAC_HEX_BYTES)).ok_or_else(wrong)?;
    let covered = rest.strip_suffix(HMAC_FIELD).ok_or_else(wrong)?;
    let hex = std::str::from_utf8(hex).map_err(|_| wrong())?;
    Ok((covered, hex.parse().map_err(|_| wrong())?))
}

fn check_rules(content: &EnvelopeContent) -> Result<(), EnvelopeError> {
    if content.pieces.len() > PIECES_MAX || content.wraps.len() > WRAPS_MAX {
        return Err(EnvelopeError::Full);
    }
    for (place, entry) in content.pieces.iter().enumerate() {
        if entry.index as usize != place {
            return Err(malformed("pieces are not in order"));
        }
        if piece::plain_bytes(entry.sealed_bytes).is_none() {
            return Err(malformed("a piece has an impossible length"));
        }
    }
    if content.closed && content.pieces.is_empty() {
        return Err(malformed("closed without a piece"));
    }
    if content.metadata.nonce.len() != METADATA_NONCE_BYTES {
        return Err(malformed("the metadata nonce has a wrong length"));
    }
    Ok(())
}
