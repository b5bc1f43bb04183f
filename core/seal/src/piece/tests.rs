use std::io::{Cursor, Read};

use proptest::prelude::*;
use snaptrak_domain::{AssetId, Sha256Digest};

use super::*;
use crate::data_key::DataKey;
use crate::test_random::CountingRandom;

const EDGE_LENGTHS: [usize; 9] = [0, 1, 65_479, 65_480, 65_481, 130_999, 131_000, 131_001, 196_608];

fn key() -> DataKey {
    DataKey::from_bytes([0x2a; 32])
}

fn address(index: u32) -> PieceAddress {
    PieceAddress { asset_id: AssetId::from_bytes([0x11; 16]), index }
}

fn plaintext(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Sha256Digest(digest)
}

fn seal_in_chunks(plain: &[u8], chunk_bytes: usize) -> (Vec<u8>, SealedPiece) {
    let mut sealer = PieceSealer::start(Vec::new(), &key(), address(0), &CountingRandom::new(1)).unwrap();
    for chunk in plain.chunks(chunk_bytes.max(1)) {
        sealer.write_all(chunk).unwrap();
    }
    sealer.finish().unwrap()
}

fn seal(plain: &[u8]) -> Vec<u8> {
    seal_in_chunks(plain, usize::MAX).0
}

fn opener(sealed: &[u8]) -> Result<PieceOpener<Cursor<&[u8]>>, PieceError> {
    PieceOpener::open(Cursor::new(sealed), &key(), address(0))
}

fn open(sealed: &[u8]) -> Result<Vec<u8>, PieceError> {
    let mut plain = Vec::new();
    opener(sealed)?.open_all(|part| {
        plain.extend_from_slice(part);
        Ok(())
    })?;
    Ok(plain)
}

#[test]
fn round_trips_at_segment_edges_with_the_right_digests() {
    for bytes in EDGE_LENGTHS {
        let plain = plaintext(bytes);
        let (sealed, piece) = seal_in_chunks(&plain, 10_007);
        assert_eq!(sealed.len() as u64, sealed_bytes(bytes as u64));
        assert_eq!(piece.bytes, bytes as u64);
        assert_eq!(piece.sha256, sha256(&plain));
        assert_eq!(piece.sealed_bytes, sealed.len() as u64);
        assert_eq!(piece.sealed_sha256, sha256(&sealed));
        let mut opened = Vec::new();
        let checked = opener(&sealed).unwrap().open_all(|part| {
            opened.extend_from_slice(part);
            Ok(())
        });
        assert_eq!(checked.unwrap(), piece);
        assert_eq!(opened, plain);
    }
}

#[test]
fn reading_from_a_reader_gives_the_same_file_as_writing_slices() {
    for bytes in EDGE_LENGTHS {
        let plain = plaintext(bytes);
        let mut sealer = PieceSealer::start(Vec::new(), &key(), address(0), &CountingRandom::new(1)).unwrap();
        assert_eq!(sealer.fill_from(&mut plain.as_slice()).unwrap(), bytes as u64);
        assert_eq!(sealer.finish().unwrap().0, seal(&plain));
    }
}

#[test]
fn the_slice_api_gives_the_same_file() {
    let plain = plaintext(131_001);
    let mut sealer = SegmentSealer::start(&key(), address(0), &CountingRandom::new(1)).unwrap();
    let mut file = sealer.header().to_vec();
    let mut rest = plain.as_slice();
    while !rest.is_empty() {
        let (segment, later) = rest.split_at(sealer.next_segment_bytes().min(rest.len()));
        let mut segment = segment.to_vec();
        let tag = sealer.seal_in_place(&mut segment, later.is_empty()).unwrap();
        file.extend_from_slice(&segment);
        file.extend_from_slice(&tag);
        rest = later;
    }
    assert_eq!(file, seal(&plain));
    assert!(matches!(sealer.seal_in_place(&mut [], true), Err(PieceError::Finished)));
}

