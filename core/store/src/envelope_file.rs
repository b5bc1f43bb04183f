//! An asset's envelope wherever it lies: a file beside the pieces, in `incoming/` or `assets/`, or a cell of the asset's row.
//!
//! Owns reading it, changing it and replacing it whole. A change needs the data key: that of a recent capture, or the device's
//! wrap opened with the viewing key. What was read is believed only after the data key has authenticated it.

use crate::{
    Store, StoreError, chores,
    layout::{self, ENVELOPE_NAME},
    rows,
};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, Sha256Digest,
    queue_store::{OutgoingEnvelope, OutgoingPiece, PieceBytes, Recipient, RecipientRole},
};
use snaptrak_seal::{
    DataKey, Envelope, EnvelopeContent, EnvelopeError, EnvelopeReceipts, KemAlgorithm, RecipientPrivateKey,
    RecipientPublicKey, UntrustedEnvelope, Wrap, envelope::ENVELOPE_BYTES_MAX,
};
use std::path::PathBuf;

const DAMAGED: StoreError = StoreError::Damaged { what: "envelope" };

/// Where an envelope lies.
enum Place {
    Row(Vec<u8>),
    File(PathBuf),
}

impl Store {
    /// The envelope of an asset after making sure that it is wrapped for each recipient, and the device's receipt if signed.
    pub(crate) fn outgoing_envelope(
        &self,
        asset_id: AssetId,
        recipients: &[Recipient],
    ) -> Result<OutgoingEnvelope, StoreError> {
        let bytes = self.envelope_bytes(asset_id)?;
        let missing = !missing_wraps(parse(&bytes)?.claims(), recipients)?.is_empty();
        let bytes = if missing {
            // Outside every lock: the person may be asked for it.
            let data_key = self.data_key(asset_id)?;
            self.change_envelope(asset_id, &data_key, |envelope| self.add_wraps(envelope, &data_key, recipients))?
        } else {
            bytes
        };
        Ok(OutgoingEnvelope { bytes, device_receipt: self.signed_receipt(asset_id)? })
    }

    /// Key ids of the organisation's wraps.
    pub(crate) fn organisation_key_ids(&self, asset_id: AssetId) -> Result<Vec<Sha256Digest>, StoreError> {
        let envelope = parse(&self.envelope_bytes(asset_id)?)?;
        let organisation =
            envelope.claims().wraps.iter().filter(|wrap| wrap.recipient == snaptrak_seal::RecipientRole::Organisation);
        Ok(organisation.map(|wrap| wrap.key_id).collect())
    }

    /// Puts the receipts of an asset into its envelope, where the data key can be had without asking anyone.
    pub(crate) fn copy_receipt_into_envelope(&self, asset_id: AssetId) -> Result<(), StoreError> {
        let receipts = self.read(|connection| {
            rows::first(
                connection,
                "SELECT signed, countersigned FROM receipt WHERE asset_id = ?1 AND signed IS NOT NULL",
                [asset_id.as_bytes()],
                |row| Ok(EnvelopeReceipts { device: row.get(0)?, server: row.get(1)? }),
            )
        })?;
        let Some(receipts) = receipts else { return Ok(()) };
        let Some(data_key) = self.data_key_at_hand(asset_id)? else { return Ok(()) };
        self.change_envelope(asset_id, &data_key, |envelope| {
            envelope.set_receipts(receipts);
            Ok(())
        })?;
        Ok(())
    }

    /// A piece's sealed bytes: of its row, or the path at which its file stays.
    pub(crate) fn outgoing_piece(&self, asset_id: AssetId, index: u32) -> Result<OutgoingPiece, StoreError> {
        let (piece, in_incoming) = self.read(|connection| {
            let piece = crate::queue::outgoing::piece(connection, asset_id, index)?;
            Ok((piece, in_incoming(connection, asset_id)?))
        })?;
        let source = match piece.inline {
            Some(sealed) => PieceBytes::Inline(sealed),
            None => {
                // A transfer may read the file long after this answer, so it must not be moved any more.
                if in_incoming {
                    chores::move_folders(&self.inner.files, &[asset_id])?;
                }
                PieceBytes::File(self.layout().settled_asset(asset_id).join(layout::piece_name(index)))
            }
        };
        Ok(OutgoingPiece { source, sealed_bytes: piece.sealed_bytes, sealed_sha256: piece.sealed_sha256 })
    }

