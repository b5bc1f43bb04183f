use super::{Fixture, counts::enrol};
use snaptrak_domain::{StepKind, queue_store::QueueStore};
use std::time::Instant;
#[test]
fn scale() {
    let fixture = Fixture::new();
    let n = 300_000;
    fixture.store.write(move |tx| {
        tx.execute_batch(&format!("
        PRAGMA foreign_keys=OFF;
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < {n})
        INSERT INTO capture SELECT CAST(printf('%016d', x) AS BLOB), x, 'file', x, '{{}}' FROM c;
        INSERT INTO asset (id, capture_id, rendition, state, closed, bytes, sha256, state_since_ms) SELECT id, id, 'original', 'prepared', 1, 100, zeroblob(32), number FROM capture;
        INSERT INTO piece (asset_id, piece_index, state, bytes, sha256, sealed_bytes, sealed_sha256) SELECT id, 0, 'sealed', 100, zeroblob(32), 156, zeroblob(32) FROM asset;
        INSERT INTO step (capture_id, asset_id, piece_index, kind, state, waits_for, bytes, since_ms) SELECT id, NULL, NULL, 'send_record','waiting',0,0,0 FROM capture;
        INSERT INTO step (capture_id, asset_id, piece_index, kind, state, waits_for, bytes, since_ms) SELECT id, id, NULL, 'send_envelope','waiting',1,0,0 FROM capture;
        INSERT INTO step (capture_id, asset_id, piece_index, kind, state, waits_for, bytes, since_ms) SELECT id, id, 0, 'send_piece','waiting',1,156,0 FROM capture;
        INSERT INTO step (capture_id, asset_id, piece_index, kind, state, waits_for, bytes, since_ms) SELECT id, id, NULL, 'fetch_receipt','waiting',2,0,0 FROM capture;
        "))?; Ok(()) }).unwrap();
    let t = Instant::now();
    enrol(&fixture);
    eprintln!("enqueue {:?}", t.elapsed());
    for kind in [StepKind::SendRecord, StepKind::SendPiece, StepKind::FetchReceipt] {
        let t = Instant::now();
        let c = fixture.store.ready(kind, fixture.now(), 100).unwrap().len();
        eprintln!("ready {kind:?} {c} {:?}", t.elapsed());
    }
    let t = Instant::now();
    let steps = fixture.store.ready(StepKind::SendRecord, fixture.now(), 100).unwrap();
    for s in &steps {
        fixture.store.begin(s.step_id, fixture.now(), 1000).unwrap();
    }
    eprintln!("begin 100 {:?}", t.elapsed());
    let t = Instant::now();
    fixture
        .store
        .end_all(
            steps
                .iter()
                .map(|s| snaptrak_domain::queue_store::AttemptEnd {
                    step_id: s.step_id,
                    outcome: snaptrak_domain::outcome::Outcome::Done,
                    piece_event: None,
                    now: fixture.now(),
                    jitter: 0,
                })
                .collect(),
        )
        .unwrap();
    eprintln!("end_all 100 {:?}", t.elapsed());
    let t = Instant::now();
    fixture.store.backlog(fixture.now()).unwrap();
    eprintln!("backlog {:?}", t.elapsed());
    let t = Instant::now();
    fixture.store.status().unwrap();
    eprintln!("status {:?}", t.elapsed());
    let t = Instant::now();
    fixture.store.list(None, None, 100).unwrap();
    eprintln!("list {:?}", t.elapsed());
    let t = Instant::now();
    fixture.store.enqueue(fixture.now()).unwrap();
    eprintln!("enqueue again {:?}", t.elapsed());
}
