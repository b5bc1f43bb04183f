//! What is ready: the planner's question, answered from the index `step_ready` alone however many steps there are.

use super::tally;
use crate::{Store, StoreError, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetId, StepKind, UnixMs, limits::BACKOFF_CAP_MS, queue_store::ReadyStep};

/// Width of a lane: what is smaller by a lane goes first, whatever its age, so that a large video holds up nothing small.
/// The same number stands in the index.
pub(super) const LANE_BYTES: u64 = 4_194_304;

/// Steps that never failed, in the order of the index. What is held is no work: a piece that was not let out, an asset that
/// policy withholds. That the piece is queued is looked at all the same, since it alone decides.
pub(super) const FRESH: &str = "SELECT id, kind, capture_id, asset_id, piece_index, bytes FROM step
  WHERE kind = ?1 AND state = 'waiting' AND held = 0 AND waits_for = 0 AND not_before_ms IS NULL
    AND (?1 <> 'send_piece' OR EXISTS (SELECT 1 FROM piece WHERE piece.asset_id = step.asset_id
                                          AND piece.piece_index = step.piece_index AND piece.state = 'queued'))
  ORDER BY bytes / 4194304, id LIMIT ?2";

/// The same for steps whose delay lies between two moments: it is over, or ends later than any delay can, since the wall clock
/// ran ahead when it was written.
pub(super) const DUE: &str = "SELECT id, kind, capture_id, asset_id, piece_index, bytes FROM step
  WHERE kind = ?1 AND state = 'waiting' AND held = 0 AND waits_for = 0 AND not_before_ms BETWEEN ?3 AND ?4
    AND (?1 <> 'send_piece' OR EXISTS (SELECT 1 FROM piece WHERE piece.asset_id = step.asset_id
                                          AND piece.piece_index = step.piece_index AND piece.state = 'queued'))
  ORDER BY not_before_ms LIMIT ?2";

/// The steps of a kind that can be done now, small lanes first, the oldest first within a lane.
pub(crate) fn ready(
    connection: &Connection,
    kind: StepKind,
    now: UnixMs,
    limit: usize,
) -> Result<Vec<ReadyStep>, StoreError> {
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut steps = rows::all(connection, FRESH, params![kind.as_str(), rows_max], read)?;
    for (from, until) in over(now, BACKOFF_CAP_MS) {
        steps.extend(rows::all(connection, DUE, params![kind.as_str(), rows_max, from, until], read)?);
    }
    steps.sort_by_key(|step| (step.bytes / LANE_BYTES, step.step_id));
    steps.truncate(limit);
    Ok(steps)
}

/// The moments at which a delay of at most `longest_ms` ends that is over: [`backoff::is_over`] as two ranges.
///
/// [`backoff::is_over`]: snaptrak_domain::backoff::is_over
pub(super) fn over(now: UnixMs, longest_ms: i64) -> [(i64, i64); 2] {
    [(i64::MIN, now.0), (now.0.saturating_add(longest_ms).saturating_add(1), i64::MAX)]
}

impl Store {
    /// Steps of a kind that are still to be done, ready or not.
    pub fn count_waiting(&self, kind: StepKind) -> Result<u64, StoreError> {
        self.read(|connection| tally::steps_to_do(connection, kind))
    }
}

fn read(row: &Row<'_>) -> Result<ReadyStep, StoreError> {
    let asset_id: Option<[u8; 16]> = row.get(3)?;
    Ok(ReadyStep {
        step_id: row.get(0)?,
        kind: rows::word(row, 1, "step kind")?,
        capture_id: rows::capture_id(row, 2)?,
        asset_id: asset_id.map(AssetId::from_bytes),
        piece_index: row.get(4)?,
        bytes: rows::count(row, 5)?,
    })
}

/// The first of the delays that are not over.
pub(super) const NEXT_TRY: &str = "SELECT not_before_ms FROM step
  WHERE kind = ?1 AND state = 'waiting' AND held = 0 AND waits_for = 0 AND not_before_ms > ?2 AND not_before_ms <= ?3
  ORDER BY not_before_ms LIMIT 1";

/// When the next delayed step of a kind becomes ready, if none of its waits is open.
pub(crate) fn next_try(connection: &Connection, kind: StepKind, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
    let latest = now.0.saturating_add(BACKOFF_CAP_MS);
    rows::first(connection, NEXT_TRY, params![kind.as_str(), now.0, latest], |row| rows::unix_ms(row, 0))
}
