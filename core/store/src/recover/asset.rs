//! Assets with a folder: the envelope is opened and authenticated, pieces are checked and placed, rows are inserted.
//!
//! Originals first, then (from the journal) notes, because everything else of a capture hangs on them. An envelope that the new store's media key does not
//! open gets a wrap for it and is written anew; all others are the same bytes. Sealed bytes never change.

use super::{
    apply, go_on,
    old_keys::OldKeys,
    report::{Findings, Lacking, UnreadableCode},
    source::{AssetFolder, Source},
    target::Target,
    transfer::{self, Placed},
};
use crate::{StoreError, capture_rows, layout, rows};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use snaptrak_domain::{AssetId, AssetState, CancelToken, Random, Rendition, SealedMetadata, UnixMs};
use snaptrak_seal::{
    DataKey, Envelope, EnvelopeError, Recipient, RecipientPublicKey, SealedPiece, UntrustedEnvelope, Wrap,
    envelope::ENVELOPE_BYTES_MAX,
};
use std::{fs, path::Path};

/// Assets in one transaction.
const ASSETS_PER_TRANSACTION: usize = 200;

/// Brings assets over.
pub(super) struct Assets<'a> {
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) keys: &'a OldKeys,
    /// The media key of the new store.
    pub(super) media: &'a RecipientPublicKey,
    pub(super) random: &'a dyn Random,
    pub(super) now: UnixMs,
    pub(super) found: &'a mut Findings,
    pub(super) cancel: &'a CancelToken,
}

/// Folders of what is no original.
pub(super) struct Others {
    folders: Vec<AssetFolder>,
    /// Of all folders.
    total: u64,
}

/// An envelope that its data key has authenticated.
pub(super) struct Opened {
    pub(super) envelope: Envelope,
    pub(super) metadata: SealedMetadata,
    /// The file's bytes for the new store.
    pub(super) bytes: Vec<u8>,
}

impl Opened {
    pub(super) fn pieces(&self) -> Vec<SealedPiece> {
        let joined = self.metadata.pieces.iter().zip(&self.envelope.content().pieces);
        let piece = |(plain, sealed): (&snaptrak_domain::PieceDigest, &snaptrak_seal::PieceEntry)| SealedPiece {
            index: plain.index,
            bytes: plain.bytes,
            sha256: plain.sha256,
            sealed_bytes: sealed.sealed_bytes,
            sealed_sha256: sealed.sealed_sha256,
        };
        joined.map(piece).collect()
    }
}

