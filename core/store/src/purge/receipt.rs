//! The countersigned receipt in the envelope, durably, before a byte goes: with the database gone it is what proves that the
//! server holds the bytes.

use crate::{Store, StoreError, envelopes, rows};
use snaptrak_domain::{AssetId, KeptCode};
use snaptrak_seal::{EnvelopeReceipts, UntrustedEnvelope};

/// Puts the receipts into the envelope, or answers why the asset must stay.
///
/// An envelope that holds them already is taken as it lies: without the data key its HMAC cannot be checked, and the server has
/// the same envelope. It was synced when the receipts went in.
pub(super) fn put_into_envelope(store: &Store, asset_id: AssetId) -> Result<Option<KeptCode>, StoreError> {
    match put(store, asset_id) {
        Ok(()) => Ok(None),
        Err(StoreError::NeedsUser | StoreError::NotYet | StoreError::WrongKey) => Ok(Some(KeptCode::NeedsUser)),
        Err(StoreError::Damaged { .. } | StoreError::Missing { .. } | StoreError::NewerSchema { .. }) => {
            tracing::warn!(%asset_id, "an envelope cannot be read: its pieces stay");
            Ok(Some(KeptCode::Damaged))
        }
        Err(error) => Err(error),
    }
}

fn put(store: &Store, asset_id: AssetId) -> Result<(), StoreError> {
    let receipts = receipts(store, asset_id)?;
    let envelope = UntrustedEnvelope::parse(&store.envelope_bytes(asset_id)?).map_err(envelopes::envelope_failed)?;
    if envelope.claims().receipt.as_ref() == Some(&receipts) {
        Ok(())
    } else {
        store.copy_receipt_into_envelope(asset_id)
    }
}

/// Both receipts; one without the server's signature is none here.
fn receipts(store: &Store, asset_id: AssetId) -> Result<EnvelopeReceipts, StoreError> {
    let sql = "SELECT signed, countersigned FROM receipt
                WHERE asset_id = ?1 AND signed IS NOT NULL AND countersigned IS NOT NULL";
    let found = store.read(|connection| {
        rows::first(connection, sql, [asset_id.as_bytes()], |row| {
            Ok(EnvelopeReceipts { device: row.get(0)?, server: row.get(1)? })
        })
    })?;
    found.ok_or(StoreError::Missing { what: "receipt" })
}
