//! The sizes of a piece: where its segments lie and how long plaintext and sealed file are for each other.
//!
//! Pure arithmetic. A length that no plaintext could have given has no answer, so that a reader can call it damage.

pub use snaptrak_domain::limits::{PIECE_PLAIN_BYTES_MAX, SEGMENT_BYTES};

/// Length byte, salt and nonce prefix before the first segment's ciphertext.
pub const HEADER_BYTES: usize = 40;

/// AES-GCM tag at the end of every segment.
pub const TAG_BYTES: usize = 16;

/// Plaintext in the first segment of a piece, when it is full.
pub const FIRST_SEGMENT_PLAIN_BYTES: usize = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES;

/// Plaintext in each later segment, when it is full.
pub const LATER_SEGMENT_PLAIN_BYTES: usize = SEGMENT_BYTES - TAG_BYTES;

/// The longest sealed piece: 40 bytes of header and 513 tags above the longest plaintext.
pub const PIECE_SEALED_BYTES_MAX: u64 = sealed_bytes(PIECE_PLAIN_BYTES_MAX);

/// The shortest sealed piece, that of an empty plaintext: a header and one tag.
pub const PIECE_SEALED_BYTES_MIN: u64 = sealed_bytes(0);

/// Length of the sealed file for a plaintext of this length.
#[must_use]
pub const fn sealed_bytes(plain_bytes: u64) -> u64 {
    let later = plain_bytes.saturating_sub(FIRST_SEGMENT_PLAIN_BYTES as u64);
    let segments = 1 + later.div_ceil(LATER_SEGMENT_PLAIN_BYTES as u64);
    HEADER_BYTES as u64 + plain_bytes + segments * TAG_BYTES as u64
}

/// Length of the plaintext of a sealed file of this length; `None` where no plaintext of an allowed length gives it.
#[must_use]
pub const fn plain_bytes(sealed_bytes_: u64) -> Option<u64> {
    if sealed_bytes_ < HEADER_BYTES as u64 + TAG_BYTES as u64 {
        return None;
    }
    let segments = sealed_bytes_.div_ceil(SEGMENT_BYTES as u64);
    let Some(plain) = sealed_bytes_.checked_sub(HEADER_BYTES as u64 + segments * TAG_BYTES as u64) else {
        return None;
    };
    if plain > PIECE_PLAIN_BYTES_MAX || sealed_bytes(plain) != sealed_bytes_ {
        return None;
    }
    Some(plain)
}

/// Plaintext bytes of a segment that is full.
pub(super) const fn segment_plain_bytes(segment: u32) -> usize {
    if segment == 0 { FIRST_SEGMENT_PLAIN_BYTES } else { LATER_SEGMENT_PLAIN_BYTES }
}

/// Which segment holds a plaintext offset, and where in it.
pub(super) const fn locate(plain_offset: u64) -> (u32, usize) {
    let first = FIRST_SEGMENT_PLAIN_BYTES as u64;
    let later = LATER_SEGMENT_PLAIN_BYTES as u64;
    if plain_offset < first {
        return (0, plain_offset as usize);
    }
    (1 + ((plain_offset - first) / later) as u32, ((plain_offset - first) % later) as usize)
}

/// Where a segment's ciphertext begins in the file, the header of the first one skipped.
pub(super) const fn segment_offset(segment: u32) -> u64 {
    if segment == 0 { HEADER_BYTES as u64 } else { segment as u64 * SEGMENT_BYTES as u64 }
}

/// Ciphertext and tag of a segment in a sealed file of this length.
pub(super) const fn segment_sealed_bytes(segment: u32, sealed_bytes_: u64) -> usize {
    let end = (segment as u64 + 1) * SEGMENT_BYTES as u64;
    let end = if end < sealed_bytes_ { end } else { sealed_bytes_ };
    end.saturating_sub(segment_offset(segment)) as usize
}

/// Index of the last segment of a sealed file of this length.
pub(super) const fn last_segment(sealed_bytes_: u64) -> u32 {
    (sealed_bytes_.div_ceil(SEGMENT_BYTES as u64)).saturating_sub(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_around_segment_edges() {
        for (plain, sealed) in [
            (0, 56),
            (1, 57),
            (65_479, 65_535),
            (65_480, 65_536),
            (65_481, 65_553),
            (130_999, 131_071),
            (131_000, 131_072),
            (131_001, 131_089),
            (196_608, 196_712),
            (PIECE_PLAIN_BYTES_MAX, PIECE_SEALED_BYTES_MAX),
        ] {
            assert_eq!(sealed_bytes(plain), sealed);
            assert_eq!(plain_bytes(sealed), Some(plain));
        }
        assert_eq!(PIECE_SEALED_BYTES_MAX, 33_562_680);
    }

    #[test]
    fn impossible_lengths_have_no_plaintext() {
        for sealed in [0, 39, 40, 55, 65_537, 65_552, 131_073, 131_088, PIECE_SEALED_BYTES_MAX + 1, u64::MAX] {
            assert_eq!(plain_bytes(sealed), None, "{sealed}");
        }
    }

    proptest! {
        #[test]
        fn lengths_are_inverse(plain in 0..=PIECE_PLAIN_BYTES_MAX) {
            prop_assert_eq!(plain_bytes(sealed_bytes(plain)), Some(plain));
        }

        #[test]
        fn any_sealed_length_has_an_answer(sealed in any::<u64>()) {
            if let Some(plain) = plain_bytes(sealed) {
                prop_assert_eq!(sealed_bytes(plain), sealed);
            }
        }

        #[test]
        fn segments_cover_the_plaintext(plain in 1..=PIECE_PLAIN_BYTES_MAX, at in any::<prop::sample::Index>()) {
            let offset = at.index(plain as usize) as u64;
            let (segment, within) = locate(offset);
            prop_assert!(within < segment_sealed_bytes(segment, sealed_bytes(plain)) - TAG_BYTES);
            prop_assert!(segment <= last_segment(sealed_bytes(plain)));
        }
    }
}
