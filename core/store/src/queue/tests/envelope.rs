//! What leaves is wrapped for its recipients and signed, however long after the capture they became known.

use super::{Fixture, counts::enrol};
use snaptrak_domain::{
    KeyClass, KeyStoreError, OrganisationId, Rendition, StepKind,
    outcome::Outcome,
    queue_store::{PieceBytes, QueueError, QueueStore, Recipient, RecipientRole},
};
use snaptrak_seal::{KemAlgorithm, RecipientPrivateKey, UntrustedEnvelope, UntrustedReceipt};
use snaptrak_testkit::{SeededRandom, queue_conformance::QueueUnderTest};

fn recipient(role: RecipientRole, seed: u64) -> (Recipient, RecipientPrivateKey) {
    let private = RecipientPrivateKey::generate(KemAlgorithm::XWing, &SeededRandom::new(seed)).unwrap();
    let recipient = Recipient {
        role,
        organisation_id: OrganisationId::from_bytes([1; 16]),
        algorithm: "x-wing".to_owned(),
        public: private.public_key().as_bytes().to_vec(),
    };
    (recipient, private)
}

#[test]
fn a_late_wrap_is_added_once_and_opens() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    let (recipient, private) = recipient(RecipientRole::Organisation, 10);
    let before = fixture.store.envelope(added.asset_id, &[]).unwrap();
    let sent = fixture.store.envelope(added.asset_id, std::slice::from_ref(&recipient)).unwrap();
    assert_ne!(before.bytes, sent.bytes);
    let envelope = UntrustedEnvelope::parse(&sent.bytes).unwrap();
    let organisation_id = envelope.claims().organisation_id;
    assert_eq!(organisation_id, Some(recipient.organisation_id));
    let wrap = envelope.claims().wrap_for(&private.public_key().key_id()).unwrap();
    let data_key = wrap.open(&private, organisation_id, added.asset_id).unwrap();
    assert!(envelope.authenticate(&data_key).is_ok());
    let again = fixture.store.envelope(added.asset_id, std::slice::from_ref(&recipient)).unwrap();
    assert_eq!(again, sent);
    let expected = fixture.store.expected_receipt(added.asset_id).unwrap();
    assert_eq!(expected.wrap_key_ids, [private.public_key().key_id()]);
    let receipt = UntrustedReceipt::parse(&sent.device_receipt.unwrap()).unwrap();
    assert_eq!(receipt.payload_sha256(), expected.receipt_payload_sha256);
    assert!(receipt.verify(&fixture.store.signing_public_key()).is_ok());
}

#[test]
fn a_thumbnail_made_before_the_enrolment_is_wrapped_with_its_original() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    let thumbnail = fixture.store.add_derived(added.capture_id, Rendition::Thumbnail, b"small").unwrap();
    enrol(&fixture);
    let (recipient, private) = recipient(RecipientRole::Recovery, 10);
    fixture.store.envelope(added.asset_id, &[recipient]).unwrap();
    let envelope = UntrustedEnvelope::parse(&fixture.store.envelope_bytes(thumbnail).unwrap()).unwrap();
    let wrap = envelope.claims().wrap_for(&private.public_key().key_id()).unwrap();
    let data_key = wrap.open(&private, envelope.claims().organisation_id, thumbnail).unwrap();
    assert!(envelope.authenticate(&data_key).is_ok());
}

#[test]
fn a_late_wrap_waits_for_the_person_and_nothing_else_does() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    fixture.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    let (recipient, _) = recipient(RecipientRole::Organisation, 10);
    let wrapped = fixture.store.envelope(added.asset_id, std::slice::from_ref(&recipient));
    assert_eq!(wrapped.unwrap_err(), QueueError::NeedsUser);
    assert!(fixture.store.envelope(added.asset_id, &[]).is_ok());
    assert!(fixture.store.piece(added.asset_id, 0).is_ok());
    assert_eq!(fixture.key_store.viewing_opened(), 0);
    fixture.key_store.answer(KeyClass::Viewing, None);
    assert!(fixture.store.envelope(added.asset_id, &[recipient]).is_ok());
}

#[test]
fn the_receipt_is_copied_where_nobody_must_be_asked() {
    let mut fixture = Fixture::new();
    let (asked, silent) = (fixture.add(&[100]), fixture.add(&[100]));
    enrol(&fixture);
    let has_receipt = |fixture: &Fixture, asset_id| {
        let bytes = fixture.store.envelope(asset_id, &[]).unwrap().bytes;
        UntrustedEnvelope::parse(&bytes).unwrap().claims().receipt.is_some()
    };
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece] {
        for step in fixture.store.ready(kind, fixture.now(), 10).unwrap() {
            fixture.store.begin(step.step_id, fixture.now(), 1_000).unwrap();
            super::counts::end(&fixture, step.step_id, Outcome::Done);
        }
    }
    fixture.store.sign_pending().unwrap();
    let receipts = fixture.store.ready(StepKind::FetchReceipt, fixture.now(), 10).unwrap();
    let of = |asset_id| receipts.iter().find(|step| step.asset_id == Some(asset_id)).unwrap().step_id;
    fixture.store.save_countersigned(of(silent.asset_id), b"signed", fixture.now()).unwrap();
    assert_eq!(fixture.key_store.viewing_opened(), 0);
    assert!(!has_receipt(&fixture, silent.asset_id));
    let (recipient, _) = recipient(RecipientRole::Recovery, 11);
    fixture.store.envelope(asked.asset_id, &[recipient]).unwrap();
    fixture.store.save_countersigned(of(asked.asset_id), b"signed", fixture.now()).unwrap();
    assert!(has_receipt(&fixture, asked.asset_id));
}

#[test]
fn a_piece_is_handed_out_where_it_stays() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    let PieceBytes::File(path) = fixture.store.piece(added.asset_id, 0).unwrap().source else { panic!("a file") };
    assert!(path.exists());
    assert!(!path.to_string_lossy().contains("incoming"));
    fixture.die_and_reopen();
    assert!(path.exists());
    let PieceBytes::File(after) = fixture.store.piece(added.asset_id, 0).unwrap().source else { panic!("a file") };
    assert_eq!(after, path);
}
