//! Implementations that this project did not write open what it seals: PyPI's tink, pyhpke, cryptography and pycose.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use snaptrak_domain::capture::EmbeddedMetadata;
use snaptrak_domain::{
    AssetId, BootId, CaptureId, CaptureMetadata, DeviceId, Instant, Kind, MonotonicMs, OrganisationId, PieceDigest,
    Random, RandomError, Rendition, SealedMetadata, Sha256Digest, Signer, UnixMs, WallTime,
};
use snaptrak_seal::{
    CountersignClaims, DataKey, Envelope, FIRST_PREVIOUS, KemAlgorithm, NewEnvelope, PieceAddress, PieceEntry,
    PieceSealer, ReceiptClaims, Recipient, RecipientPrivateKey, SealedPiece, SoftwareSigner, Wrap, countersign, sha256,
    sign_receipt,
};

#[path = "../../../tests/interop/judges.rs"]
mod judges;

/// Lengths at the edges of Tink's segments.
const EDGE_LENGTHS: [usize; 9] = [0, 1, 65_479, 65_480, 65_481, 130_999, 131_000, 131_001, 196_608];

/// Repeatable bytes that never come twice from one source.
struct SeededRandom(AtomicU64);

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for block in buffer.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            block.copy_from_slice(&sha256(&count.to_be_bytes()).as_bytes()[..block.len()]);
        }
        Ok(())
    }
}

fn random() -> SeededRandom {
    SeededRandom(AtomicU64::new(1))
}

fn plaintext(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn seal(data_key: &DataKey, asset_id: AssetId, index: u32, plain: &[u8]) -> (Vec<u8>, SealedPiece) {
    let address = PieceAddress { asset_id, index };
    let seed = SeededRandom(AtomicU64::new(1_000 * u64::from(index) + plain.len() as u64));
    let mut sealer = PieceSealer::start(Vec::new(), data_key, address, &seed).unwrap();
    sealer.write_all(plain).unwrap();
    sealer.finish().unwrap()
}

fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn tink_opens_our_pieces_and_refuses_what_was_done_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let data_key = DataKey::from_bytes([0x2a; 32]);
    let asset_id = AssetId::from_bytes([0x11; 16]);
    let mut pieces = Vec::new();
    for (index, bytes) in EDGE_LENGTHS.into_iter().enumerate() {
        let (sealed, piece) = seal(&data_key, asset_id, index as u32, &plaintext(bytes));
        let file = format!("{index:08}.piece");
        std::fs::write(folder.path().join(&file), sealed).unwrap();
        pieces.push(json!({"file": file, "index": index, "bytes": piece.bytes, "sha256": piece.sha256}));
    }
    let key = STANDARD.encode(data_key.expose());
    let vectors = json!({"data_key": key, "asset_id": asset_id, "pieces": pieces});
    write_json(&folder.path().join("pieces.json"), &vectors);

    let verdict = judges::judge("judge_pieces.py", &[folder.path()]);
    assert!(verdict.clean, "{}", verdict.said);
    assert_eq!(verdict.said["opened"], 9);
    let refused = |name: &str| verdict.said["refused"][name].as_u64().unwrap_or(0);
    assert!(refused("truncated at a segment's edge") >= 4);
    assert!(refused("truncated inside a segment") >= 18);
    assert!(refused("segments swapped") >= 1);
    assert!(refused("segment repeated") >= 10);
    assert!(refused("bit flipped") >= 50);
    assert_eq!(refused("wrong associated data"), 9);
}

#[test]
fn pyhpke_and_cryptography_open_our_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let random = random();
    let data_key = DataKey::generate(&random).unwrap();
    let asset_id = AssetId::from_bytes([0x11; 16]);
    let organisation_id = OrganisationId::from_bytes([0x44; 16]);
    let nobody = OrganisationId::from_bytes([0; 16]);
    let mut cases = Vec::new();
    for algorithm in [KemAlgorithm::XWing, KemAlgorithm::X25519] {
        for (recipient, bound) in [
            (Recipient::Device, nobody),
            (Recipient::Organisation(organisation_id), organisation_id),
            (Recipient::Recovery(organisation_id), organisation_id),
        ] {
            let key = RecipientPrivateKey::generate(algorithm, &random).unwrap();
            let wrap = Wrap::seal(&data_key, &key.public_key(), recipient, asset_id, &random).unwrap();
            let file: Value = serde_json::from_str(&key.to_file()).unwrap();
            cases.push(json!({"key": file, "organisation_id": bound, "asset_id": asset_id, "wrap": wrap}));
        }
    }
    let vectors = json!({"data_key": STANDARD.encode(data_key.expose()), "cases": cases});
    write_json(&folder.path().join("wraps.json"), &vectors);

    let verdict = judges::judge("judge_wraps.py", &[folder.path()]);
    assert!(verdict.clean, "{}", verdict.said);
    assert_eq!(verdict.said["opened"], json!({"x-wing": 3, "dhkem-x25519-hkdf-sha256": 3}));
}

