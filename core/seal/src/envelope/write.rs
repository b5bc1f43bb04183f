//! Making and changing an envelope, and its exact bytes.
//!
//! An envelope is only ever replaced whole: change the value, take [`Envelope::to_bytes`], let the store replace the file.
//! Pieces that are listed never change; wraps, receipts and sealed metadata do.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use snaptrak_domain::{
    AssetId, CaptureId, DeviceId, OrganisationId, Random, Rendition, SealedMetadata, Sha256Digest, UnixMs,
};
use zeroize::Zeroizing;

use super::content::{EnvelopeContent, EnvelopeReceipts, MetadataBox, PieceEntry};
use super::error::EnvelopeError;
use super::parse::mac_key;
use super::{
    ENVELOPE_BYTES_MAX, FILE_END, FORMAT, HMAC_FIELD, METADATA_NONCE_BYTES, PIECES_MAX, WRAPS_MAX,
    metadata_associated_data,
};
use crate::data_key::DataKey;
use crate::piece::{self, SealedPiece};
use crate::wrap::Wrap;

/// What is fixed when an envelope is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEnvelope {
    /// The organisation, if the device is enrolled.
    pub organisation_id: Option<OrganisationId>,
    /// The device that seals.
    pub device_id: DeviceId,
    /// The capture that the asset belongs to.
    pub capture_id: CaptureId,
    /// The asset.
    pub asset_id: AssetId,
    /// Which rendition it is.
    pub rendition: Rendition,
    /// When the capture was taken in.
    pub created_ms: UnixMs,
}

/// An envelope that was made here or that its data key has authenticated.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    content: EnvelopeContent,
}

impl Envelope {
    /// An open envelope without pieces and wraps.
    pub fn create(
        new: NewEnvelope,
        metadata: &SealedMetadata,
        data_key: &DataKey,
        random: &dyn Random,
    ) -> Result<Self, EnvelopeError> {
        let NewEnvelope { organisation_id, device_id, capture_id, asset_id, rendition, created_ms } = new;
        let metadata = seal_metadata(metadata, asset_id, data_key, random)?;
        Ok(Self {
            content: EnvelopeContent {
                format: FORMAT.to_owned(),
                organisation_id,
                device_id,
                capture_id,
                asset_id,
                rendition,
                created_ms,
                pieces: Vec::new(),
                closed: false,
                wraps: Vec::new(),
                metadata,
                receipt: None,
            },
        })
    }

    pub(super) fn from_authentic(content: EnvelopeContent) -> Self {
        Self { content }
    }

    /// What the envelope says.
    #[must_use]
    pub fn content(&self) -> &EnvelopeContent {
        &self.content
    }

    /// Appends the next piece to the list. Its plaintext's length and digest go into the metadata, which the caller seals
    /// again with [`set_metadata`](Self::set_metadata).
    pub fn add_piece(&mut self, piece: &SealedPiece) -> Result<(), EnvelopeError> {
        if self.content.closed {
            return Err(EnvelopeError::Closed);
        }
        if self.content.pieces.len() >= PIECES_MAX {
            return Err(EnvelopeError::Full);
        }
        let expected = self.content.pieces.len() as u32;
        if piece.index != expected {
            return Err(EnvelopeError::PieceOrder { expected, given: piece.index });
        }
        self.content.pieces.push(PieceEntry::from(piece));
        Ok(())
    }

    /// Declares the list of pieces complete. Doing so twice is no error.
    pub fn close(&mut self) -> Result<(), EnvelopeError> {
        if self.content.pieces.is_empty() {
            return Err(EnvelopeError::Malformed { reason: "closed without a piece" });
        }
        self.content.closed = true;
        Ok(())
    }

    /// Names the organisation after enrolment; its wraps follow with [`add_wrap`](Self::add_wrap).
    pub fn enrol(&mut self, organisation_id: OrganisationId) -> Result<(), EnvelopeError> {
        match self.content.organisation_id {
            Some(known) if known != organisation_id => Err(EnvelopeError::OtherOrganisation),
            Some(_) => Ok(()),
            None => {
                self.content.organisation_id = Some(organisation_id);
                Ok(())
            }
        }
    }

