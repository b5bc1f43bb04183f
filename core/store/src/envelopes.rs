//! Envelopes of this store: made at capture, found again, and replaced whole when a wrap or a receipt is added.
//!
//! Owns where an envelope lies (a file beside its pieces, or the row of a note) and how its data key is had: from memory if
//! the capture is recent, else with the viewing key. Sealed pieces never change here.

use crate::{
    Store, StoreError, layout, rows,
    sealer::{Sealer, Wrappable, usable},
    sealing::SealedAsset,
};
use rusqlite::params;
use snaptrak_domain::{
    AssetId, CaptureMetadata, PieceDigest, Random, Rendition, SealedMetadata, Sha256Digest,
    queue_store::{self, OutgoingEnvelope},
};
use snaptrak_seal::{
    DataKey, Envelope, EnvelopeError, EnvelopeReceipts, NewEnvelope, Recipient, RecipientRole, SealedPiece,
    UntrustedEnvelope, Wrap, WrapError, envelope::ENVELOPE_BYTES_MAX,
};

impl Sealer {
    /// An open envelope without pieces, wrapped for the device and everyone else who is known.
    pub(crate) fn new_envelope(
        &self,
        metadata: &CaptureMetadata,
        asset_id: AssetId,
        data_key: &DataKey,
    ) -> Result<Envelope, StoreError> {
        self.new_envelope_of(Rendition::Original, metadata, asset_id, data_key)
    }

    /// The same for any rendition of a capture.
    pub(crate) fn new_envelope_of(
        &self,
        rendition: Rendition,
        metadata: &CaptureMetadata,
        asset_id: AssetId,
        data_key: &DataKey,
    ) -> Result<Envelope, StoreError> {
        let known = self.known();
        let new = NewEnvelope {
            organisation_id: known.wrappable.first().map(|recipient| recipient.organisation_id),
            device_id: metadata.device_id,
            capture_id: metadata.capture_id,
            asset_id,
            rendition,
            created_ms: metadata.created.unix_ms,
        };
        let random = self.random.as_ref();
        let sealed = SealedMetadata { capture: metadata.clone(), pieces: Vec::new(), bytes: 0, sha256: None };
        let mut envelope = Envelope::create(new, &sealed, data_key, random).map_err(envelope_failed)?;
        let media = self.keys.media_public();
        let device = Wrap::seal(data_key, &media, Recipient::Device, asset_id, random).map_err(wrap_failed)?;
        envelope.add_wrap(device).map_err(envelope_failed)?;
        for recipient in &known.wrappable {
            add_wrap(&mut envelope, recipient, data_key, random)?;
        }
        Ok(envelope)
    }

    /// The envelope's file for an asset whose pieces are complete.
    pub(crate) fn closed_envelope(
        &self,
        metadata: &CaptureMetadata,
        asset_id: AssetId,
        data_key: &DataKey,
        asset: &SealedAsset,
    ) -> Result<Vec<u8>, StoreError> {
        let mut envelope = self.new_envelope(metadata, asset_id, data_key)?;
        for piece in &asset.pieces {
            envelope.add_piece(piece).map_err(envelope_failed)?;
        }
        self.close_envelope(&mut envelope, metadata, data_key, asset)
    }

    /// Closes an envelope that lists every piece; its file.
    pub(crate) fn close_envelope(
        &self,
        envelope: &mut Envelope,
        metadata: &CaptureMetadata,
        data_key: &DataKey,
        asset: &SealedAsset,
    ) -> Result<Vec<u8>, StoreError> {
        let sealed = sealed_metadata(metadata, &asset.pieces, Some(asset.sha256));
        envelope.close().map_err(envelope_failed)?;
        envelope.set_metadata(&sealed, data_key, self.random.as_ref()).map_err(envelope_failed)?;
        envelope.to_bytes(data_key).map_err(envelope_failed)
    }
}