    /// The exact bytes of an envelope.
    pub(crate) fn envelope_bytes(&self, asset_id: AssetId) -> Result<Vec<u8>, StoreError> {
        let _unmoved = self.inner.files.change();
        match self.envelope_place(asset_id)? {
            Place::Row(bytes) => Ok(bytes),
            Place::File(path) => read_file(&path),
        }
    }

    /// The data key of an asset; the person may be asked for the viewing key.
    pub(crate) fn data_key(&self, asset_id: AssetId) -> Result<DataKey, StoreError> {
        if let Some(recent) = self.inner.keys.recent(asset_id) {
            return Ok(recent);
        }
        let viewing = self.inner.keys.viewing(self.layout(), self.inner.surroundings.key_store.as_ref())?;
        self.unwrap_data_key(asset_id, &viewing)
    }

    /// The data key of an asset, if nobody must be asked for it.
    fn data_key_at_hand(&self, asset_id: AssetId) -> Result<Option<DataKey>, StoreError> {
        if let Some(recent) = self.inner.keys.recent(asset_id) {
            return Ok(Some(recent));
        }
        self.inner.keys.viewing_at_hand().map(|viewing| self.unwrap_data_key(asset_id, &viewing)).transpose()
    }

    fn unwrap_data_key(&self, asset_id: AssetId, viewing: &[RecipientPrivateKey]) -> Result<DataKey, StoreError> {
        let envelope = parse(&self.envelope_bytes(asset_id)?)?;
        let claims = envelope.claims();
        let unwrapped = viewing.iter().find_map(|key| {
            let wrap = claims.wrap_for(&key.public_key().key_id())?;
            wrap.open(key, claims.organisation_id, asset_id).ok()
        });
        unwrapped.ok_or(DAMAGED)
    }

    /// Changes an envelope and replaces it whole; the answer is its new bytes.
    fn change_envelope(
        &self,
        asset_id: AssetId,
        data_key: &DataKey,
        change: impl FnOnce(&mut Envelope) -> Result<(), StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let _alone = self.inner.files.rewrite();
        // Not held while the writer is waited for: its chores take the same lock.
        let unmoved = self.inner.files.change();
        let place = self.envelope_place(asset_id)?;
        let before = match &place {
            Place::Row(bytes) => bytes.clone(),
            Place::File(path) => read_file(path)?,
        };
        let mut envelope = parse(&before)?.authenticate(data_key).map_err(seal_error)?;
        change(&mut envelope)?;
        let after = envelope.to_bytes(data_key).map_err(seal_error)?;
        match place {
            Place::File(path) => layout::replace_file(&path, &after)?,
            Place::Row(_) => {
                drop(unmoved);
                let row = after.clone();
                self.write(move |tx| {
                    let sql = "UPDATE asset SET envelope = ?2 WHERE id = ?1";
                    rows::change(tx, sql, params![asset_id.as_bytes(), row]).map(|_| ())
                })?;
            }
        }
        Ok(after)
    }

    fn add_wraps(
        &self,
        envelope: &mut Envelope,
        data_key: &DataKey,
        recipients: &[Recipient],
    ) -> Result<(), StoreError> {
        let asset_id = envelope.content().asset_id;
        for recipient in missing_wraps(envelope.content(), recipients)? {
            envelope.enrol(recipient.organisation_id).map_err(seal_error)?;
            let wrap = Wrap::seal(data_key, &public_key(recipient)?, bound(recipient), asset_id, self.random())
                .map_err(|_| StoreError::Seal { what: "wrap" })?;
            envelope.add_wrap(wrap).map_err(seal_error)?;
        }
        Ok(())
    }

