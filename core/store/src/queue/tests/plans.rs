//! The planner's question stays fast however many steps there are.

use super::Fixture;

fn plan(fixture: &Fixture, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    fixture
        .store
        .read(|connection| {
            let mut statement = connection.prepare(&explain)?;
            // An unbound parameter is NULL; the plan does not depend on it.
            let mut rows = statement.raw_query();
            let mut details = Vec::new();
            while let Some(row) = rows.next()? {
                details.push(row.get::<_, String>(3)?);
            }
            Ok(details)
        })
        .unwrap()
}

#[test]
fn ready_reads_the_index_and_sorts_nothing() {
    let fixture = Fixture::new();
    for sql in [crate::queue::ready::FRESH, crate::queue::ready::DUE, crate::queue::ready::NEXT_TRY] {
        let details = plan(&fixture, sql);
        assert!(details.iter().any(|detail| detail.contains("step_ready")), "{details:?}");
        for detail in &details {
            assert!(!detail.starts_with("SCAN"), "{details:?}");
            assert!(!detail.contains("TEMP B-TREE"), "{details:?}");
        }
    }
}

#[test]
fn lists_walk_an_index() {
    let fixture = Fixture::new();
    for sql in [crate::list::ALL, crate::list::IN_STATE] {
        let details = plan(&fixture, sql);
        assert!(
            details.iter().all(|detail| !detail.starts_with("SCAN") && !detail.contains("TEMP B-TREE")),
            "{details:?}"
        );
    }
}

#[test]
fn what_is_to_be_moved_is_found_without_walking_the_assets() {
    let fixture = Fixture::new();
    let details = plan(&fixture, crate::chores::TO_MOVE);
    assert!(details.iter().any(|detail| detail.contains("asset_in_incoming")), "{details:?}");
}

#[test]
fn the_lane_of_the_index_is_the_lane_of_the_merge() {
    let lane = format!("bytes / {}", crate::queue::ready::LANE_BYTES);
    assert!(crate::queue::ready::FRESH.contains(&lane));
    assert!(crate::migrate::LADDER[0].sql.contains(&lane));
}
