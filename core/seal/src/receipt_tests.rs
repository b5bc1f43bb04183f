//! Tests of receipts and countersignatures together, since one answers the other.

use proptest::prelude::*;
use snaptrak_domain::{
    AssetId, BootId, CaptureId, DeviceId, Instant, MonotonicMs, OrganisationId, Rendition, Sha256Digest, Signer,
    UnixMs, WallTime,
};

use crate::countersign::{CountersignClaims, UntrustedCountersignature, countersign};
use crate::envelope::PieceEntry;
use crate::receipt::{FIRST_PREVIOUS, ReceiptClaims, ReceiptError, UntrustedReceipt, sign_receipt};
use crate::recipient_key::sha256;
use crate::software_signer::SoftwareSigner;

fn signer() -> SoftwareSigner {
    SoftwareSigner::from_pkcs8(SoftwareSigner::generate_pkcs8().unwrap().expose()).unwrap()
}

fn pieces(count: u32) -> Vec<PieceEntry> {
    let entry = |index: u32| PieceEntry { index, sealed_bytes: 100, sealed_sha256: sha256(&index.to_be_bytes()) };
    (0..count).map(entry).collect()
}

fn claims() -> ReceiptClaims {
    ReceiptClaims {
        asset_id: AssetId::from_bytes([1; 16]),
        capture_id: CaptureId::from_bytes([2; 16]),
        device_id: DeviceId::from_bytes([3; 16]),
        rendition: Rendition::Original,
        sequence: 1,
        previous: FIRST_PREVIOUS,
        sha256: sha256(b"plain"),
        bytes: 5,
        pieces: pieces(2),
        wall: WallTime {
            unix_ms: UnixMs(1_795_000_000_000),
            offset_minutes: -210,
            zone: Some("America/St_Johns".into()),
        },
        instant: Instant { boot_id: BootId("b".into()), monotonic_ms: MonotonicMs(77) },
        server_offset_ms: Some(-5),
        hardware: false,
    }
}

fn answer(claims: &ReceiptClaims) -> CountersignClaims {
    CountersignClaims {
        organisation_id: OrganisationId::from_bytes([4; 16]),
        asset_id: claims.asset_id,
        receipt: sha256(&claims.to_payload()),
        sha256: Some(claims.sha256),
        bytes: claims.bytes,
        pieces: claims.pieces.clone(),
        wrap_key_id: sha256(b"key"),
        verified_ms: UnixMs(1_795_000_060_000),
        server_id: "reference".into(),
    }
}

#[test]
fn a_receipt_verifies_under_its_key_only() {
    let (device, other) = (signer(), signer());
    let signed = sign_receipt(&claims().to_payload(), &device).unwrap();
    let receipt = UntrustedReceipt::parse(&signed).unwrap();
    assert_eq!(receipt.key_id(), sha256(&device.public_key()));
    assert_eq!(receipt.payload_sha256(), sha256(&claims().to_payload()));
    assert_eq!(receipt.verify(&device.public_key()).unwrap(), claims());
    let receipt = UntrustedReceipt::parse(&signed).unwrap();
    let error = receipt.verify(&other.public_key()).unwrap_err();
    assert_eq!(error, ReceiptError::OtherKey { key_id: sha256(&device.public_key()) });
}

#[test]
fn a_countersignature_is_not_a_receipt_and_fits_only_its_own() {
    let server = signer();
    let claims = claims();
    let payload_sha256 = sha256(&claims.to_payload());
    let signed = countersign(&answer(&claims), &server).unwrap();
    assert!(matches!(UntrustedReceipt::parse(&signed), Err(ReceiptError::Malformed { .. })));
    let read = UntrustedCountersignature::parse(&signed).unwrap().verify(&server.public_key()).unwrap();
    assert_eq!(read, answer(&claims));
    read.check_against(&claims, &payload_sha256).unwrap();

    let against = |changed: CountersignClaims| changed.check_against(&claims, &payload_sha256).unwrap_err();
    let contradiction = |field| ReceiptError::Contradiction { field };
    let good = answer(&claims);
    assert_eq!(against(CountersignClaims { receipt: sha256(b"x"), ..good.clone() }), contradiction("receipt"));
    assert_eq!(against(CountersignClaims { bytes: 6, ..good.clone() }), contradiction("bytes"));
    assert_eq!(against(CountersignClaims { pieces: pieces(1), ..good.clone() }), contradiction("pieces"));
    assert_eq!(against(CountersignClaims { sha256: Some(sha256(b"x")), ..good.clone() }), contradiction("sha256"));
    let other_asset = AssetId::from_bytes([9; 16]);
    assert_eq!(against(CountersignClaims { asset_id: other_asset, ..good.clone() }), contradiction("asset_id"));
    CountersignClaims { sha256: None, ..good }.check_against(&claims, &payload_sha256).unwrap();
}