#[test]
fn pycose_verifies_our_receipts_and_countersignatures() {
    let folder = tempfile::tempdir().unwrap();
    let signer = SoftwareSigner::from_pkcs8(SoftwareSigner::generate_pkcs8().unwrap().expose()).unwrap();
    let pieces: Vec<_> = (0..3).map(|index| piece_entry(index, 70_000 + u64::from(index))).collect();
    let receipt = receipt_claims(pieces);
    let device_only = ReceiptClaims {
        wall: WallTime { zone: None, ..receipt.wall.clone() },
        server_offset_ms: None,
        ..receipt.clone()
    };
    let answer = CountersignClaims {
        organisation_id: OrganisationId::from_bytes([4; 16]),
        asset_id: receipt.asset_id,
        receipt: sha256(&receipt.to_payload()),
        sha256: Some(receipt.sha256),
        bytes: receipt.bytes,
        pieces: receipt.pieces.clone(),
        wrap_key_id: sha256(b"key"),
        verified_ms: UnixMs(1_795_000_060_000),
        server_id: "reference".into(),
    };
    let public = STANDARD.encode(signer.public_key());
    let case = |content_type: &str, signed: Vec<u8>, claims: Value| json!({"content_type": content_type, "public": public, "signed": STANDARD.encode(signed), "claims": claims});
    let receipt_type = "application/vnd.snaptrak.receipt+cbor";
    let cases = json!({"cases": [
        case(receipt_type, sign_receipt(&receipt.to_payload(), &signer).unwrap(), receipt_json(&receipt)),
        case(receipt_type, sign_receipt(&device_only.to_payload(), &signer).unwrap(), receipt_json(&device_only)),
        case(
            "application/vnd.snaptrak.countersign+cbor",
            countersign(&answer, &signer).unwrap(),
            countersign_json(&answer),
        ),
    ]});
    write_json(&folder.path().join("receipts.json"), &cases);

    let verdict = judges::judge("judge_receipts.py", &[folder.path()]);
    assert!(verdict.clean, "{}", verdict.said);
    assert_eq!(verdict.said["verified"], 3);
}

fn piece_entry(index: u32, sealed_bytes: u64) -> PieceEntry {
    PieceEntry { index, sealed_bytes, sealed_sha256: sha256(&index.to_be_bytes()) }
}