#[test]
fn the_slice_api_refuses_segments_that_the_format_does_not_have() {
    let mut sealer = SegmentSealer::start(&key(), address(0), &CountingRandom::new(1)).unwrap();
    assert!(matches!(sealer.seal_in_place(&mut [0; 5], false), Err(PieceError::SegmentLength { .. })));
    sealer.seal_in_place(&mut vec![0; FIRST_SEGMENT_PLAIN_BYTES], false).unwrap();
    assert!(matches!(sealer.seal_in_place(&mut [], true), Err(PieceError::SegmentLength { .. })));
    assert!(matches!(
        sealer.seal_in_place(&mut vec![0; LATER_SEGMENT_PLAIN_BYTES + 1], true),
        Err(PieceError::TooLong { .. })
    ));
}

#[test]
fn a_full_piece_takes_no_more() {
    let mut sealer = PieceSealer::start(std::io::sink(), &key(), address(0), &CountingRandom::new(1)).unwrap();
    let taken = sealer.fill_from(&mut std::io::repeat(7)).unwrap();
    assert_eq!(taken, PIECE_PLAIN_BYTES_MAX);
    assert_eq!(sealer.room_bytes(), 0);
    assert!(matches!(sealer.write_all(&[1]), Err(PieceError::TooLong { .. })));
    assert_eq!(sealer.finish().unwrap().1.sealed_bytes, PIECE_SEALED_BYTES_MAX);
}

#[test]
fn every_sealing_has_its_own_header() {
    let random = CountingRandom::new(9);
    let first = SegmentSealer::start(&key(), address(0), &random).unwrap();
    let second = SegmentSealer::start(&key(), address(0), &random).unwrap();
    assert_ne!(first.header(), second.header());
}

#[test]
fn a_failed_write_ends_the_sealer() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sealer = PieceSealer::start(Full, &key(), address(0), &CountingRandom::new(1)).unwrap();
    assert!(matches!(sealer.write_all(&plaintext(70_000)), Err(PieceError::Write { .. })));
    assert!(matches!(sealer.write_all(&[1]), Err(PieceError::Finished)));
    assert!(matches!(sealer.finish(), Err(PieceError::Finished)));
}

#[test]
fn truncation_is_told_from_damage_and_from_a_wrong_key() {
    let sealed = seal(&plaintext(196_608));
    assert!(matches!(open(&sealed[..131_072]), Err(PieceError::Truncated)), "at a segment's edge");
    assert!(matches!(open(&sealed[..65_536]), Err(PieceError::Truncated)), "after the first segment");
    assert!(matches!(open(&sealed[..39]), Err(PieceError::Truncated)), "inside the header");
    assert!(matches!(open(&sealed[..131_080]), Err(PieceError::ImpossibleLength { .. })), "inside a tag");
    assert!(matches!(open(&sealed[..100_000]), Err(PieceError::Damaged { segment: 1 })), "inside a segment");
    let cut = opener(&sealed[..100_000]).unwrap();
    assert!(matches!(cut.expect_sealed_bytes(sealed.len() as u64), Err(PieceError::Truncated)));

    let mut flipped = sealed.clone();
    flipped[70_000] ^= 1;
    assert!(matches!(open(&flipped), Err(PieceError::Damaged { segment: 1 })));
    let mut flipped = sealed.clone();
    flipped[50] ^= 1;
    assert!(matches!(open(&flipped), Err(PieceError::Damaged { segment: 0 })), "a later segment proves the key");
    let mut flipped = sealed.clone();
    flipped[5] ^= 1;
    assert!(matches!(open(&flipped), Err(PieceError::WrongKeyOrDamaged)), "the salt");
    let mut flipped = sealed.clone();
    flipped[0] = 41;
    assert!(matches!(open(&flipped), Err(PieceError::NotAPiece)));

    let wrong = DataKey::from_bytes([0x2b; 32]);
    let mut wrong_key = PieceOpener::open(Cursor::new(&sealed), &wrong, address(0)).unwrap();
    assert!(matches!(wrong_key.read_at(0, &mut [0; 1]), Err(PieceError::WrongKeyOrDamaged)));
    let mut wrong_index = PieceOpener::open(Cursor::new(&sealed), &key(), address(1)).unwrap();
    assert!(matches!(wrong_index.read_at(0, &mut [0; 1]), Err(PieceError::WrongKeyOrDamaged)));
}