    /// Adds a wrap, in place of an earlier one for the same role and key.
    pub fn add_wrap(&mut self, wrap: Wrap) -> Result<(), EnvelopeError> {
        let wraps = &mut self.content.wraps;
        wraps.retain(|known| known.recipient != wrap.recipient || known.key_id != wrap.key_id);
        if wraps.len() >= WRAPS_MAX {
            return Err(EnvelopeError::Full);
        }
        wraps.push(wrap);
        Ok(())
    }

    /// Sets the receipts.
    pub fn set_receipts(&mut self, receipts: EnvelopeReceipts) {
        self.content.receipt = Some(receipts);
    }

    /// Seals the metadata anew, under a new nonce.
    pub fn set_metadata(
        &mut self,
        metadata: &SealedMetadata,
        data_key: &DataKey,
        random: &dyn Random,
    ) -> Result<(), EnvelopeError> {
        self.content.metadata = seal_metadata(metadata, self.content.asset_id, data_key, random)?;
        Ok(())
    }

    /// Opens the metadata and checks that it speaks of this capture and these pieces.
    pub fn metadata(&self, data_key: &DataKey) -> Result<SealedMetadata, EnvelopeError> {
        let metadata = open_metadata(&self.content.metadata, self.content.asset_id, data_key)?;
        let pieces_agree = metadata.pieces.len() == self.content.pieces.len()
            && metadata.pieces.iter().zip(&self.content.pieces).all(|(plain, sealed)| {
                plain.index == sealed.index && piece::plain_bytes(sealed.sealed_bytes) == Some(plain.bytes)
            });
        let total = metadata.pieces.iter().fold(0u64, |sum, piece| sum.saturating_add(piece.bytes));
        let agree = pieces_agree
            && total == metadata.bytes
            && metadata.capture.capture_id == self.content.capture_id
            && metadata.sha256.is_some() == self.content.closed;
        if agree { Ok(metadata) } else { Err(EnvelopeError::Contradiction) }
    }

    /// The exact bytes of the file: one line of JSON, closed by the HMAC.
    pub fn to_bytes(&self, data_key: &DataKey) -> Result<Vec<u8>, EnvelopeError> {
        let mut file = serde_json::to_vec(&self.content).expect("text, numbers and lists always serialize");
        file.pop();
        let tag = hmac::sign(&mac_key(data_key, self.content.asset_id), &file);
        let mut hmac = [0; 32];
        hmac.copy_from_slice(tag.as_ref());
        file.extend_from_slice(HMAC_FIELD);
        file.extend_from_slice(Sha256Digest(hmac).to_string().as_bytes());
        file.extend_from_slice(FILE_END);
        if file.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes_max: ENVELOPE_BYTES_MAX });
        }
        Ok(file)
    }
}

fn metadata_cipher(data_key: &DataKey, asset_id: AssetId) -> LessSafeKey {
    let key = data_key.metadata_key(asset_id);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the metadata key has AES-256's 32 bytes"))
}

fn seal_metadata(
    metadata: &SealedMetadata,
    asset_id: AssetId,
    data_key: &DataKey,
    random: &dyn Random,
) -> Result<MetadataBox, EnvelopeError> {
    let mut nonce = [0; METADATA_NONCE_BYTES];
    random.fill(&mut nonce)?;
    // Sealed in place: what `serde_json` left in smaller buffers while this one grew is not wiped.
    let mut bytes =
        serde_json::to_vec(metadata).map_err(|_| EnvelopeError::Malformed { reason: "metadata has no JSON" })?;
    metadata_cipher(data_key, asset_id)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(metadata_associated_data(asset_id)),
            &mut bytes,
        )
        .expect("metadata is far shorter than AES-GCM's limit of 64 GiB");
    Ok(MetadataBox { nonce: nonce.to_vec(), ciphertext: bytes })
}

fn open_metadata(sealed: &MetadataBox, asset_id: AssetId, data_key: &DataKey) -> Result<SealedMetadata, EnvelopeError> {
    let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| EnvelopeError::MetadataDamaged)?;
    let mut bytes = Zeroizing::new(sealed.ciphertext.clone());
    let plain = metadata_cipher(data_key, asset_id)
        .open_in_place(nonce, Aad::from(metadata_associated_data(asset_id)), &mut bytes)
        .map_err(|_| EnvelopeError::MetadataDamaged)?;
    serde_json::from_slice(plain).map_err(|_| EnvelopeError::MetadataDamaged)
}
