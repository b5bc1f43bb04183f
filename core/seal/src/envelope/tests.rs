use std::sync::LazyLock;

use proptest::prelude::*;
use snaptrak_domain::capture::EmbeddedMetadata;
use snaptrak_domain::{
    AssetId, CaptureId, CaptureMetadata, DeviceId, Kind, OrganisationId, PieceDigest, Rendition, SealedMetadata,
    UnixMs, WallTime,
};

use super::*;
use crate::data_key::DataKey;
use crate::piece::{self, PieceAddress, PieceSealer, SealedPiece};
use crate::recipient_key::{KemAlgorithm, RecipientPrivateKey, sha256};
use crate::test_random::CountingRandom;
use crate::wrap::{Recipient, Wrap};

const ASSET: [u8; 16] = [0x11; 16];
const CANARY: &str = "canary-of-the-note";

fn key() -> DataKey {
    DataKey::from_bytes([0x2a; 32])
}

fn new_envelope() -> NewEnvelope {
    NewEnvelope {
        organisation_id: None,
        device_id: DeviceId::from_bytes([0x33; 16]),
        capture_id: CaptureId::from_bytes([0x22; 16]),
        asset_id: AssetId::from_bytes(ASSET),
        rendition: Rendition::Original,
        created_ms: UnixMs(1_795_000_000_000),
    }
}

fn metadata(pieces: Vec<PieceDigest>, closed: bool) -> SealedMetadata {
    SealedMetadata {
        capture: CaptureMetadata {
            capture_id: CaptureId::from_bytes([0x22; 16]),
            kind: Kind::Note,
            device_id: DeviceId::from_bytes([0x33; 16]),
            created: WallTime { unix_ms: UnixMs(1_795_000_000_000), offset_minutes: 60, zone: None },
            content_type: "text/plain".into(),
            file_name: None,
            note: Some(CANARY.into()),
            tags: vec![],
            project: None,
            location: None,
            embedded: EmbeddedMetadata::default(),
            interrupted: false,
            interrupted_at_bytes: None,
            interrupted_at_ms: None,
            ended_because: None,
        },
        bytes: pieces.iter().map(|piece| piece.bytes).sum(),
        sha256: closed.then(|| sha256(b"whole")),
        pieces,
    }
}

fn piece(index: u32) -> SealedPiece {
    let address = PieceAddress { asset_id: AssetId::from_bytes(ASSET), index };
    let random = CountingRandom::new(u64::from(index) + 40);
    let mut sealer = PieceSealer::start(std::io::sink(), &key(), address, &random).unwrap();
    sealer.write_all(CANARY.as_bytes()).unwrap();
    sealer.finish().unwrap().1
}

fn digest_of(piece: &SealedPiece) -> PieceDigest {
    PieceDigest { index: piece.index, bytes: piece.bytes, sha256: piece.sha256 }
}

fn closed_envelope() -> Envelope {
    let random = CountingRandom::new(5);
    let mut envelope = Envelope::create(new_envelope(), &metadata(vec![], false), &key(), &random).unwrap();
    let pieces = [piece(0), piece(1)];
    for piece in &pieces {
        envelope.add_piece(piece).unwrap();
    }
    let device = RecipientPrivateKey::generate(KemAlgorithm::X25519, &random).unwrap();
    let asset_id = AssetId::from_bytes(ASSET);
    let wrap = Wrap::seal(&key(), &device.public_key(), Recipient::Device, asset_id, &random).unwrap();
    envelope.add_wrap(wrap).unwrap();
    envelope.close().unwrap();
    let plain = pieces.iter().map(digest_of).collect();
    envelope.set_metadata(&metadata(plain, true), &key(), &random).unwrap();
    envelope
}

/// Made once: the property tests look at it hundreds of times.
fn file() -> Vec<u8> {
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| closed_envelope().to_bytes(&key()).unwrap());
    FILE.clone()
}

/// The file with a change, and an HMAC that fits again.
fn resigned(change: impl Fn(String) -> String) -> Vec<u8> {
    let text = String::from_utf8(file()).unwrap();
    let covered = text.rsplit_once(",\"hmac\":\"").unwrap().0.to_owned();
    let covered = change(covered);
    let tag = ring::hmac::sign(&parse::mac_key(&key(), AssetId::from_bytes(ASSET)), covered.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{covered},\"hmac\":\"{hex}\"}}\n").into_bytes()
}

