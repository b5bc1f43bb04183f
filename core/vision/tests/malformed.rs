//! Files that lie: those of Pillow's and pillow-heif's own tests, and small real files with a few bytes changed. The answer
//! is a picture or a reason; there is no third.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use proptest::{
    prelude::*,
    test_runner::{FailurePersistence, FileFailurePersistence},
};
use snaptrak_domain::ReasonCode;
use snaptrak_vision::{
    AnalyseError,
    decode::{self, Pixels, Wanted},
    thumbnail_of_bytes,
};
use std::sync::LazyLock;

fn malformed(name: &str) -> Vec<u8> {
    let path = common::cache().join("malformed").join(name);
    std::fs::read(&path).unwrap_or_else(|_| panic!("there is no {}: run `cargo xtask pictures` first", path.display()))
}

fn decode(bytes: &[u8], wanted: Wanted) -> Result<Pixels, AnalyseError> {
    let header = decode::header(bytes)?;
    decode::pixels(bytes, &header, wanted)
}

#[test]
fn every_malformed_file_is_answered_with_its_reason() {
    use ReasonCode::{DecoderMissing, PictureDamaged, PictureTooLarge};
    let small = Wanted { width: 300, height: 300 };
    for (name, expected) in [
        ("broken.png", PictureDamaged),
        ("broken_stream.png", PictureDamaged),
        ("half.jpg", PictureDamaged),
        ("truncated.jpg", PictureDamaged),
        ("truncated.png", PictureDamaged),
        ("pixel_bomb.png", PictureTooLarge),
        ("200_megapixels.heic", DecoderMissing),
        ("corrupted.heic", DecoderMissing),
        ("truncated.heic", DecoderMissing),
        ("empty.heic", ReasonCode::NotAPicture),
    ] {
        for wanted in [small, Wanted::ALL] {
            let answer = decode(&malformed(name), wanted);
            assert_eq!(answer.err().map(|error| error.reason.code), Some(expected), "{name}");
        }
        // Neither is there a small picture in any of them, and the reason is the large one's.
        let small = thumbnail_of_bytes(&malformed(name));
        assert_eq!(small.err().map(|error| error.reason.code), Some(expected), "{name}");
    }
}

#[test]
fn broken_exif_around_a_whole_picture_does_not_lose_the_picture() {
    for name in ["exif_gps_type.jpg", "exif_zero_division.jpg", "invalid_exif.jpg", "truncated_exif.jpg"] {
        let pixels = decode(&malformed(name), Wanted::ALL).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(pixels.width > 0 && pixels.height > 0);
    }
}

#[test]
fn a_text_that_unpacks_to_megabytes_is_not_unpacked() {
    // The picture itself is whole; what matters is that this ends at once and small.
    let _ = decode(&malformed("text_bomb.png"), Wanted::ALL);
}

/// Small real files of every format.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let names = ["hopper_turned_6.jpg", "hopper_turned_8.webp", "plumeria.webp", "hopper_turned_3.webp"];
    let mut seeds: Vec<Vec<u8>> = names.iter().map(|name| common::picture(name)).collect();
    seeds.push(small_png());
    seeds
});

static HEIC: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = common::picture("pug.heic");
    bytes.truncate(60_000);
    bytes
});

fn small_png() -> Vec<u8> {
    let picture = image::RgbaImage::from_fn(40, 30, |x, y| image::Rgba([x as u8 * 6, y as u8 * 8, (x * y) as u8, 255]));
    let mut coded = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut coded);
    picture.write_with_encoder(encoder).unwrap();
    coded
}

/// What once failed is tried again first; the file is committed.
fn regressions() -> Option<Box<dyn FailurePersistence>> {
    Some(Box::new(FileFailurePersistence::WithSource("regressions")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: regressions(), ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = decode(&bytes, Wanted { width: 64, height: 64 });
    }

    /// The decoder is not ours to break, but the way to the small picture inside leads through boxes and directories.
    #[test]
    fn changed_bytes_of_a_heic_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = HEIC.clone();
        for (place, value) in changes {
            let at = place.index(bytes.len().min(4_096));
            bytes[at] = value;
        }
        let _ = thumbnail_of_bytes(&bytes);
    }

    #[test]
    fn noise_behind_a_good_beginning_never_panics(
        seed in 0..5_usize, kept in 2..400_usize, noise in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let start = &SEEDS[seed][..kept.min(SEEDS[seed].len())];
        let _ = decode(&[start, &noise].concat(), Wanted { width: 64, height: 64 });
    }

    #[test]
    fn changed_bytes_never_panic_and_what_is_decoded_is_whole(
        seed in 0..5_usize,
        // Most of what matters is in the headers, so half of the changes are there.
        changes in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for (in_header, place, value) in changes {
            let length = if in_header { bytes.len().min(200) } else { bytes.len() };
            let at = place.index(length);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = thumbnail_of_bytes(&bytes);
        for wanted in [Wanted { width: 16, height: 16 }, Wanted::ALL] {
            if let Ok(pixels) = decode(&bytes, wanted) {
                prop_assert_eq!(pixels.rgb.len(), pixels.width as usize * pixels.height as usize * 3);
            }
        }
    }
}
