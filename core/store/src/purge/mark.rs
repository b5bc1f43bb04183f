//! The transaction that says which bytes go: pieces `purged`, a tombstone for each of their files, the asset derived.

use super::{
    candidates::{self, Candidate},
    removal::Doomed,
};
use crate::{
    Store, StoreError,
    journal::Entry,
    queue::{derive, piece_row},
    rows,
    store::Files,
    writer::WriteTransaction,
};
use rusqlite::params;
use snaptrak_domain::{
    AssetId, KeptCode, UnixMs,
    keep::{DropRule, kept_by},
    piece::PieceEvent,
};
use std::sync::Arc;

/// The reason in a tombstone.
const PURGED: &str = "purged";

/// For each asset its files, or why it stays after all: all is looked at again in the transaction.
pub(super) fn mark(
    store: &Store,
    rule: DropRule,
    batch: &[Candidate],
) -> Result<Vec<Result<Vec<Doomed>, KeptCode>>, StoreError> {
    let assets: Vec<AssetId> = batch.iter().map(|candidate| candidate.asset_id).collect();
    let files = Arc::clone(&store.inner.files);
    let now = store.clock().now();
    store.write_with_lines(move |transaction, lines| {
        let one = |asset_id: &AssetId| {
            let marked = mark_one(transaction, &files, rule, *asset_id, now)?;
            if let Ok(doomed) = &marked {
                let pieces = doomed.iter().map(|file| file.index).collect();
                lines.entry(&Entry::Tombstone { asset_id: *asset_id, pieces, reason: PURGED.to_owned(), at_ms: now });
            }
            Ok(marked)
        };
        assets.iter().map(one).collect()
    })
}

fn mark_one(
    transaction: &WriteTransaction<'_>,
    files: &Files,
    rule: DropRule,
    asset_id: AssetId,
    now: UnixMs,
) -> Result<Result<Vec<Doomed>, KeptCode>, StoreError> {
    let facts = candidates::one(transaction, asset_id)?.facts(files.in_use.is_open(asset_id));
    if let Some(code) = kept_by(rule, facts, now) {
        return Ok(Err(code));
    }
    let id = asset_id.as_bytes();
    let doomed = rows::all(
        transaction,
        "SELECT piece_index, sealed_bytes FROM piece WHERE asset_id = ?1 AND state = 'verified' ORDER BY piece_index",
        [id],
        |row| Ok(Doomed { asset_id, index: rows::small(row, 0)?, sealed_bytes: rows::count(row, 1)? }),
    )?;
    rows::change(
        transaction,
        "INSERT INTO tombstone (asset_id, piece_index, reason, at_ms)
         SELECT asset_id, piece_index, ?3, ?2 FROM piece WHERE asset_id = ?1 AND state = 'verified'
         ON CONFLICT (asset_id, piece_index) DO UPDATE SET at_ms = excluded.at_ms, removed = 0",
        params![id, now.0, PURGED],
    )?;
    piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Purge)?;
    derive::derive_asset_state(transaction, asset_id, now)?;
    Ok(Ok(doomed))
}