#[test]
fn a_file_round_trips_and_reveals_nothing_of_the_plaintext() {
    let file = file();
    let parsed = UntrustedEnvelope::parse(&file).unwrap();
    assert_eq!(parsed.claims().pieces.len(), 2);
    let envelope = parsed.authenticate(&key()).unwrap();
    assert_eq!(envelope, closed_envelope());
    assert_eq!(envelope.to_bytes(&key()).unwrap(), file);
    let metadata = envelope.metadata(&key()).unwrap();
    assert_eq!(metadata.capture.note.as_deref(), Some(CANARY));
    let text = String::from_utf8(file).unwrap();
    assert!(text.starts_with("{\"format\":\"snaptrak.envelope/1\",\"organisation_id\":null,\"device_id\":\"33333333-"));
    assert!(!text.contains(CANARY));
    assert!(!text.contains(&sha256(CANARY.as_bytes()).to_string()), "a plaintext digest would confirm a known file");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_wrong_key_and_a_changed_byte_are_not_authentic() {
    let wrong = DataKey::from_bytes([0x2b; 32]);
    assert_eq!(
        UntrustedEnvelope::parse(&file()).unwrap().authenticate(&wrong).unwrap_err(),
        EnvelopeError::NotAuthentic
    );
    let changed =
        String::from_utf8(file()).unwrap().replace("\"rendition\":\"original\"", "\"rendition\":\"redacted\"");
    let parsed = UntrustedEnvelope::parse(changed.as_bytes()).unwrap();
    assert_eq!(parsed.authenticate(&key()).unwrap_err(), EnvelopeError::NotAuthentic);
}

#[test]
fn adding_wraps_later_keeps_the_pieces() {
    let mut envelope = UntrustedEnvelope::parse(&file()).unwrap().authenticate(&key()).unwrap();
    let organisation_id = OrganisationId::from_bytes([0x44; 16]);
    let random = CountingRandom::new(6);
    let upload = RecipientPrivateKey::generate(KemAlgorithm::XWing, &random).unwrap();
    envelope.enrol(organisation_id).unwrap();
    assert_eq!(envelope.enrol(OrganisationId::from_bytes([9; 16])), Err(EnvelopeError::OtherOrganisation));
    for _ in 0..2 {
        let recipient = Recipient::Organisation(organisation_id);
        let wrap = Wrap::seal(&key(), &upload.public_key(), recipient, AssetId::from_bytes(ASSET), &random).unwrap();
        envelope.add_wrap(wrap).unwrap();
    }
    assert_eq!(envelope.content().wraps.len(), 2, "the same recipient's wrap is replaced");
    let bytes = envelope.to_bytes(&key()).unwrap();
    let read = UntrustedEnvelope::parse(&bytes).unwrap();
    assert_eq!(read.claims().pieces, closed_envelope().content().pieces);
    let wrap = read.claims().wrap_for(&upload.public_key().key_id()).unwrap();
    let data_key = wrap.open(&upload, read.claims().organisation_id, read.claims().asset_id).unwrap();
    read.authenticate(&data_key).unwrap();
}

#[test]
fn pieces_come_in_order_and_never_after_the_end() {
    let random = CountingRandom::new(5);
    let mut envelope = Envelope::create(new_envelope(), &metadata(vec![], false), &key(), &random).unwrap();
    assert!(matches!(envelope.close(), Err(EnvelopeError::Malformed { .. })));
    assert_eq!(envelope.add_piece(&piece(1)), Err(EnvelopeError::PieceOrder { expected: 0, given: 1 }));
    envelope.add_piece(&piece(0)).unwrap();
    assert_eq!(envelope.add_piece(&piece(0)), Err(EnvelopeError::PieceOrder { expected: 1, given: 0 }));
    envelope.close().unwrap();
    assert_eq!(envelope.add_piece(&piece(1)), Err(EnvelopeError::Closed));
}

#[test]
fn metadata_that_speaks_of_other_pieces_is_a_contradiction() {
    let random = CountingRandom::new(5);
    let mut envelope = closed_envelope();
    envelope.set_metadata(&metadata(vec![digest_of(&piece(0))], true), &key(), &random).unwrap();
    assert_eq!(envelope.metadata(&key()), Err(EnvelopeError::Contradiction));
    let both = vec![digest_of(&piece(0)), digest_of(&piece(1))];
    envelope.set_metadata(&metadata(both, false), &key(), &random).unwrap();
    assert_eq!(envelope.metadata(&key()), Err(EnvelopeError::Contradiction), "closed, but no digest of the whole");
}

#[test]
fn a_newer_version_is_its_own_answer_and_other_formats_are_malformed() {
    let with_format = |format: &str| resigned(|text| text.replace("snaptrak.envelope/1", format));
    let error = |file: &[u8]| UntrustedEnvelope::parse(file).unwrap_err();
    assert_eq!(error(&with_format("snaptrak.envelope/2")), EnvelopeError::Newer { version: 2 });
    assert_eq!(error(b"{\"format\":\"snaptrak.envelope/3\",\"new\":[]}"), EnvelopeError::Newer { version: 3 });
    for format in ["snaptrak.envelope/0", "snaptrak.envelope/01", "snaptrak.envelope/", "snaptrak.keyset/1", ""] {
        assert!(matches!(error(&with_format(format)), EnvelopeError::Malformed { .. }), "{format}");
    }
}

#[test]
fn broken_rules_are_refused_even_with_a_fitting_hmac() {
    let cases: [(&str, &str); 7] = [
        ("\"index\":1", "\"index\":2"),
        ("\"sealed_bytes\":74", "\"sealed_bytes\":55"),
        ("\"closed\":true", "\"closed\":1"),
        ("\"closed\":true", "\"closed\":true,\"extra\":0"),
        ("\"closed\":true", "\"closed\":true,\"closed\":true"),
        ("\"nonce\":\"", "\"nonce\":\"AAAA"),
        ("\"receipt\":null", "\"receipt\":{}"),
    ];
    for (from, to) in cases {
        let file = resigned(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let error = UntrustedEnvelope::parse(&file).unwrap_err();
        assert!(matches!(error, EnvelopeError::Malformed { .. }), "{to}: {error}");
    }
    let huge = vec![b' '; ENVELOPE_BYTES_MAX + 1];
    assert!(matches!(UntrustedEnvelope::parse(&huge), Err(EnvelopeError::TooLarge { .. })));
}

#[test]
fn the_largest_asset_fits_and_one_piece_more_does_not() {
    let random = CountingRandom::new(5);
    let mut envelope = Envelope::create(new_envelope(), &metadata(vec![], false), &key(), &random).unwrap();
    let full = |index| SealedPiece {
        index,
        bytes: piece::PIECE_PLAIN_BYTES_MAX,
        sha256: sha256(b"plain"),
        sealed_bytes: piece::PIECE_SEALED_BYTES_MAX,
        sealed_sha256: sha256(b"sealed"),
    };
    let mut plain = Vec::new();
    for index in 0..PIECES_MAX as u32 {
        envelope.add_piece(&full(index)).unwrap();
        plain.push(digest_of(&full(index)));
    }
    assert_eq!(envelope.add_piece(&full(PIECES_MAX as u32)), Err(EnvelopeError::Full));
    envelope.close().unwrap();
    envelope.set_metadata(&metadata(plain, true), &key(), &random).unwrap();
    let receipt = vec![0xff; 750_000];
    envelope.set_receipts(EnvelopeReceipts { device: receipt.clone(), server: Some(receipt) });
    let file = envelope.to_bytes(&key()).unwrap();
    UntrustedEnvelope::parse(&file).unwrap().authenticate(&key()).unwrap().metadata(&key()).unwrap();
}

#[test]
fn receipts_are_kept_and_may_lack_the_servers() {
    for server in [None, Some(vec![4, 5])] {
        let mut envelope = closed_envelope();
        let receipts = EnvelopeReceipts { device: vec![1, 2, 3], server };
        envelope.set_receipts(receipts.clone());
        let bytes = envelope.to_bytes(&key()).unwrap();
        assert_eq!(UntrustedEnvelope::parse(&bytes).unwrap().claims().receipt, Some(receipts));
    }
}

#[test]
fn hostile_files_are_answers_and_not_panics() {
    let deep = [b"{\"format\":".to_vec(), vec![b'['; 100_000]].concat();
    let cases: [&[u8]; 8] = [
        b"",
        b"\n",
        b"{}",
        b"\"}\n",
        b",\"hmac\":\"\"}\n",
        b"{\"format\":\"snaptrak.envelope/1\"}\n",
        b"{\"format\":\"snaptrak.envelope/1\",\"hmac\":\"0000000000000000000000000000000000000000000000000000000000000000\"}\n",
        &deep,
    ];
    for case in cases {
        assert!(matches!(UntrustedEnvelope::parse(case), Err(EnvelopeError::Malformed { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(UntrustedEnvelope::parse(&bytes).is_err());
    }

    #[test]
    fn no_changed_byte_is_authentic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut file = file();
        let place = at.index(file.len());
        prop_assume!(file[place] != to);
        file[place] = to;
        let accepted = UntrustedEnvelope::parse(&file).and_then(|envelope| envelope.authenticate(&key()));
        prop_assert!(accepted.is_err());
    }

    #[test]
    fn no_cut_file_is_accepted(at in any::<prop::sample::Index>()) {
        let file = file();
        prop_assert!(UntrustedEnvelope::parse(&file[..at.index(file.len())]).is_err());
    }

    #[test]
    fn spliced_json_never_panics(at in any::<prop::sample::Index>(), text in "[\\[\\]{}\":,0-9a-z\\\\]{0,40}") {
        let spliced = resigned(|mut covered| {
            let place = (0..=at.index(covered.len())).rev().find(|place| covered.is_char_boundary(*place)).unwrap_or(0);
            covered.insert_str(place, &text);
            covered
        });
        if let Ok(envelope) = UntrustedEnvelope::parse(&spliced)
            && let Ok(envelope) = envelope.authenticate(&key())
        {
            let _ = envelope.metadata(&key());
        }
    }
}