    /// The device's receipt; a signer that can sign now does so.
    fn signed_receipt(&self, asset_id: AssetId) -> Result<Option<Vec<u8>>, StoreError> {
        let load = |connection: &Connection| {
            rows::first(connection, "SELECT signed FROM receipt WHERE asset_id = ?1", [asset_id.as_bytes()], |row| {
                Ok(row.get::<_, Option<Vec<u8>>>(0)?)
            })
        };
        match self.read(load)? {
            None => Ok(None),
            Some(Some(signed)) => Ok(Some(signed)),
            Some(None) => {
                self.sign_pending()?;
                Ok(self.read(load)?.flatten())
            }
        }
    }

    /// Call with the files' lock held, so that the answer stays true.
    fn envelope_place(&self, asset_id: AssetId) -> Result<Place, StoreError> {
        let inline: Option<Vec<u8>> = self
            .read(|connection| {
                rows::first(connection, "SELECT envelope FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
                    Ok(row.get(0)?)
                })
            })?
            .ok_or(StoreError::Missing { what: "asset" })?;
        if let Some(bytes) = inline {
            return Ok(Place::Row(bytes));
        }
        Ok(Place::File(self.asset_folder(asset_id).join(ENVELOPE_NAME)))
    }
}

pub(crate) fn in_incoming(connection: &Connection, asset_id: AssetId) -> Result<bool, StoreError> {
    rows::first(
        connection,
        "SELECT in_incoming FROM asset WHERE id = ?1",
        [asset_id.as_bytes()],
        |row| Ok(row.get(0)?),
    )?
    .ok_or(StoreError::Missing { what: "asset" })
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, StoreError> {
    layout::read_small(path, ENVELOPE_BYTES_MAX as u64, "envelope")?.ok_or(DAMAGED)
}

fn parse(bytes: &[u8]) -> Result<UntrustedEnvelope, StoreError> {
    UntrustedEnvelope::parse(bytes).map_err(seal_error)
}

fn seal_error(error: EnvelopeError) -> StoreError {
    tracing::warn!(%error, "an envelope cannot be used");
    match error {
        EnvelopeError::Random(error) => StoreError::Random(error),
        EnvelopeError::OtherOrganisation => StoreError::Refused { code: "other_organisation" },
        EnvelopeError::TooLarge { .. }
        | EnvelopeError::Newer { .. }
        | EnvelopeError::Malformed { .. }
        | EnvelopeError::NotAuthentic
        | EnvelopeError::MetadataDamaged
        | EnvelopeError::Contradiction
        | EnvelopeError::PieceOrder { .. }
        | EnvelopeError::Closed
        | EnvelopeError::Full => DAMAGED,
    }
}

fn public_key(recipient: &Recipient) -> Result<RecipientPublicKey, StoreError> {
    let unusable = StoreError::Refused { code: "recipient_key" };
    let algorithm = [KemAlgorithm::XWing, KemAlgorithm::X25519]
        .into_iter()
        .find(|algorithm| algorithm.as_str() == recipient.algorithm)
        .ok_or(unusable.clone())?;
    RecipientPublicKey::from_bytes(algorithm, &recipient.public).map_err(|_| unusable)
}

fn bound(recipient: &Recipient) -> snaptrak_seal::Recipient {
    match recipient.role {
        RecipientRole::Organisation => snaptrak_seal::Recipient::Organisation(recipient.organisation_id),
        RecipientRole::Recovery => snaptrak_seal::Recipient::Recovery(recipient.organisation_id),
    }
}

/// The recipients for whom the envelope has no wrap yet.
fn missing_wraps<'a>(content: &EnvelopeContent, recipients: &'a [Recipient]) -> Result<Vec<&'a Recipient>, StoreError> {
    let mut missing = Vec::new();
    for recipient in recipients {
        let key_id = public_key(recipient)?.key_id();
        let role = bound(recipient).role();
        let wrapped = content.organisation_id == Some(recipient.organisation_id)
            && content.wraps.iter().any(|wrap| wrap.recipient == role && wrap.key_id == key_id);
        if !wrapped {
            missing.push(recipient);
        }
    }
    Ok(missing)
}
