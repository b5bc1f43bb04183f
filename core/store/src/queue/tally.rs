//! Counts that do not grow with the store: what the schema's triggers keep in `tally` and `step_tally`, a dozen rows each.
//!
//! Refuses to count anything itself; that the triggers count right is held by a test that counts every row.

use crate::{StoreError, rows};
use rusqlite::Connection;
use snaptrak_domain::{AssetState, Rendition, StepKind};

/// The originals in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) state: AssetState,
    pub(crate) assets: u64,
    /// Sealed bytes of theirs that the server does not hold.
    pub(crate) unsent_bytes: u64,
}

/// The originals by state; a state without any may be absent.
pub(crate) fn originals(connection: &Connection) -> Result<Vec<Tally>, StoreError> {
    rows::all(
        connection,
        "SELECT state, assets, unsent_bytes FROM tally WHERE rendition = ?1",
        [Rendition::Original.as_str()],
        |row| {
            Ok(Tally {
                state: rows::word(row, 0, "asset state")?,
                assets: rows::count(row, 1)?,
                unsent_bytes: rows::count(row, 2)?,
            })
        },
    )
}

/// Sealed bytes in files of this device, of every rendition.
pub(crate) fn local_bytes(connection: &Connection) -> Result<u64, StoreError> {
    rows::only(connection, "SELECT coalesce(sum(local_bytes), 0) FROM tally", [], |row| rows::count(row, 0))
}

/// Steps of a kind that are still to be done, ready or not.
pub(crate) fn steps_to_do(connection: &Connection, kind: StepKind) -> Result<u64, StoreError> {
    rows::only(
        connection,
        "SELECT coalesce(sum(steps), 0) FROM step_tally WHERE kind = ?1 AND state IN ('waiting', 'running')",
        [kind.as_str()],
        |row| rows::count(row, 0),
    )
}
