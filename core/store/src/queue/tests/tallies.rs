//! The tallies that triggers keep, and what is held, against counts of every row, whatever happens in whatever order.

use super::{
    Fixture,
    counts::{below, end, enrol, refused},
};
use crate::{StoreError, queue::backlog::is_waiting, rows};
use rusqlite::Connection;
use snaptrak_domain::{
    AssetState, Kind, PieceState, ReasonCode, StepKind,
    limits::REVIVAL_AFTER_MS,
    outcome::Outcome,
    queue_store::{Backlog, QueueStore},
};
use snaptrak_testkit::{
    SeededRandom,
    queue_conformance::{Added, QueueUnderTest},
};

const LEASE_MS: i64 = 60_000;

/// Whether the server does not hold all of a piece in this state: what the triggers must mean by it.
fn is_unsent(state: PieceState) -> bool {
    match state {
        PieceState::Sealed | PieceState::Queued | PieceState::Sending => true,
        PieceState::Received
        | PieceState::Verified
        | PieceState::Purged
        | PieceState::Parked
        | PieceState::Cancelled => false,
    }
}

type Counted = (String, String, i64, i64, i64);

fn counted(connection: &Connection, sql: &str) -> Result<Vec<Counted>, StoreError> {
    rows::all(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
}

fn check(fixture: &Fixture, step: usize) {
    let unsent: Vec<String> = PieceState::ALL
        .into_iter()
        .filter(|state| is_unsent(*state))
        .map(|state| format!("'{}'", state.as_str()))
        .collect();
    let real = format!(
        "SELECT rendition, state, count(*),
                sum((SELECT coalesce(sum(sealed_bytes), 0) FROM piece
                      WHERE asset_id = asset.id AND piece.state IN ({}))),
                sum((SELECT coalesce(sum(sealed_bytes), 0) FROM piece
                      WHERE asset_id = asset.id AND piece.state <> 'purged' AND sealed IS NULL))
           FROM asset GROUP BY rendition, state ORDER BY rendition, state",
        unsent.join(", ")
    );
    let kept = "SELECT rendition, state, assets, unsent_bytes, local_bytes FROM tally
                 WHERE assets <> 0 OR unsent_bytes <> 0 OR local_bytes <> 0 ORDER BY rendition, state";
    let steps = "SELECT kind, state, count(*), 0, 0 FROM step GROUP BY kind, state ORDER BY kind, state";
    let kept_steps = "SELECT kind, state, steps, 0, 0 FROM step_tally WHERE steps <> 0 ORDER BY kind, state";
    let held_wrong = "SELECT count(*) FROM step WHERE held <> CASE
        WHEN kind IN ('send_envelope', 'send_piece', 'fetch_receipt')
             AND (SELECT withheld FROM asset WHERE asset.id = step.asset_id) = 1 THEN 2
        WHEN kind = 'send_piece' AND (SELECT state FROM piece WHERE piece.asset_id = step.asset_id
             AND piece.piece_index = step.piece_index) = 'sealed' THEN 1 ELSE 0 END";
    // Each in the list of all and in its state's, and nothing else in either.
    let lines_wrong = "WITH original AS (
            SELECT number, capture_id, asset.id AS asset_id, kind, state, created_ms, bytes, sha256
              FROM capture JOIN asset ON asset.capture_id = capture.id AND rendition = 'original'),
        right AS (SELECT * FROM original
            UNION ALL SELECT number + start, capture_id, asset_id, kind, NULL, created_ms, bytes, sha256
              FROM original JOIN list_start USING (state))
        SELECT count(*) FROM (SELECT * FROM (SELECT * FROM right EXCEPT SELECT * FROM list_line)
            UNION ALL SELECT * FROM (SELECT * FROM list_line EXCEPT SELECT * FROM right))";
    fixture
        .store
        .read(|connection| {
            assert_eq!(rows::only(connection, lines_wrong, [], |row| rows::count(row, 0))?, 0, "list, after {step}");
            assert_eq!(counted(connection, kept)?, counted(connection, &real)?, "assets, after {step}");
            assert_eq!(counted(connection, kept_steps)?, counted(connection, steps)?, "steps, after {step}");
            let wrong: i64 = rows::only(connection, held_wrong, [], |row| Ok(row.get(0)?))?;
            assert_eq!(wrong, 0, "held, after {step}");
            Ok(())
        })
        .unwrap();
}