impl Store {
    /// The exact bytes of an asset's envelope.
    pub(crate) fn envelope_bytes(&self, asset_id: AssetId) -> Result<Vec<u8>, StoreError> {
        let inline: Option<Option<Vec<u8>>> = self.read(|connection| {
            rows::first(connection, "SELECT envelope FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
                Ok(row.get(0)?)
            })
        })?;
        match inline.ok_or(StoreError::Missing { what: "asset" })? {
            Some(bytes) => Ok(bytes),
            None => {
                // Found and read before the folder can be moved.
                let _unmoved = self.inner.files.change();
                let file = self.layout().open_in_asset(asset_id, layout::ENVELOPE_NAME)?;
                let file = file.ok_or(StoreError::Damaged { what: "envelope missing" })?;
                layout::read_bounded(file, ENVELOPE_BYTES_MAX as u64, "envelope")
            }
        }
    }

    /// The data key of an asset: of a recent capture from memory, else through the viewing key.
    pub(crate) fn data_key(&self, asset_id: AssetId) -> Result<DataKey, StoreError> {
        // A note's key is drawn when it is settled, and remembered then.
        self.settle_first()?;
        if let Some(key) = self.inner.keys.recent(asset_id) {
            return Ok(key);
        }
        let envelope = UntrustedEnvelope::parse(&self.envelope_bytes(asset_id)?).map_err(envelope_failed)?;
        self.unwrap_data_key(&envelope, asset_id)
    }

    /// The data key of an envelope, by its device wrap. The envelope must still be authenticated with it.
    pub(crate) fn unwrap_data_key(
        &self,
        envelope: &UntrustedEnvelope,
        asset_id: AssetId,
    ) -> Result<DataKey, StoreError> {
        let claims = envelope.claims();
        if claims.asset_id != asset_id {
            return Err(StoreError::Damaged { what: "envelope of another asset" });
        }
        let private = self.inner.keys.viewing(self.layout(), self.inner.surroundings.key_store.as_ref())?;
        for key in private.iter() {
            let wraps = claims.wraps.iter().filter(|wrap| wrap.recipient == RecipientRole::Device);
            for wrap in wraps {
                match wrap.open(key, claims.organisation_id, asset_id) {
                    Ok(data_key) => return Ok(data_key),
                    Err(WrapError::OtherKey { .. } | WrapError::UnknownSuite { .. }) => {}
                    Err(error) => return Err(wrap_failed(error)),
                }
            }
        }
        Err(StoreError::Damaged { what: "envelope has no wrap for this device" })
    }

    /// Changes an envelope and replaces it whole. Only closed assets: a recording rewrites its own.
    fn rewrite_envelope(
        &self,
        asset_id: AssetId,
        change: impl FnOnce(&mut Envelope, &DataKey) -> Result<(), StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let data_key = self.data_key(asset_id)?;
        // Rewrites one after the other. The lock that holds the folder in place is taken for files alone: the writer's chores
        // take it too, and the row below waits for the writer.
        let _alone = self.inner.files.rewrite();
        let parsed = UntrustedEnvelope::parse(&self.envelope_bytes(asset_id)?).map_err(envelope_failed)?;
        let mut envelope = parsed.authenticate(&data_key).map_err(envelope_failed)?;
        change(&mut envelope, &data_key)?;
        let bytes = envelope.to_bytes(&data_key).map_err(envelope_failed)?;
        let inline: Option<Vec<u8>> = self.read(|connection| {
            let sql = "SELECT p.sealed FROM asset a JOIN piece p ON p.asset_id = a.id
                       WHERE a.id = ?1 AND a.envelope IS NOT NULL";
            rows::first(connection, sql, [asset_id.as_bytes()], |row| Ok(row.get(0)?))
        })?;
        match inline {
            Some(piece) => {
                let row = bytes.clone();
                self.write_with_lines(move |transaction, lines| {
                    lines.note(&row, &piece);
                    let sql = "UPDATE asset SET envelope = ?2 WHERE id = ?1";
                    rows::change(transaction, sql, params![asset_id.as_bytes(), row]).map(|_| ())
                })?;
            }
            None => {
                let _unmoved = self.inner.files.change();
                layout::replace_file(&self.layout().find_in_asset(asset_id, layout::ENVELOPE_NAME), &bytes)?;
            }
        }
        Ok(bytes)
    }

    /// The envelope as it is sent: wrapped for every recipient, with the device's receipt signed if the asset is closed.
    pub(crate) fn outgoing_envelope(
        &self,
        asset_id: AssetId,
        recipients: &[queue_store::Recipient],
    ) -> Result<OutgoingEnvelope, StoreError> {
        let bytes = self.wrapped_envelope(asset_id, recipients)?;
        self.wrap_thumbnail_beside(asset_id, recipients);
        Ok(OutgoingEnvelope { bytes, device_receipt: self.device_receipt(asset_id)? })
    }

    /// A thumbnail does not leave, so that no step of its own brings its envelope up to date. Wrapped like the original beside it, it
    /// comes back with the recovery key too. Nobody is asked for it, and whatever fails holds up nothing.
    fn wrap_thumbnail_beside(&self, asset_id: AssetId, recipients: &[queue_store::Recipient]) {
        let thumbnail = self.read(|connection| {
            let sql = "SELECT beside.id FROM asset JOIN asset AS beside ON beside.capture_id = asset.capture_id
                        WHERE asset.id = ?1 AND beside.rendition = 'thumbnail'";
            rows::first(connection, sql, [asset_id.as_bytes()], |row| rows::asset_id(row, 0))
        });
        let wrapped = thumbnail.and_then(|thumbnail| match thumbnail {
            Some(thumbnail) if self.inner.keys.has_without_asking(thumbnail) => {
                self.wrapped_envelope(thumbnail, recipients).map(|_| ())
            }
            Some(_) | None => Ok(()),
        });
        if let Err(error) = wrapped {
            tracing::warn!(%asset_id, %error, "a thumbnail is not wrapped for the organisation");
        }
    }

    /// The envelope with a wrap for every recipient.
    fn wrapped_envelope(
        &self,
        asset_id: AssetId,
        recipients: &[queue_store::Recipient],
    ) -> Result<Vec<u8>, StoreError> {
        let mut bytes = self.envelope_bytes(asset_id)?;
        let parsed = UntrustedEnvelope::parse(&bytes).map_err(envelope_failed)?;
        let mut missing = usable(recipients);
        missing.retain(|one| {
            let known = |wrap: &Wrap| wrap.recipient == one.recipient.role() && wrap.key_id == one.key_id;
            !parsed.claims().wraps.iter().any(known)
        });
        if !missing.is_empty() {
            bytes = self.rewrite_envelope(asset_id, |envelope, data_key| {
                missing.iter().try_for_each(|recipient| add_wrap(envelope, recipient, data_key, self.random()))
            })?;
        }
        Ok(bytes)
    }

    /// The signed receipt, signing it if it must; `None` while the asset has no receipt or the signer does not sign.
    fn device_receipt(&self, asset_id: AssetId) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || {
            self.read(|connection| {
                let sql = "SELECT signed FROM receipt WHERE asset_id = ?1";
                rows::first(connection, sql, [asset_id.as_bytes()], |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?))
            })
        };
        match read()? {
            None => Ok(None),
            Some(Some(signed)) => Ok(Some(signed)),
            Some(None) => {
                self.sign_for_leaving(asset_id)?;
                Ok(read()?.flatten())
            }
        }
    }

    /// Key ids of the organisation's wraps in an asset's envelope.
    pub(crate) fn organisation_key_ids(&self, asset_id: AssetId) -> Result<Vec<Sha256Digest>, StoreError> {
        let parsed = UntrustedEnvelope::parse(&self.envelope_bytes(asset_id)?).map_err(envelope_failed)?;
        let wraps = parsed.claims().wraps.iter();
        Ok(wraps.filter(|wrap| wrap.recipient == RecipientRole::Organisation).map(|wrap| wrap.key_id).collect())
    }

    /// Copies both signed receipts into the envelope, if the data key is at hand without asking anyone: the copy is for the
    /// day on which the database is gone, and nobody is woken for it.
    pub(crate) fn copy_receipt_into_envelope(&self, asset_id: AssetId) -> Result<(), StoreError> {
        if !self.inner.keys.has_without_asking(asset_id) {
            return Err(StoreError::NeedsUser);
        }
        let receipts = self.read(|connection| {
            let sql = "SELECT signed, countersigned FROM receipt WHERE asset_id = ?1 AND signed IS NOT NULL";
            rows::first(connection, sql, [asset_id.as_bytes()], |row| {
                Ok(EnvelopeReceipts { device: row.get(0)?, server: row.get(1)? })
            })
        })?;
        let receipts = receipts.ok_or(StoreError::Missing { what: "receipt" })?;
        self.rewrite_envelope(asset_id, |envelope, _| {
            envelope.set_receipts(receipts);
            Ok(())
        })?;
        Ok(())
    }
}

