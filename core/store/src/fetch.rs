//! Purged bytes on their way back: [`FetchStore`] for a [`Store`].
//!
//! Order of events for each piece: it is fetched into `NNNNNNNN.piece.fetched` beside its place; length and digest are compared
//! with the row, never with what the server says; synced; renamed. When all are in place, one transaction brings the pieces back
//! to verified, takes their tombstones away and derives the asset. Killed before the rename, what was fetched is gone on with;
//! killed before the transaction, the files are found in their places by the next fetch, which downloads nothing. Other bytes
//! are removed and replace nothing.
//!
//! Renames and rows happen while no purge and no chore removes files. A tombstone that was not carried out yet may still take a
//! file between two pieces: the last transaction finds it missing, and it is fetched once more. Refuses to know the network.

use crate::{
    Store, StoreError, chores, layout,
    queue::{derive, piece_row, send_again},
    rows,
    writer::WriteTransaction,
};
use ring::digest::{Context, SHA256};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, AssetState, PieceState, Sha256Digest, UnixMs,
    fetch_store::{FetchStore, FetchTarget, PurgedPiece},
    piece::PieceEvent,
    queue_store::QueueError,
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// One read of what was fetched.
const READ_BYTES: usize = 1 << 20;

impl FetchStore for Store {
    fn purged_pieces(&self, asset_id: AssetId) -> Result<Vec<PurgedPiece>, QueueError> {
        Ok(self.read(|connection| purged(connection, asset_id))?)
    }

    fn fetch_target(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<Option<FetchTarget>, QueueError> {
        Ok(self.target(asset_id, piece)?)
    }

    fn accept_fetched(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<bool, QueueError> {
        Ok(self.accept(asset_id, piece)?)
    }

    fn discard_fetched(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<(), QueueError> {
        Ok(remove(&self.fetched_path(asset_id, piece.index))?)
    }

    fn finish_fetch(&self, asset_id: AssetId, now: UnixMs) -> Result<AssetState, QueueError> {
        Ok(self.finish(asset_id, now)?)
    }

    fn lost_at_server(&self, asset_id: AssetId, index: u32, now: UnixMs) -> Result<(), QueueError> {
        Ok(self.write(move |transaction| send_again::server_lost(transaction, asset_id, index, now))?)
    }
}

impl Store {
    /// Where an asset's files are for good: a download must not be moved under the transport.
    fn fetch_folder(&self, asset_id: AssetId) -> PathBuf {
        self.layout().settled_asset(asset_id)
    }

    fn fetched_path(&self, asset_id: AssetId, index: u32) -> PathBuf {
        self.fetch_folder(asset_id).join(format!("{}.fetched", layout::piece_name(index)))
    }

    fn target(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<Option<FetchTarget>, StoreError> {
        if self.layout().incoming_asset(asset_id).exists() {
            chores::move_folders(&self.inner.files, &[asset_id])?;
        }
        let place = self.fetch_folder(asset_id).join(layout::piece_name(piece.index));
        if holds(&place, piece)? {
            return Ok(None);
        }
        let path = self.fetched_path(asset_id, piece.index);
        let file = layout::open_or_create(&path)?;
        let failed = |error| StoreError::io("look at what was fetched", error);
        let mut held_bytes = file.metadata().map_err(failed)?.len();
        if held_bytes >= piece.sealed_bytes {
            // Complete and not accepted, by a kill in between; it costs less to fetch it again than to tell these apart.
            file.set_len(0).map_err(failed)?;
            held_bytes = 0;
        }
        Ok(Some(FetchTarget { path, held_bytes }))
    }

    fn accept(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<bool, StoreError> {
        let fetched = self.fetched_path(asset_id, piece.index);
        if !holds(&fetched, piece)? {
            tracing::warn!(%asset_id, piece = piece.index, "the server gave other bytes than were sealed here");
            remove(&fetched)?;
            return Ok(false);
        }
        let folder = self.fetch_folder(asset_id);
        let failed = |error| StoreError::io("put a fetched piece in its place", error);
        File::open(&fetched).and_then(|file| file.sync_all()).map_err(failed)?;
        let _alone = self.inner.files.remove_alone();
        let _unmoved = self.inner.files.change();
        fs::rename(&fetched, folder.join(layout::piece_name(piece.index))).map_err(failed)?;
        layout::sync_folder(&folder)?;
        Ok(true)
    }

    fn finish(&self, asset_id: AssetId, now: UnixMs) -> Result<AssetState, StoreError> {
        let _alone = self.inner.files.remove_alone();
        let pieces = self.read(|connection| purged(connection, asset_id))?;
        let folder = self.fetch_folder(asset_id);
        for piece in &pieces {
            // A chore may have carried out a tombstone between two pieces.
            let there = fs::metadata(folder.join(layout::piece_name(piece.index))).map(|file| file.len());
            if there.ok() != Some(piece.sealed_bytes) {
                return Err(StoreError::Missing { what: "fetched piece" });
            }
        }
        self.write(move |transaction| bring_back(transaction, asset_id, now))
    }
}

/// Rows and tombstones of an asset whose files are in their places.
fn bring_back(transaction: &WriteTransaction<'_>, asset_id: AssetId, now: UnixMs) -> Result<AssetState, StoreError> {
    piece_row::apply_where_possible(transaction, asset_id, PieceEvent::FetchedBack)?;
    rows::change(
        transaction,
        "DELETE FROM tombstone WHERE asset_id = ?1 AND reason = 'purged'",
        [asset_id.as_bytes()],
    )?;
    // What was just brought back is not the first to be dropped again.
    rows::change(
        transaction,
        "INSERT INTO keep (capture_id, viewed_ms) SELECT capture_id, ?2 FROM asset WHERE id = ?1
         ON CONFLICT (capture_id) DO UPDATE SET viewed_ms = excluded.viewed_ms",
        params![asset_id.as_bytes(), now.0],
    )?;
    derive::derive_asset_state(transaction, asset_id, now)
}

fn purged(connection: &Connection, asset_id: AssetId) -> Result<Vec<PurgedPiece>, StoreError> {
    rows::all(
        connection,
        "SELECT piece_index, sealed_bytes, sealed_sha256 FROM piece WHERE asset_id = ?1 AND state = ?2
          ORDER BY piece_index",
        params![asset_id.as_bytes(), PieceState::Purged.as_str()],
        |row| {
            Ok(PurgedPiece {
                index: rows::small(row, 0)?,
                sealed_bytes: rows::count(row, 1)?,
                sealed_sha256: rows::digest(row, 2)?,
            })
        },
    )
}

/// Whether a file holds exactly the bytes that were sealed.
fn holds(path: &Path, piece: &PurgedPiece) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io("read what was fetched", error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() != piece.sealed_bytes {
        return Ok(false);
    }
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => digest.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut found = [0; 32];
    found.copy_from_slice(digest.finish().as_ref());
    Ok(Sha256Digest(found) == piece.sealed_sha256)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("remove what was fetched", error)),
    }
}
