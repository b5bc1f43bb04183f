//! Pages, details and numbers.

use super::{
    Fixture,
    counts::{attempt, enrol, refused},
};
use snaptrak_domain::{AssetState, CaptureId, Kind, ReasonCode, Rendition, StepKind, StepState, outcome::Outcome};
use snaptrak_testkit::queue_conformance::QueueUnderTest;

/// Walks all pages of a list.
fn pages(fixture: &Fixture, state: Option<AssetState>, limit: usize) -> Vec<Vec<CaptureId>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.store.list(state, after, limit).unwrap();
        pages.push(page.captures.iter().map(|capture| capture.id).collect());
        match page.next {
            Some(next) => after = Some(next),
            None => return pages,
        }
    }
}

#[test]
fn pages_hold_everything_once_oldest_first() {
    let mut fixture = Fixture::new();
    let ids: Vec<CaptureId> = (0..7).map(|_| fixture.add(&[100]).capture_id).collect();
    assert_eq!(pages(&fixture, None, 3), [ids[..3].to_vec(), ids[3..6].to_vec(), ids[6..].to_vec()]);
    assert_eq!(pages(&fixture, None, 7).concat(), ids);
    enrol(&fixture);
    let refuse = attempt(&fixture, StepKind::SendRecord, refused(ReasonCode::ServerRefused));
    assert!(refuse > 0);
    assert_eq!(pages(&fixture, Some(AssetState::Parked), 3), [vec![ids[0]]]);
    assert_eq!(pages(&fixture, Some(AssetState::Queued), 4), [ids[1..5].to_vec(), ids[5..].to_vec()]);
    assert_eq!(pages(&fixture, Some(AssetState::Verified), 4), [Vec::<CaptureId>::new()]);
    let page = fixture.store.list(None, None, 1).unwrap();
    assert_eq!((page.captures[0].bytes, page.captures[0].kind), (44, Kind::File));
    assert!(page.captures[0].sha256.is_some());
}

#[test]
fn status_counts_captures_bytes_and_what_is_parked() {
    let mut fixture = Fixture::new();
    let empty = fixture.store.status().unwrap();
    assert_eq!((empty.waiting, empty.waiting_bytes, empty.oldest), (0, 0, None));
    let photo = fixture.add_kind(Kind::Photo, "image/heic", &[100, 200]);
    let photo_at = fixture.now();
    let refused_one = fixture.add(&[1_000]);
    fixture.add(&[300]);
    attempt(&fixture, StepKind::Analyse, refused(ReasonCode::DecoderMissing));
    enrol(&fixture);
    attempt(&fixture, StepKind::SendRecord, Outcome::Done);
    attempt(&fixture, StepKind::SendRecord, refused(ReasonCode::ServerRefused));
    let status = fixture.store.status().unwrap();
    assert_eq!((status.by_state["queued"], status.by_state["parked"], status.by_state["verified"]), (2, 1, 0));
    assert_eq!(status.by_state.len(), AssetState::ALL.len());
    assert_eq!((status.waiting, status.waiting_bytes, status.oldest), (2, 600, Some(photo_at)));
    let parked: Vec<_> = status.parked.iter().map(|parked| (parked.id, parked.step, parked.code)).collect();
    assert_eq!(
        parked,
        [
            (photo.capture_id, StepKind::Analyse, ReasonCode::DecoderMissing),
            (refused_one.capture_id, StepKind::SendRecord, ReasonCode::ServerRefused)
        ]
    );
    assert_eq!(status.schema_version, crate::migrate::NEWEST);
    assert!(status.cipher_version.starts_with('4'), "{}", status.cipher_version);
    assert!(status.bytes > 1_600);
}

#[test]
fn show_tells_paths_digests_and_steps() {
    let mut fixture = Fixture::new();
    let added = fixture.add_kind(Kind::Photo, "image/jpeg", &[100, 200]);
    let detail = fixture.store.show(added.capture_id).unwrap();
    assert_eq!(detail.metadata.capture_id, added.capture_id);
    assert_eq!(detail.assets.len(), 1);
    let asset = &detail.assets[0];
    assert_eq!((asset.asset_id, asset.rendition, asset.bytes), (added.asset_id, Rendition::Original, 44 + 144));
    for piece in &asset.pieces {
        let path = piece.path.as_ref().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), piece.bytes);
    }
    assert_eq!(fixture.store.asset_of(added.capture_id, Rendition::Original).unwrap(), added.asset_id);
    assert!(fixture.store.asset_of(added.capture_id, Rendition::Redacted).is_err());
    let kinds: Vec<_> = detail.steps.iter().map(|step| (step.step, step.state)).collect();
    assert_eq!(kinds.len(), 8);
    assert_eq!(kinds[..2], [(StepKind::Analyse, StepState::Waiting), (StepKind::Thumbnail, StepState::Waiting)]);
    assert!(fixture.store.show(CaptureId::from_bytes([9; 16])).is_err());
}