#[test]
fn payloads_are_deterministic_and_of_one_spelling() {
    let payload = claims().to_payload();
    assert_eq!(payload[..7], [0xb1, 0x64, b'z', b'o', b'n', b'e', 0x70], "17 fields, the shortest key first");
    assert_eq!(ReceiptClaims::from_payload(&payload).unwrap(), claims());
    let mut trailing = payload.clone();
    trailing.push(0);
    let mut indefinite = payload.clone();
    indefinite[0] = 0xbf;
    indefinite.push(0xff);
    for bad in [trailing, indefinite, vec![], vec![0xa0], vec![0x81; 100_000]] {
        assert!(matches!(ReceiptClaims::from_payload(&bad), Err(ReceiptError::Malformed { .. })));
    }
}

#[test]
fn rules_of_a_receipt() {
    let refused = |claims: ReceiptClaims| ReceiptClaims::from_payload(&claims.to_payload()).unwrap_err();
    assert!(matches!(refused(ReceiptClaims { sequence: 0, ..claims() }), ReceiptError::Malformed { .. }));
    assert!(matches!(refused(ReceiptClaims { pieces: vec![], ..claims() }), ReceiptError::Malformed { .. }));
    assert!(matches!(
        refused(ReceiptClaims { pieces: pieces(2)[1..].to_vec(), ..claims() }),
        ReceiptError::Malformed { .. }
    ));
    let newer = String::from_utf8_lossy(b"snaptrak.receipt/1").into_owned();
    let payload = claims().to_payload();
    let place = payload.windows(newer.len()).position(|part| part == newer.as_bytes()).unwrap();
    let mut payload = payload;
    payload[place + newer.len() - 1] = b'2';
    assert_eq!(ReceiptClaims::from_payload(&payload).unwrap_err(), ReceiptError::Newer { version: 2 });
}

#[test]
fn the_largest_asset_fits_into_a_receipt_and_its_answer() {
    let large = |index: u32| PieceEntry { index, sealed_bytes: 33_562_680, sealed_sha256: Sha256Digest([0xff; 32]) };
    let claims = ReceiptClaims {
        pieces: (0..crate::envelope::PIECES_MAX as u32).map(large).collect(),
        bytes: u64::MAX,
        ..claims()
    };
    let device = signer();
    let signed = sign_receipt(&claims.to_payload(), &device).unwrap();
    assert_eq!(UntrustedReceipt::parse(&signed).unwrap().verify(&device.public_key()).unwrap(), claims);
    countersign(&answer(&claims), &device).unwrap();
}

#[test]
fn headers_that_the_format_does_not_have_are_refused() {
    use coset::{CoseSign1, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable};
    let device = signer();
    let signed = sign_receipt(&claims().to_payload(), &device).unwrap();
    let mut with_unprotected = CoseSign1::from_tagged_slice(&signed).unwrap();
    with_unprotected.unprotected = HeaderBuilder::new().key_id(vec![1]).build();
    let mut detached = CoseSign1::from_tagged_slice(&signed).unwrap();
    detached.payload = None;
    let bare = CoseSign1Builder::new().payload(claims().to_payload()).build();
    for message in [with_unprotected, detached, bare] {
        let bytes = message.to_tagged_vec().unwrap();
        assert!(matches!(UntrustedReceipt::parse(&bytes), Err(ReceiptError::Malformed { .. })));
    }
    assert!(UntrustedReceipt::parse(&signed[1..]).is_err(), "untagged");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(UntrustedReceipt::parse(&bytes).is_err());
        prop_assert!(UntrustedCountersignature::parse(&bytes).is_err());
        prop_assert!(ReceiptClaims::from_payload(&bytes).is_err());
    }

    #[test]
    fn no_changed_byte_verifies(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let device = signer();
        let mut signed = sign_receipt(&claims().to_payload(), &device).unwrap();
        let place = at.index(signed.len());
        signed[place] ^= flip;
        let verified = UntrustedReceipt::parse(&signed).and_then(|receipt| receipt.verify(&device.public_key()));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn any_claims_round_trip(
        sequence in 1u64..,
        bytes in any::<u64>(),
        wall_ms in any::<i64>(),
        offset_minutes in any::<i32>(),
        monotonic_ms in any::<i64>(),
        server_offset_ms in any::<Option<i64>>(),
        zone in proptest::option::of("[A-Za-z/_]{0,40}"),
        boot in "[ -~]{0,40}",
        hardware in any::<bool>(),
        count in 1u32..30,
    ) {
        let claims = ReceiptClaims {
            sequence,
            bytes,
            wall: WallTime { unix_ms: UnixMs(wall_ms), offset_minutes, zone },
            instant: Instant { boot_id: BootId(boot), monotonic_ms: MonotonicMs(monotonic_ms) },
            server_offset_ms,
            hardware,
            pieces: pieces(count),
            ..claims()
        };
        prop_assert_eq!(ReceiptClaims::from_payload(&claims.to_payload()).unwrap(), claims);
    }
}
