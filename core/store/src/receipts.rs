//! Receipts: the place in the chain is taken in the capture's transaction, the signature follows whenever the signer can.
//!
//! The keyset's own key signs as a chore of the writer. A platform's signer is asked on a caller's thread: for an asset whose
//! envelope is about to leave, and for whatever waits when someone asks for it ([`Store::sign_pending`]). What it does not sign
//! waits for another time, and nothing waits for it.

use crate::{
    Store, StoreError,
    journal::{Base64, Entry, Lines},
    queue::send_again,
    recover, rows, setting,
    writer::WriteSide,
};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetId, Sha256Digest, Signer, SignerError};
use snaptrak_seal::{FIRST_PREVIOUS, ReceiptClaims, ReceiptError, sha256, sign_receipt};

/// Receipts signed in one transaction: 64 software signatures take three milliseconds.
const BATCH_MAX: usize = 64;

/// Refusals in a row after which a signer is left alone for now: one may be about its receipt, three are about the signer, and
/// asking it may wake a person each time.
const REFUSALS_MAX: u32 = 3;

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

/// What a signer made of a batch.
struct Batch {
    signed: Vec<Signed>,
    /// Place of the last receipt that was looked at; `None`: there was none.
    last: Option<u64>,
    /// The signer refused again and again: it is not asked for more now.
    gave_up: bool,
}

/// Signs a batch on the writer's side; whether more is left to sign.
pub(crate) fn sign_batch(side: &mut WriteSide, signer: &dyn Signer) -> Result<bool, StoreError> {
    let unsigned = unsigned(&side.connection, 0)?;
    let may_be_more = unsigned.len() == BATCH_MAX;
    let batch = sign_all(unsigned, signer);
    let signed_some = !batch.signed.is_empty();
    if signed_some {
        side.transact(|transaction, lines| save(transaction, lines, batch.signed))?;
    }
    Ok(may_be_more && signed_some)
}

fn unsigned(connection: &Connection, after_sequence: u64) -> Result<Vec<Unsigned>, StoreError> {
    rows::all(
        connection,
        "SELECT sequence, asset_id, payload FROM receipt WHERE signed IS NULL AND sequence > ?1 ORDER BY sequence LIMIT ?2",
        [rows::signed(after_sequence)?, rows::signed(BATCH_MAX as u64)?],
        read_unsigned,
    )
}

fn unsigned_of(connection: &Connection, asset_id: AssetId) -> Result<Vec<Unsigned>, StoreError> {
    rows::all(
        connection,
        "SELECT sequence, asset_id, payload FROM receipt WHERE signed IS NULL AND asset_id = ?1",
        [asset_id.as_bytes()],
        read_unsigned,
    )
}

fn read_unsigned(row: &Row<'_>) -> Result<Unsigned, StoreError> {
    Ok(Unsigned { sequence: rows::count(row, 0)?, asset_id: rows::asset_id(row, 1)?, payload: row.get(2)? })
}

/// Asks the signer for each. One that it does not sign waits and keeps no other from being signed.
fn sign_all(unsigned: Vec<Unsigned>, signer: &dyn Signer) -> Batch {
    let mut batch = Batch { signed: Vec::with_capacity(unsigned.len()), last: None, gave_up: false };
    let mut refusals = 0;
    for receipt in unsigned {
        batch.last = Some(receipt.sequence);
        match sign_receipt(&receipt.payload, signer) {
            Ok(signed) => {
                refusals = 0;
                batch.signed.push(Signed { receipt, signed });
            }
            Err(error) => {
                refusals += 1;
                tracing::warn!(asset_id = %receipt.asset_id, code = code(&error), "a receipt waits for its signature");
                if refusals == REFUSALS_MAX {
                    batch.gave_up = true;
                    break;
                }
            }
        }
    }
    batch
}

/// Why nothing was signed, as a word for the log.
fn code(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::Signer(SignerError::NotNow) => "not_now",
        ReceiptError::Signer(SignerError::Lost) => "lost",
        ReceiptError::TooLarge { .. } => "too_large",
        ReceiptError::Malformed { .. }
        | ReceiptError::Newer { .. }
        | ReceiptError::OtherKey { .. }
        | ReceiptError::BadSignature
        | ReceiptError::Contradiction { .. } => "malformed",
    }
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
    /// Signs every receipt that has a place and no signature, on the caller's thread; how many. What the signer refuses waits for
    /// another time, and so does everything after a few refusals in a row.
    pub fn sign_pending(&self) -> Result<u64, StoreError> {
        self.sign_pending_while(|| true)
    }

    /// The same, looking after each batch of 64 whether to go on.
    pub fn sign_pending_while(&self, go_on: impl Fn() -> bool) -> Result<u64, StoreError> {
        let (mut total, mut after) = (0, 0);
        loop {
            let batch = sign_all(self.read(|connection| unsigned(connection, after))?, self.inner.keys.signer.as_ref());
            let (Some(last), gave_up) = (batch.last, batch.gave_up) else { return Ok(total) };
            total += self.save_signed(batch.signed)?;
            if gave_up || !go_on() {
                return Ok(total);
            }
            after = last;
        }
    }

    /// Signs the receipt of an asset, on the caller's thread, if it has one that is not signed. With the keyset's own key all that
    /// wait are signed in one go, since many leave at once and each transaction costs a sync of the disk; another signer takes its
    /// time, and those that leave later wait for their turn.
    pub(crate) fn sign_for_leaving(&self, asset_id: AssetId) -> Result<(), StoreError> {
        if self.inner.keys.signs_by_itself {
            return self.sign_pending().map(|_| ());
        }
        let unsigned = self.read(|connection| unsigned_of(connection, asset_id))?;
        self.save_signed(sign_all(unsigned, self.inner.keys.signer.as_ref()).signed).map(|_| ())
    }

    fn save_signed(&self, signed: Vec<Signed>) -> Result<u64, StoreError> {
        let count = signed.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        let (now, may_have_left) = (self.clock().now(), !self.inner.keys.signs_by_itself);
        self.write_with_lines(move |transaction, lines| {
            let assets: Vec<AssetId> = signed.iter().map(|one| one.receipt.asset_id).collect();
            save(transaction, lines, signed)?;
            if may_have_left {
                // The keyset's own key signs what leaves as it leaves; one that was asked in vain did not.
                assets.into_iter().try_for_each(|asset_id| send_again::signed(transaction, asset_id, now))?;
            }
            Ok(())
        })?;
        Ok(count)
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