impl Assets<'_> {
    /// Brings every original that has a folder; the answer is what else has one.
    pub(super) fn bring_originals(
        &mut self,
        connection: &mut Connection,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Others, StoreError> {
        let folders = self.source.assets(self.found);
        let total = folders.len() as u64;
        let (mut done, mut folders_left) = (0, Vec::new());
        for chunk in folders.chunks(ASSETS_PER_TRANSACTION) {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for folder in chunk {
                go_on(self.cancel)?;
                if self.bring(&transaction, folder, true)? {
                    done += 1;
                    progress(done, total);
                } else {
                    folders_left.push(folder.clone());
                }
            }
            transaction.commit()?;
        }
        Ok(Others { folders: folders_left, total })
    }

    /// Brings what hangs on the originals, once all of these have their rows, notes too.
    pub(super) fn bring_others(
        &mut self,
        others: &Others,
        connection: &mut Connection,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), StoreError> {
        let mut done = others.total - others.folders.len() as u64;
        for chunk in others.folders.chunks(ASSETS_PER_TRANSACTION) {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for folder in chunk {
                go_on(self.cancel)?;
                self.bring(&transaction, folder, false)?;
                done += 1;
                progress(done, others.total);
            }
            transaction.commit()?;
        }
        Ok(())
    }

    /// Brings one asset; whether nothing is left to be done for it in this round.
    fn bring(
        &mut self,
        transaction: &Transaction<'_>,
        folder: &AssetFolder,
        originals: bool,
    ) -> Result<bool, StoreError> {
        let path = folder.path.join(layout::ENVELOPE_NAME);
        let file = match read(&path) {
            Ok(Some(file)) => file,
            // No key of it was ever durable; the journal tells if it was part of the store.
            Ok(None) if folder.incoming => return Ok(true),
            Ok(None) => {
                self.found.unreadable(self.source.relative(&path), UnreadableCode::MissingEnvelope);
                return Ok(true);
            }
            Err(code) => {
                self.found.unreadable(self.source.relative(&path), code);
                return Ok(true);
            }
        };
        let opened = match self.open(&file, Some(folder.asset_id))? {
            Ok(opened) => opened,
            Err(code) => {
                self.found.unreadable(self.source.relative(&path), code);
                return Ok(true);
            }
        };
        let original = opened.envelope.content().rendition == Rendition::Original;
        if originals && !original {
            return Ok(false);
        }
        if !original && !has_capture(transaction, &opened)? {
            self.found.unreadable(self.source.relative(&path), UnreadableCode::MissingOriginal);
            return Ok(true);
        }
        if has_rendition(transaction, &opened)? {
            // A second one of a rendition, which a kill left and the next opening would have swept.
            return Ok(true);
        }
        self.place(folder, &opened)?;
        if opened.envelope.content().closed {
            insert(transaction, &opened, None, self.now)?;
            if !apply::of_envelope(transaction, &opened)? {
                self.found.unreadable(self.source.relative(&path), UnreadableCode::ReceiptContradicts);
            }
        }
        Ok(true)
    }

    /// Opens an envelope and wraps it for the new store where that is needed. The inner error is what is told of it.
    pub(super) fn open(
        &mut self,
        file: &[u8],
        expected: Option<AssetId>,
    ) -> Result<Result<Opened, UnreadableCode>, StoreError> {
        let parsed = match UntrustedEnvelope::parse(file) {
            Ok(parsed) if expected.is_none_or(|asset_id| parsed.claims().asset_id == asset_id) => parsed,
            Ok(_) => return Ok(Err(UnreadableCode::DamagedEnvelope)),
            Err(error) => return Ok(Err(code(&error))),
        };
        let data_key = match self.keys.data_key(&parsed) {
            Ok(data_key) => data_key,
            Err(code) => return Ok(Err(code)),
        };
        let opened = parsed.authenticate(&data_key).and_then(|envelope| {
            let metadata = envelope.metadata(&data_key)?;
            Ok((envelope, metadata))
        });
        let (mut envelope, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(code(&error))),
        };
        self.found.device(envelope.content().created_ms, envelope.content().device_id);
        let bytes = match self.wrapped(&mut envelope, &data_key)? {
            Some(bytes) => bytes,
            None => file.to_vec(),
        };
        Ok(Ok(Opened { envelope, metadata, bytes }))
    }

    /// The envelope's new bytes, where it had no wrap that the new store opens.
    fn wrapped(&self, envelope: &mut Envelope, data_key: &DataKey) -> Result<Option<Vec<u8>>, StoreError> {
        if envelope.content().wrap_for(&self.media.key_id()).is_some() {
            return Ok(None);
        }
        let asset_id = envelope.content().asset_id;
        let failed = |_| StoreError::Seal { what: "envelope" };
        let wrap = Wrap::seal(data_key, self.media, Recipient::Device, asset_id, self.random);
        envelope.add_wrap(wrap.map_err(|_| StoreError::Seal { what: "wrap" })?).map_err(failed)?;
        envelope.to_bytes(data_key).map(Some).map_err(failed)
    }

    /// Puts pieces and envelope into the new folder.
    fn place(&mut self, folder: &AssetFolder, opened: &Opened) -> Result<(), StoreError> {
        let content = opened.envelope.content();
        let target = self.target.asset_folder(folder.asset_id, content.closed)?;
        for entry in &content.pieces {
            let name = layout::piece_name(entry.index);
            let placed = transfer::piece(&folder.path.join(&name), &target.join(&name), entry)?;
            let code = match placed {
                Placed::Whole => continue,
                Placed::Missing => UnreadableCode::MissingPiece,
                Placed::Damaged => UnreadableCode::DamagedPiece,
                Placed::Unreadable => UnreadableCode::Unreadable,
            };
            self.found.lacking.push(Lacking {
                capture_id: content.capture_id,
                asset_id: folder.asset_id,
                index: entry.index,
                code,
                incoming: folder.incoming,
            });
        }
        if !content.closed {
            // The piece that was being written when it ended; the opening of the new store makes of it what it can.
            let name = layout::piece_name(content.pieces.len() as u32);
            if folder.path.join(&name).is_file() && !transfer::copy(&folder.path.join(&name), &target.join(&name))? {
                self.found.unreadable(self.source.relative(&folder.path.join(&name)), UnreadableCode::Unreadable);
            }
        }
        layout::replace_file(&target.join(layout::ENVELOPE_NAME), &opened.bytes)
    }
}

