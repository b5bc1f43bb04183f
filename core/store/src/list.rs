//! Captures in pages, in order of arrival.
//!
//! Owns the two keys of a line: a capture's number, under which it stands in the list of all, and its number behind the start of
//! its state's list. A page is one range of whole numbers either way.

use crate::{Store, StoreError, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetState, CaptureId, capture::CaptureSummary};
use std::{fmt, ops::Range, str::FromStr};

/// Captures in one page: an answer of some hundred kilobytes, however much the caller asks for.
const PAGE_MAX: usize = 10_000;

/// Numbers that captures can have: one a millisecond for nine thousand years.
const NUMBERS: i64 = 1 << 48;

/// Some captures, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The captures.
    pub captures: Vec<CaptureSummary>,
    /// Where the next page begins: give it as `after`. `None`: this was the last.
    pub next: Option<Cursor>,
}

/// A place in the list, right behind a capture. It holds while captures come, go and change; a store that was recovered may
/// count anew.
///
/// Its text is what [`fmt::Display`] writes. A capture's id is understood too, and costs a look more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(After);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Number(i64),
    Capture(CaptureId),
}

/// A text that is neither the `next` of a page nor a capture's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the list: expected the `next` of a page or the id of a capture")]
pub struct CursorError;

impl From<CaptureId> for Cursor {
    fn from(id: CaptureId) -> Self {
        Self(After::Capture(id))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            After::Number(number) => number.fmt(f),
            After::Capture(id) => id.fmt(f),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if let Ok(id) = text.parse() {
            return Ok(Self(After::Capture(id)));
        }
        let number = text.parse().ok().filter(|number| (0..NUMBERS).contains(number) && text == number.to_string());
        number.map(|number| Self(After::Number(number))).ok_or(CursorError)
    }
}

/// A page: some four pages of the database, each of which is decrypted whole.
pub(crate) const PAGE: &str =
    "SELECT capture_id, asset_id, kind, state, created_ms, bytes, sha256, place FROM list_line
  WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3";

/// Where the lines of a state (or of all) begin; one less than the first.
pub(crate) fn start(state: Option<AssetState>) -> i64 {
    let list = match state {
        None => 0,
        Some(AssetState::Recording) => 1,
        Some(AssetState::Saved) => 2,
        Some(AssetState::Prepared) => 3,
        Some(AssetState::Queued) => 4,
        Some(AssetState::Sending) => 5,
        Some(AssetState::Received) => 6,
        Some(AssetState::Verified) => 7,
        Some(AssetState::Purged) => 8,
        Some(AssetState::Withheld) => 9,
        Some(AssetState::Parked) => 10,
        Some(AssetState::Cancelled) => 11,
    };
    -list * NUMBERS
}

/// The places of a list, both ends excluded.
pub(crate) fn places(state: Option<AssetState>) -> Range<i64> {
    start(state)..start(state) + NUMBERS
}

impl Store {
    /// Captures whose original is in `state` (or any), after a place, at most `limit`.
    pub fn list(&self, state: Option<AssetState>, after: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.read(|connection| page(connection, state, after, limit.min(PAGE_MAX)))
    }
}

fn page(
    connection: &Connection,
    state: Option<AssetState>,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page, StoreError> {
    let places = places(state);
    let number = match after {
        None => 0,
        Some(Cursor(After::Number(number))) => number,
        Some(Cursor(After::Capture(id))) => {
            let sql = "SELECT number FROM capture WHERE id = ?1";
            rows::first(connection, sql, [id.as_bytes()], |row| Ok(row.get(0)?))?
                .ok_or(StoreError::Missing { what: "capture" })?
        }
    };
    // One more than asked for says whether there is a next page.
    let rows_max = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut lines =
        rows::all(connection, PAGE, params![places.start + number, places.end, rows_max], |row| read(row, state))?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|(_, place)| Cursor(After::Number(place - places.start)));
    Ok(Page { captures: lines.into_iter().map(|(capture, _)| capture).collect(), next })
}

/// A line; those of one state's list do not repeat it.
fn read(row: &Row<'_>, state: Option<AssetState>) -> Result<(CaptureSummary, i64), StoreError> {
    let sha256: Option<[u8; 32]> = row.get(6)?;
    let capture = CaptureSummary {
        id: rows::capture_id(row, 0)?,
        asset_id: rows::asset_id(row, 1)?,
        kind: rows::word(row, 2, "kind")?,
        state: state.map_or_else(|| rows::word(row, 3, "asset state"), Ok)?,
        created: rows::unix_ms(row, 4)?,
        bytes: rows::count(row, 5)?,
        sha256: sha256.map(snaptrak_domain::Sha256Digest),
    };
    Ok((capture, row.get(7)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{World, capture};

    #[test]
    fn the_starts_of_the_lists_are_the_schemas() {
        let store = World::new().create();
        let sql = "SELECT state, start FROM list_start ORDER BY start";
        let found = store.read(|connection| {
            rows::all(connection, sql, [], |row| Ok((rows::word(row, 0, "asset state")?, row.get::<_, i64>(1)?)))
        });
        let mut expected: Vec<_> = AssetState::ALL.map(|state| (state, start(Some(state)))).to_vec();
        expected.sort_by_key(|(_, start)| *start);
        assert_eq!(found.unwrap(), expected);
        assert_eq!(start(None), 0);
    }

    #[test]
    fn a_cursor_is_its_text_and_nothing_else_is_one() {
        for text in ["0", "17", "281474976710655", "0193e4a8-0000-7000-8000-000000000001"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "+1", "01", "1 ", "281474976710656", "x", "9223372036854775808"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
    }

    #[test]
    fn a_page_of_a_state_goes_on_behind_its_cursor_or_behind_a_capture() {
        let world = World::new();
        let store = world.create();
        let arrived: Vec<CaptureId> = (0..5).map(|byte| capture(&store, &[byte]).capture_id).collect();
        let state = Some(store.list(None, None, 1).unwrap().captures[0].state);
        let ids = |page: &Page| page.captures.iter().map(|one| one.id).collect::<Vec<_>>();
        let first = store.list(state, None, 2).unwrap();
        assert_eq!(ids(&first), arrived[..2]);
        assert_eq!(ids(&store.list(state, first.next, 2).unwrap()), arrived[2..4]);
        for list in [None, state] {
            let last = store.list(list, Some(arrived[3].into()), 2).unwrap();
            assert_eq!((ids(&last).as_slice(), last.next), (&arrived[4..], None));
        }
        let other = AssetState::ALL.into_iter().find(|one| Some(*one) != state);
        assert_eq!(ids(&store.list(other, None, 2).unwrap()), []);
        let stranger = CaptureId::from_bytes([1; 16]);
        let answer = store.list(None, Some(stranger.into()), 1);
        assert!(matches!(answer, Err(StoreError::Missing { what: "capture" })), "{answer:?}");
    }
}