#[test]
fn swapped_and_repeated_segments_are_damage() {
    let sealed = seal(&plaintext(65_480 + 65_520 * 2 + 9));
    let segment = |index: usize| sealed[index * 65_536..(index + 1) * 65_536].to_vec();
    let tail = &sealed[3 * 65_536..];
    let swapped = [segment(0), segment(2), segment(1), tail.to_vec()].concat();
    assert!(matches!(open(&swapped), Err(PieceError::Damaged { segment: 1 })));
    let repeated = [segment(0), segment(1), segment(1), segment(2), tail.to_vec()].concat();
    assert!(matches!(open(&repeated), Err(PieceError::Damaged { segment: 2 })));
}

/// Tink stops reading behind a full last segment and accepts the file; we do not.
#[test]
fn bytes_behind_a_full_last_segment_are_refused() {
    for bytes in [65_480, 131_000] {
        let sealed = seal(&plaintext(bytes));
        for appended in [1, 10, 100, 65_536] {
            let mut longer = sealed.clone();
            longer.extend_from_slice(&sealed[sealed.len() - appended..]);
            assert!(open(&longer).is_err(), "{bytes} + {appended}");
            let refused = opener(&longer).and_then(|piece| piece.expect_sealed_bytes(sealed.len() as u64));
            assert!(matches!(refused, Err(PieceError::ImpossibleLength { .. })));
        }
    }
}

#[test]
fn an_empty_piece_is_authenticated_when_read() {
    let sealed = seal(&[]);
    assert_eq!(opener(&sealed).unwrap().read_at(0, &mut [0; 8]).unwrap(), 0);
    let mut flipped = sealed;
    flipped[50] ^= 1;
    assert!(matches!(opener(&flipped).unwrap().read_at(0, &mut [0; 8]), Err(PieceError::WrongKeyOrDamaged)));
}

#[test]
fn random_access_decrypts_only_what_it_touches() {
    let mut sealed = seal(&plaintext(300_000));
    // Damage in segments that are not read goes unnoticed, which shows that they are not read.
    sealed[65_536 * 2 + 5] ^= 1;
    let plain = plaintext(300_000);
    let mut piece = opener(&sealed).unwrap();
    let mut buffer = [0; 100];
    assert_eq!(piece.read_at(65_450, &mut buffer).unwrap(), 100);
    assert_eq!(buffer, plain[65_450..65_550]);
    assert_eq!(piece.read_at(299_990, &mut buffer).unwrap(), 10);
    assert_eq!(buffer[..10], plain[299_990..]);
    assert_eq!(piece.read_at(300_000, &mut buffer).unwrap(), 0);
    assert_eq!(piece.read_at(u64::MAX, &mut buffer).unwrap(), 0);
    assert!(matches!(piece.read_at(140_000, &mut buffer), Err(PieceError::Damaged { segment: 2 })));
}

#[test]
fn sequential_reading_gives_the_plaintext() {
    let plain = plaintext(131_001);
    let mut opened = Vec::new();
    opener(&seal(&plain)).unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, plain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_length_in_any_chunks_round_trips(bytes in 0usize..200_000, chunk_bytes in 1usize..150_000) {
        let plain = plaintext(bytes);
        let (sealed, _) = seal_in_chunks(&plain, chunk_bytes);
        prop_assert_eq!(open(&sealed).unwrap(), plain);
    }

    #[test]
    fn reads_at_any_place_agree_with_the_plaintext(
        bytes in 1usize..200_000,
        at in any::<prop::sample::Index>(),
        length in 0usize..140_000,
    ) {
        let plain = plaintext(bytes);
        let sealed = seal(&plain);
        let offset = at.index(bytes);
        let mut buffer = vec![0; length];
        let taken = opener(&sealed).unwrap().read_at(offset as u64, &mut buffer).unwrap();
        let end = (offset + length).min(bytes);
        prop_assert_eq!(&buffer[..taken], &plain[offset..end]);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes(
        bytes in 0usize..140_000,
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let sealed = seal(&plaintext(bytes));
        let place = at.index(sealed.len());
        let mut flipped = sealed.clone();
        flipped[place] ^= 1 << bit;
        prop_assert!(open(&flipped).is_err());
        prop_assert!(open(&sealed[..place]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_open(file in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(open(&file).is_err());
    }
}