fn receipt_claims(pieces: Vec<PieceEntry>) -> ReceiptClaims {
    ReceiptClaims {
        asset_id: AssetId::from_bytes([1; 16]),
        capture_id: CaptureId::from_bytes([2; 16]),
        device_id: DeviceId::from_bytes([3; 16]),
        rendition: Rendition::Redacted,
        sequence: 1,
        previous: FIRST_PREVIOUS,
        sha256: sha256(b"plain"),
        bytes: 1 << 40,
        pieces,
        wall: WallTime {
            unix_ms: UnixMs(1_795_000_000_000),
            offset_minutes: -210,
            zone: Some("America/St_Johns".into()),
        },
        instant: Instant { boot_id: BootId("0d0c".into()), monotonic_ms: MonotonicMs(77) },
        server_offset_ms: Some(-1500),
        hardware: false,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pieces_json(pieces: &[PieceEntry]) -> Value {
    pieces.iter().map(|piece| json!([piece.index, piece.sealed_bytes, piece.sealed_sha256])).collect()
}

/// The claims as the format's text has them, written out here a second time on purpose.
fn receipt_json(claims: &ReceiptClaims) -> Value {
    json!({
        "format": "snaptrak.receipt/1",
        "asset_id": hex(claims.asset_id.as_bytes()),
        "capture_id": hex(claims.capture_id.as_bytes()),
        "device_id": hex(claims.device_id.as_bytes()),
        "rendition": "redacted",
        "sequence": 1,
        "previous": "0".repeat(64),
        "sha256": claims.sha256,
        "bytes": claims.bytes,
        "pieces": pieces_json(&claims.pieces),
        "wall_ms": 1_795_000_000_000_i64,
        "offset_minutes": -210,
        "zone": claims.wall.zone,
        "monotonic_ms": 77,
        "boot_id": "0d0c",
        "server_offset_ms": claims.server_offset_ms,
        "hardware": false,
    })
}

fn countersign_json(claims: &CountersignClaims) -> Value {
    json!({
        "format": "snaptrak.countersign/1",
        "organisation_id": hex(claims.organisation_id.as_bytes()),
        "asset_id": hex(claims.asset_id.as_bytes()),
        "receipt": claims.receipt,
        "sha256": claims.sha256,
        "bytes": claims.bytes,
        "pieces": pieces_json(&claims.pieces),
        "wrap_key_id": claims.wrap_key_id,
        "verified_ms": 1_795_000_060_000_i64,
        "server_id": "reference",
    })
}

/// An asset as a store lays it out: envelope text and sealed pieces.
struct SealedAsset {
    id: AssetId,
    envelope: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    sha256: Sha256Digest,
}

fn seal_asset(byte: u8, parts: &[Vec<u8>], key: &RecipientPrivateKey, random: &SeededRandom) -> SealedAsset {
    let id = AssetId::from_bytes([byte; 16]);
    let organisation_id = OrganisationId::from_bytes([0x44; 16]);
    let capture_id = CaptureId::from_bytes([byte ^ 0xff; 16]);
    let device_id = DeviceId::from_bytes([3; 16]);
    let data_key = DataKey::generate(random).unwrap();
    let sealed: Vec<_> =
        parts.iter().enumerate().map(|(index, plain)| seal(&data_key, id, index as u32, plain)).collect();
    let digest = |(_, piece): &(Vec<u8>, SealedPiece)| PieceDigest {
        index: piece.index,
        bytes: piece.bytes,
        sha256: piece.sha256,
    };
    let whole = parts.concat();
    let metadata = SealedMetadata {
        capture: CaptureMetadata {
            capture_id,
            kind: Kind::File,
            device_id,
            created: WallTime { unix_ms: UnixMs(1), offset_minutes: 0, zone: None },
            content_type: "application/octet-stream".into(),
            file_name: Some("Größe.bin".into()),
            note: None,
            tags: vec![],
            project: None,
            location: None,
            embedded: EmbeddedMetadata::default(),
            interrupted: false,
            interrupted_at_bytes: None,
            interrupted_at_ms: None,
            ended_because: None,
        },
        pieces: sealed.iter().map(digest).collect(),
        bytes: whole.len() as u64,
        sha256: Some(sha256(&whole)),
    };
    let new = NewEnvelope {
        organisation_id: Some(organisation_id),
        device_id,
        capture_id,
        asset_id: id,
        rendition: Rendition::Original,
        created_ms: UnixMs(1),
    };
    let mut envelope = Envelope::create(new, &metadata, &data_key, random).unwrap();
    sealed.iter().for_each(|(_, piece)| envelope.add_piece(piece).unwrap());
    envelope.close().unwrap();
    let recipient = Recipient::Organisation(organisation_id);
    envelope.add_wrap(Wrap::seal(&data_key, &key.public_key(), recipient, id, random).unwrap()).unwrap();
    let envelope = envelope.to_bytes(&data_key).unwrap();
    SealedAsset { id, envelope, pieces: sealed.into_iter().map(|(file, _)| file).collect(), sha256: sha256(&whole) }
}

fn write_asset(folder: &Path, asset: &SealedAsset) {
    let folder = folder.join(asset.id.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("envelope.json"), &asset.envelope).unwrap();
    for (index, piece) in asset.pieces.iter().enumerate() {
        std::fs::write(folder.join(format!("{index:08}.piece")), piece).unwrap();
    }
}

/// The promise that nobody is locked in: a store folder without its database, and the organisation's private key.
#[test]
fn the_open_script_turns_a_store_back_into_files() {
    for algorithm in [KemAlgorithm::XWing, KemAlgorithm::X25519] {
        let folder = tempfile::tempdir().unwrap();
        let (store, out) = (folder.path().join("store"), folder.path().join("out"));
        let random = random();
        let key = RecipientPrivateKey::generate(algorithm, &random).unwrap();
        let key_file = folder.path().join("key.json");
        std::fs::write(&key_file, key.to_file().as_bytes()).unwrap();
        let several = seal_asset(0xa1, &[plaintext(131_001), plaintext(65_480), plaintext(7)], &key, &random);
        let fresh = seal_asset(0xa2, &[plaintext(1)], &key, &random);
        let note = seal_asset(0xa3, &[b"a note".to_vec()], &key, &random);
        write_asset(&store.join("assets/a1"), &several);
        write_asset(&store.join("incoming"), &fresh);
        let entry = json!({
            "type": "note",
            "envelope": String::from_utf8(note.envelope.clone()).unwrap(),
            "pieces": [STANDARD.encode(&note.pieces[0])],
        });
        std::fs::create_dir_all(store.join("journal")).unwrap();
        // The last line was being written when the power went.
        std::fs::write(store.join("journal/00000001.jsonl"), format!("{entry}\n{{\"type\":\"no")).unwrap();

        let verdict = judges::judge("open_store.py", &[&store, &key_file, &out]);
        assert!(verdict.clean, "{}", verdict.said);
        assert_eq!(verdict.said["opened"].as_object().unwrap().len(), 3);
        for (asset, plain) in [
            (&several, [plaintext(131_001), plaintext(65_480), plaintext(7)].concat()),
            (&fresh, plaintext(1)),
            (&note, b"a note".to_vec()),
        ] {
            assert_eq!(verdict.said["opened"][asset.id.to_string()], json!(asset.sha256));
            assert_eq!(std::fs::read(out.join(asset.id.to_string())).unwrap(), plain);
        }

        damage(&store.join("incoming").join(fresh.id.to_string()).join("00000000.piece"));
        std::fs::remove_dir_all(&out).unwrap();
        let verdict = judges::judge("open_store.py", &[&store, &key_file, &out]);
        assert!(!verdict.clean);
        assert_eq!(verdict.said["opened"].as_object().unwrap().len(), 2, "one that does not open hides no other");
        assert_eq!(verdict.said["failures"].as_object().unwrap().len(), 1);
        assert!(!out.join(fresh.id.to_string()).exists());
    }
}

fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[45] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