/// One thing that can happen to a store.
fn happen(fixture: &mut Fixture, random: &SeededRandom, captures: &mut Vec<Added>) {
    let kind = StepKind::ALL[below(random, StepKind::ALL.len())];
    match below(random, 15) {
        0 => captures.push(fixture.add_kind(Kind::Photo, "image/jpeg", &[100, 60 + below(random, 9_000_000) as u64])),
        1 => captures.push(fixture.add(&[70])),
        2 => fixture.clock.advance_ms(REVIVAL_AFTER_MS),
        3 => {
            fixture.store.enqueue(fixture.now()).unwrap();
        }
        4 => {
            let added = captures[below(random, captures.len())];
            fixture.store.send_again(added.asset_id, None, fixture.now()).unwrap();
        }
        5 => {
            fixture.store.revive(kind, ReasonCode::ALL, fixture.now()).unwrap();
        }
        6 => fixture.run_sql(
            "UPDATE piece SET state = 'purged' WHERE state = 'verified'
                AND asset_id IN (SELECT id FROM asset WHERE state = 'verified' LIMIT 1);
             UPDATE asset SET state = 'purged' WHERE state = 'verified'
                AND NOT EXISTS (SELECT 1 FROM piece WHERE asset_id = asset.id AND piece.state <> 'purged')",
        ),
        7 => fixture.run_sql(
            "UPDATE asset SET withheld = 1 - withheld WHERE id IN (SELECT id FROM asset ORDER BY random() LIMIT 1)",
        ),
        8 => fixture.die_and_reopen(),
        9 => fixture.run_sql(
            "UPDATE capture SET kind = 'scan', created_ms = created_ms + 1
              WHERE id IN (SELECT id FROM capture ORDER BY random() LIMIT 1);
             UPDATE asset SET bytes = bytes + 1 WHERE id IN (SELECT id FROM asset ORDER BY random() LIMIT 1)",
        ),
        _ => {
            let ready = fixture.store.ready(kind, fixture.now(), 10).unwrap();
            let Some(step) = ready.first() else { return };
            fixture.store.begin(step.step_id, fixture.now(), LEASE_MS).unwrap();
            match below(random, 8) {
                0 => end(fixture, step.step_id, refused(ReasonCode::ServerRefused)),
                1 => {}
                _ if kind == StepKind::FetchReceipt => {
                    let _ = fixture.store.save_countersigned(step.step_id, b"signed", fixture.now());
                }
                _ => end(fixture, step.step_id, Outcome::Done),
            }
        }
    }
}

#[test]
fn tallies_are_what_a_count_of_every_row_says() {
    for seed in 1..=2 {
        let mut fixture = Fixture::new();
        let random = SeededRandom::new(seed);
        let mut captures = vec![fixture.add(&[100])];
        enrol(&fixture);
        for step in 0..200 {
            happen(&mut fixture, &random, &mut captures);
            check(&fixture, step);
        }
        // Nothing at all is left: the tallies are empty again.
        fixture.run_sql(
            "DELETE FROM attempt; DELETE FROM step; DELETE FROM receipt; DELETE FROM piece; DELETE FROM asset;
             DELETE FROM capture",
        );
        check(&fixture, usize::MAX);
    }
}

#[test]
fn status_and_backlog_say_what_the_rows_say() {
    let mut fixture = Fixture::new();
    fixture.add(&[100, 60]);
    fixture.add_kind(Kind::Photo, "image/jpeg", &[1_000]);
    let status = fixture.store.status().unwrap();
    assert_eq!(status.by_state.len(), AssetState::ALL.len());
    assert_eq!((status.by_state["saved"], status.by_state["prepared"]), (1, 1));
    assert_eq!((status.waiting, status.waiting_bytes), (2, 1_160));
    let waiting = AssetState::ALL.into_iter().filter(|state| is_waiting(*state));
    assert_eq!(waiting.map(|state| status.by_state[state.as_str()]).sum::<u64>(), status.waiting);
    assert_eq!(fixture.store.count_waiting(StepKind::Analyse).unwrap(), 1);
    let backlog = fixture.store.backlog(fixture.now()).unwrap();
    assert_eq!(backlog, Backlog { captures: 2, bytes: 1_160, parked: 0, next_try: None });
}

#[test]
fn a_revival_that_nothing_can_unblock_is_looked_at_once() {
    let mut fixture = Fixture::new();
    fixture.add_kind(Kind::Photo, "image/jpeg", &[100]);
    let analyse = fixture.store.ready(StepKind::Analyse, fixture.now(), 1).unwrap()[0].step_id;
    fixture.store.begin(analyse, fixture.now(), LEASE_MS).unwrap();
    end(&fixture, analyse, refused(ReasonCode::NotAPicture));
    enrol(&fixture);
    fixture.clock.advance_ms(REVIVAL_AFTER_MS);
    let due = |fixture: &Fixture| {
        let sql = "SELECT count(*) FROM step WHERE state = 'parked' AND not_before_ms IS NOT NULL";
        fixture.store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap()
    };
    assert_eq!(due(&fixture), 1);
    fixture.store.enqueue(fixture.now()).unwrap();
    assert_eq!(due(&fixture), 0);
}