/// The sealed part of an envelope; `sha256` once the asset is closed.
pub(crate) fn sealed_metadata(
    metadata: &CaptureMetadata,
    pieces: &[SealedPiece],
    sha256: Option<Sha256Digest>,
) -> SealedMetadata {
    let digest = |piece: &SealedPiece| PieceDigest { index: piece.index, bytes: piece.bytes, sha256: piece.sha256 };
    SealedMetadata {
        capture: metadata.clone(),
        pieces: pieces.iter().map(digest).collect(),
        bytes: pieces.iter().map(|piece| piece.bytes).sum(),
        sha256,
    }
}

fn add_wrap(
    envelope: &mut Envelope,
    recipient: &Wrappable,
    data_key: &DataKey,
    random: &dyn Random,
) -> Result<(), StoreError> {
    let asset_id = envelope.content().asset_id;
    envelope.enrol(recipient.organisation_id).map_err(envelope_failed)?;
    let wrap = Wrap::seal(data_key, &recipient.public, recipient.recipient, asset_id, random);
    envelope.add_wrap(wrap.map_err(wrap_failed)?).map_err(envelope_failed)
}

/// An error of an envelope in the words of the store.
pub(crate) fn envelope_failed(error: EnvelopeError) -> StoreError {
    match error {
        EnvelopeError::Random(error) => StoreError::Random(error),
        EnvelopeError::Newer { version } => StoreError::NewerSchema { found: version, known: 1 },
        EnvelopeError::OtherOrganisation => StoreError::Refused { code: "other_organisation" },
        EnvelopeError::TooLarge { .. } | EnvelopeError::Full => StoreError::Refused { code: "too_large" },
        EnvelopeError::PieceOrder { .. } | EnvelopeError::Closed => StoreError::Seal { what: "envelope" },
        EnvelopeError::Malformed { .. }
        | EnvelopeError::NotAuthentic
        | EnvelopeError::MetadataDamaged
        | EnvelopeError::Contradiction => StoreError::Damaged { what: "envelope" },
    }
}

/// An error of a wrap in the words of the store.
pub(crate) fn wrap_failed(error: WrapError) -> StoreError {
    match error {
        WrapError::Random(error) => StoreError::Random(error),
        WrapError::UnusableKey => StoreError::Seal { what: "wrap" },
        WrapError::UnknownSuite { .. }
        | WrapError::OtherKey { .. }
        | WrapError::NoOrganisation
        | WrapError::DoesNotOpen => StoreError::Damaged { what: "wrap" },
    }
}