/// An envelope's file; nothing where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, UnreadableCode> {
    if fs::symlink_metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(UnreadableCode::DamagedEnvelope);
    }
    layout::read_small(path, ENVELOPE_BYTES_MAX as u64, "envelope").map_err(|error| {
        let too_long = matches!(error, StoreError::Damaged { .. });
        if too_long { UnreadableCode::DamagedEnvelope } else { UnreadableCode::Unreadable }
    })
}

fn code(error: &EnvelopeError) -> UnreadableCode {
    let newer = matches!(error, EnvelopeError::Newer { .. });
    if newer { UnreadableCode::NewerVersion } else { UnreadableCode::DamagedEnvelope }
}

fn has_rendition(connection: &Connection, opened: &Opened) -> Result<bool, StoreError> {
    let content = opened.envelope.content();
    let sql = "SELECT 1 FROM asset WHERE capture_id = ?1 AND rendition = ?2";
    let params = params![content.capture_id.as_bytes(), content.rendition.as_str()];
    Ok(rows::first(connection, sql, params, |_| Ok(()))?.is_some())
}

fn has_capture(connection: &Connection, opened: &Opened) -> Result<bool, StoreError> {
    let id = opened.envelope.content().capture_id;
    let found = rows::first(connection, "SELECT 1 FROM capture WHERE id = ?1", [id.as_bytes()], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Inserts the rows of a closed asset: its capture with the original, itself, its pieces. `inline` is the only piece of a
/// note.
pub(super) fn insert(
    connection: &Connection,
    opened: &Opened,
    inline: Option<&[u8]>,
    now: UnixMs,
) -> Result<(), StoreError> {
    let content = opened.envelope.content();
    if content.rendition == Rendition::Original {
        capture_rows::insert_capture(connection, &opened.metadata.capture)?;
    }
    let sha256 = opened.metadata.sha256.ok_or(StoreError::Damaged { what: "envelope" })?;
    rows::change(
        connection,
        "INSERT INTO asset (id, capture_id, rendition, state, closed, withheld, bytes, sha256, envelope, in_incoming,
                            state_since_ms)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, 0, ?9)",
        params![
            content.asset_id.as_bytes(),
            content.capture_id.as_bytes(),
            content.rendition.as_str(),
            AssetState::Saved.as_str(),
            // What was derived does not leave.
            content.rendition != Rendition::Original,
            rows::signed(opened.metadata.bytes)?,
            sha256.as_bytes(),
            inline.map(|_| opened.bytes.as_slice()),
            now.0,
        ],
    )?;
    for piece in &opened.pieces() {
        capture_rows::insert_piece(connection, content.asset_id, piece, inline)?;
    }
    Ok(())
}
