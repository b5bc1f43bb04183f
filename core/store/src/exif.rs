//! What a picture says of its own making, read once from its first bytes.
//!
//! Nothing here can fail a capture: what is broken, missing or out of range is absent. The original stays bit for bit.

use exif::{Exif, In, Tag, Value};
use snaptrak_domain::{Location, Orientation, capture::EmbeddedMetadata};
use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Media types with a container in which EXIF is looked for.
const WITH_EXIF: [&str; 7] =
    ["image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "image/avif", "image/tiff"];

/// JPEG has EXIF in its first segments, each of at most 64 KiB.
const JPEG_HEAD_BYTES: usize = 160 * 1024;

/// Enough for EXIF with its thumbnail in what phones write; where it comes later, the capture goes without.
const HEAD_BYTES: usize = 512 * 1024;

/// Bytes of a file's beginning in which [`read`] looks.
pub(crate) fn head_bytes(content_type: &str) -> usize {
    match content_type {
        "image/jpeg" => JPEG_HEAD_BYTES,
        known if WITH_EXIF.contains(&known) => HEAD_BYTES,
        _ => 0,
    }
}

/// Reads what it can from the first bytes of a file.
pub(crate) fn read(content_type: &str, head: &[u8]) -> EmbeddedMetadata {
    if !WITH_EXIF.contains(&content_type) {
        return EmbeddedMetadata::default();
    }
    // The parser is not ours and its input is hostile; a capture is worth more than what it would have said.
    catch_unwind(AssertUnwindSafe(|| parse(head))).ok().flatten().unwrap_or_default()
}

fn parse(head: &[u8]) -> Option<EmbeddedMetadata> {
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    let read = match webp_block_with_prefix(head) {
        Some(block) => reader.read_raw(block),
        None => reader.read_from_container(&mut Cursor::new(head)),
    };
    let exif = read.or_else(|error| error.distill_partial_result(|_| {})).ok()?;
    Some(EmbeddedMetadata {
        taken_local: ascii(&exif, Tag::DateTimeOriginal).and_then(|text| local_time(&text)),
        taken_offset_minutes: ascii(&exif, Tag::OffsetTimeOriginal).and_then(|text| offset_minutes(&text)),
        orientation: field(&exif, Tag::Orientation)
            .and_then(|value| value.get_uint(0))
            .and_then(Orientation::from_exif),
        location: location(&exif),
    })
}

/// A WebP's EXIF chunk that begins as JPEG's does (`Exif`, two zeros), where it does not belong: some writers do so, and the
/// parser takes it for damage. `None` for everything else.
fn webp_block_with_prefix(head: &[u8]) -> Option<Vec<u8>> {
    const PREFIX: &[u8] = b"Exif\0\0";
    if !head.starts_with(b"RIFF") {
        return None;
    }
    let mut chunks = head.get(12..)?;
    loop {
        let (name, rest) = chunks.split_at_checked(4)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if name == b"EXIF" {
            return rest.get(..length)?.strip_prefix(PREFIX).map(<[u8]>::to_vec);
        }
        // Chunks are padded to even lengths.
        chunks = rest.get(length.checked_add(length & 1)?..)?;
    }
}

fn field(exif: &Exif, tag: Tag) -> Option<&Value> {
    exif.get_field(tag, In::PRIMARY).map(|field| &field.value)
}

fn ascii(exif: &Exif, tag: Tag) -> Option<String> {
    match field(exif, tag)? {
        Value::Ascii(lines) => String::from_utf8(lines.first()?.clone()).ok(),
        Value::Byte(_)
        | Value::Short(_)
        | Value::Long(_)
        | Value::Rational(_)
        | Value::SByte(_)
        | Value::Undefined(..)
        | Value::SShort(_)
        | Value::SLong(_)
        | Value::SRational(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Unknown(..) => None,
    }
}

/// `2026:11:22 07:09:50` as `2026-11-22T07:09:50`.
fn local_time(text: &str) -> Option<String> {
    let parsed = exif::DateTime::from_ascii(text.trim_end_matches(['\0', ' ']).as_bytes()).ok()?;
    let exif::DateTime { year, month, day, hour, minute, second, .. } = parsed;
    let valid =
        year > 0 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    valid.then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// `+05:30` as 330.
fn offset_minutes(text: &str) -> Option<i32> {
    let text = text.trim_end_matches(['\0', ' ']);
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    ((0..=14).contains(&hours) && (0..60).contains(&minutes)).then(|| sign * (hours * 60 + minutes))
}

fn location(exif: &Exif) -> Option<Location> {
    let latitude = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, "N", "S")?;
    let longitude = degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, "E", "W")?;
    let accuracy_m = rationals(exif, Tag::GPSHPositioningError).and_then(|values| values.first().copied());
    let accuracy_m = accuracy_m.filter(|metres| metres.is_finite() && *metres >= 0.0);
    Some(Location { latitude, longitude, accuracy_m }).filter(Location::is_valid)
}

fn degrees(exif: &Exif, tag: Tag, reference: Tag, positive: &str, negative: &str) -> Option<f64> {
    let values = rationals(exif, tag)?;
    let [degrees, minutes, seconds] = values.as_slice() else { return None };
    let value = degrees + minutes / 60.0 + seconds / 3600.0;
    let hemisphere = ascii(exif, reference)?;
    let hemisphere = hemisphere.trim_end_matches(['\0', ' ']);
    if hemisphere == positive {
        Some(value)
    } else if hemisphere == negative {
        Some(-value)
    } else {
        None
    }
}

fn rationals(exif: &Exif, tag: Tag) -> Option<Vec<f64>> {
    match field(exif, tag)? {
        Value::Rational(values) => Some(values.iter().map(exif::Rational::to_f64).collect()),
        Value::Byte(_)
        | Value::Ascii(_)
        | Value::Short(_)
        | Value::Long(_)
        | Value::SByte(_)
        | Value::Undefined(..)
        | Value::SShort(_)
        | Value::SLong(_)
        | Value::SRational(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Unknown(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exif::{Field, Rational, experimental::Writer};

    fn text(tag: Tag, text: &str) -> Field {
        Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.as_bytes().to_vec()]) }
    }

    fn degrees_field(tag: Tag, values: [(u32, u32); 3]) -> Field {
        let values = values.map(|(num, denom)| Rational { num, denom }).to_vec();
        Field { tag, ifd_num: In::PRIMARY, value: Value::Rational(values) }
    }

    /// A JPEG that consists of its EXIF segment alone.
    fn jpeg(fields: &[Field]) -> Vec<u8> {
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, false).unwrap();
        let tiff = tiff.into_inner();
        let length = u16::try_from(tiff.len() + 8).unwrap().to_be_bytes();
        [b"\xff\xd8\xff\xe1".as_slice(), &length, b"Exif\0\0", &tiff, b"\xff\xd9"].concat()
    }

    #[test]
    fn a_webp_whose_block_begins_as_a_jpegs_is_read() {
        let orientation = Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![8]) };
        let jpeg = jpeg(&[orientation]);
        let block = &jpeg[6..jpeg.len() - 2];
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        let odd_chunk = b"VP8L\x01\0\0\0\x2f\0".as_slice();
        let webp = [b"RIFF\0\0\0\0WEBP".as_slice(), odd_chunk, b"EXIF", &length, block].concat();
        assert_eq!(read("image/webp", &webp).orientation, Orientation::from_exif(8));
        // Cut anywhere, it is a picture without EXIF and never a panic.
        for end in 0..webp.len() {
            assert_eq!(read("image/webp", &webp[..end]).orientation, None, "{end}");
        }
    }

    #[test]
    fn time_offset_orientation_and_place_are_read() {
        let orientation = Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![6]) };
        let bytes = jpeg(&[
            text(Tag::DateTimeOriginal, "2026:11:22 07:09:50"),
            text(Tag::OffsetTimeOriginal, "-03:30"),
            orientation,
            text(Tag::GPSLatitudeRef, "S"),
            degrees_field(Tag::GPSLatitude, [(33, 1), (30, 1), (3600, 100)]),
            text(Tag::GPSLongitudeRef, "E"),
            degrees_field(Tag::GPSLongitude, [(151, 1), (0, 1), (0, 1)]),
        ]);
        let read = read("image/jpeg", &bytes);
        assert_eq!(read.taken_local.as_deref(), Some("2026-11-22T07:09:50"));
        assert_eq!(read.taken_offset_minutes, Some(-210));
        assert_eq!(read.orientation, Orientation::from_exif(6));
        let location = read.location.unwrap();
        assert!((location.latitude + 33.51).abs() < 1e-9 && (location.longitude - 151.0).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_absent_and_the_rest_stays() {
        let orientation = Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![9]) };
        let bytes = jpeg(&[
            text(Tag::DateTimeOriginal, "2026:13:22 07:09:50"),
            text(Tag::OffsetTimeOriginal, "+02:00"),
            orientation,
            text(Tag::GPSLatitudeRef, "N"),
            degrees_field(Tag::GPSLatitude, [(48, 0), (0, 0), (0, 0)]),
            text(Tag::GPSLongitudeRef, "E"),
            degrees_field(Tag::GPSLongitude, [(200, 1), (0, 1), (0, 1)]),
        ]);
        let expected = EmbeddedMetadata { taken_offset_minutes: Some(120), ..EmbeddedMetadata::default() };
        assert_eq!(read("image/jpeg", &bytes), expected);
    }

    #[test]
    fn broken_files_say_nothing_and_never_panic() {
        let bytes = jpeg(&[text(Tag::DateTimeOriginal, "2026:11:22 07:09:50"), text(Tag::OffsetTimeOriginal, "+:")]);
        for length in 0..bytes.len() {
            read("image/jpeg", &bytes[..length]);
            let mut flipped = bytes.clone();
            flipped[length] ^= 0xff;
            read("image/jpeg", &flipped);
        }
        for content_type in WITH_EXIF {
            assert_eq!(read(content_type, b"not a picture"), EmbeddedMetadata::default());
        }
        assert_eq!(read("video/mp4", &bytes), EmbeddedMetadata::default());
    }
}
