//! Receipts: the place in the chain is taken in the capture's transaction, the signature follows whenever the signer can.

use crate::{
    Store, StoreError,
    journal::{Base64, Entry, Lines},
    recover, rows, setting,
    writer::WriteSide,
};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetId, Sha256Digest, Signer};
use snaptrak_seal::{FIRST_PREVIOUS, ReceiptClaims, sha256, sign_receipt};

/// Receipts signed in one transaction: 64 software signatures take three milliseconds.
pub(crate) const BATCH_MAX: usize = 64;

/// A receipt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    /// Place in this store's chain, from 1 without gaps.
    pub sequence: u64,
    /// For which asset.
    pub asset_id: AssetId,
    /// Deterministic CBOR.
    pub payload: Vec<u8>,
    /// COSE_Sign1 by this device, once it is signed.
    pub signed: Option<Vec<u8>>,
    /// The server's COSE_Sign1, once there is one.
    pub countersigned: Option<Vec<u8>>,
}

/// Takes the next place in the chain for an asset; `claims` is given that place and the previous payload's digest.
pub(crate) fn take_place(
    transaction: &Connection,
    claims: impl FnOnce(u64, Sha256Digest) -> ReceiptClaims,
) -> Result<(), StoreError> {
    let last = rows::first(
        transaction,
        "SELECT sequence, payload_sha256 FROM receipt ORDER BY sequence DESC LIMIT 1",
        [],
        |row| Ok((rows::count(row, 0)?, rows::digest(row, 1)?)),
    )?;
    let (sequence, previous) = last.map_or((1, FIRST_PREVIOUS), |(sequence, digest)| (sequence + 1, digest));
    let claims = claims(sequence, previous);
    let payload = claims.to_payload();
    rows::change(
        transaction,
        "INSERT INTO receipt (sequence, asset_id, payload, payload_sha256) VALUES (?1, ?2, ?3, ?4)",
        params![rows::signed(sequence)?, claims.asset_id.as_bytes(), payload, sha256(&payload).as_bytes()],
    )?;
    Ok(())
}

/// A receipt that has a place and no signature.
struct Unsigned {
    sequence: u64,
    asset_id: AssetId,
    payload: Vec<u8>,
}

/// A receipt that was just signed.
struct Signed {
    receipt: Unsigned,
    signed: Vec<u8>,
}

/// Signs a batch on the writer's side; how many.
pub(crate) fn sign_batch(side: &mut WriteSide, signer: &dyn Signer) -> Result<usize, StoreError> {
    let signed = sign_all(unsigned(&side.connection)?, signer)?;
    let count = signed.len();
    if count > 0 {
        side.transact(|transaction, lines| save(transaction, lines, signed))?;
    }
    Ok(count)
}

fn unsigned(connection: &Connection) -> Result<Vec<Unsigned>, StoreError> {
    rows::all(
        connection,
        "SELECT sequence, asset_id, payload FROM receipt WHERE signed IS NULL ORDER BY sequence LIMIT ?1",
        [rows::signed(BATCH_MAX as u64)?],
        |row| Ok(Unsigned { sequence: rows::count(row, 0)?, asset_id: rows::asset_id(row, 1)?, payload: row.get(2)? }),
    )
}

fn sign_all(unsigned: Vec<Unsigned>, signer: &dyn Signer) -> Result<Vec<Signed>, StoreError> {
    let sign = |receipt: Unsigned| {
        let signed = sign_receipt(&receipt.payload, signer).map_err(|_| StoreError::Seal { what: "receipt" })?;
        Ok(Signed { receipt, signed })
    };
    unsigned.into_iter().map(sign).collect()
}

fn save(transaction: &Connection, lines: &mut Lines, signed: Vec<Signed>) -> Result<(), StoreError> {
    for Signed { receipt, signed } in signed {
        let changed = rows::change(
            transaction,
            // The first signature stays: another one of the same payload would be as good, and different.
            "UPDATE receipt SET signed = ?2 WHERE sequence = ?1 AND signed IS NULL",
            params![rows::signed(receipt.sequence)?, signed],
        )?;
        if changed == 1 {
            lines.entry(&Entry::Receipt {
                asset_id: receipt.asset_id,
                sequence: receipt.sequence,
                payload: Base64(receipt.payload),
                signed: Some(Base64(signed)),
                countersigned: None,
                countersigned_ms: None,
            });
        }
    }
    Ok(())
}

/// The journal's entry of an asset's receipt as its row stands, if it has one.
pub(crate) fn entry(connection: &Connection, asset_id: AssetId) -> Result<Option<Entry>, StoreError> {
    rows::first(
        connection,
        "SELECT sequence, payload, signed, countersigned, countersigned_ms FROM receipt WHERE asset_id = ?1",
        [asset_id.as_bytes()],
        |row| {
            Ok(Entry::Receipt {
                asset_id,
                sequence: rows::count(row, 0)?,
                payload: Base64(row.get(1)?),
                signed: row.get::<_, Option<Vec<u8>>>(2)?.map(Base64),
                countersigned: row.get::<_, Option<Vec<u8>>>(3)?.map(Base64),
                countersigned_ms: rows::unix_ms_or_none(row, 4)?,
            })
        },
    )
}

impl Store {
    /// Signs every receipt that has a place and no signature, on the caller's thread; how many. An unavailable signer is an
    /// error, and the receipts wait.
    pub fn sign_pending(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let signed = sign_all(self.read(unsigned)?, self.inner.keys.signer.as_ref())?;
            let count = signed.len();
            if count > 0 {
                self.write_with_lines(move |transaction, lines| save(transaction, lines, signed))?;
            }
            total += count as u64;
            if count < BATCH_MAX {
                return Ok(total);
            }
        }
    }

    /// Receipts after a place in the chain, in order.
    pub fn receipts(&self, after_sequence: u64, limit: usize) -> Result<Vec<StoredReceipt>, StoreError> {
        self.read(|connection| {
            rows::all(
                connection,
                "SELECT sequence, asset_id, payload, signed, countersigned FROM receipt
                 WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                [rows::signed(after_sequence)?, rows::signed(limit as u64)?],
                |row| {
                    Ok(StoredReceipt {
                        sequence: rows::count(row, 0)?,
                        asset_id: rows::asset_id(row, 1)?,
                        payload: row.get(2)?,
                        signed: row.get(3)?,
                        countersigned: row.get(4)?,
                    })
                },
            )
        })
    }

    /// The key that signs this store's receipts: SEC1 uncompressed point.
    pub fn signing_public_key(&self) -> [u8; 65] {
        self.inner.keys.signer.public_key()
    }

    /// Every key that may have signed a receipt of this store, the present one last: a recovery without the old keyset has
    /// given it a new one.
    pub fn device_keys(&self) -> Result<Vec<[u8; 65]>, StoreError> {
        let present = self.signing_public_key();
        let known: Vec<recover::DeviceKey> =
            self.read(|connection| setting::read(connection, setting::DEVICE_KEYS))?.unwrap_or_default();
        let mut keys: Vec<[u8; 65]> = known.iter().filter_map(recover::DeviceKey::point).collect();
        keys.retain(|key| *key != present);
        keys.push(present);
        Ok(keys)
    }

    /// SHA-256 of the device's public media key: what its wraps name.
    pub fn media_key_id(&self) -> Sha256Digest {
        self.inner.keys.media_public().key_id()
    }
}
