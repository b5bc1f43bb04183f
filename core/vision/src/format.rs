//! What a file is, by its first bytes. A file's name is never looked at.

use snaptrak_domain::sealed_reader::{ReadError, SealedReader};

/// Bytes that are enough to tell: an `ftyp` box with a handful of brands.
pub const SNIFF_BYTES: usize = 64;

/// The first bytes of an asset, enough for [`Format::of`].
pub(crate) fn first_bytes(reader: &mut dyn SealedReader) -> Result<Vec<u8>, ReadError> {
    let mut first = vec![0; SNIFF_BYTES];
    let mut filled = 0;
    while filled < first.len() {
        match reader.read_at(filled as u64, &mut first[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    first.truncate(filled);
    Ok(first)
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// A picture format without a decoder in this build; the word names it in reasons.
    Foreign(&'static str),
}

impl Format {
    /// The word in reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Foreign(name) => name,
        }
    }

    /// The format of the file that starts with `bytes`; `None` if it is no picture that we know.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            return Some(Self::Jpeg);
        }
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(Self::WebP);
        }
        foreign(bytes).map(Self::Foreign)
    }
}

fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 12] = [
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
        (b"\xff\x4f\xff\x51", "jpeg2000"),
        (b"\xff\x0a", "jpegxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jpegxl"),
        (b"8BPS", "psd"),
        (b"qoif", "qoi"),
    ];
    if let Some((_, name)) = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return Some(name);
    }
    // Two letters are little evidence, so the header's zero fields are looked at too.
    if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) {
        return Some("bmp");
    }
    heif(bytes)
}

/// HEIF and AVIF: an `ftyp` box whose brands name the coding. Other brands of the same container are videos.
fn heif(bytes: &[u8]) -> Option<&'static str> {
    const HEIC: [&[u8]; 6] = [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"];
    const AVIF: [&[u8]; 2] = [b"avif", b"avis"];
    const ANY: [&[u8]; 2] = [b"mif1", b"msf1"];
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let brands = &bytes[8..length.clamp(8, bytes.len())];
    // Major brand, version, then the compatible ones; the version matches no brand.
    let named = |wanted: &[&[u8]]| brands.chunks_exact(4).any(|brand| wanted.contains(&brand));
    match (named(&AVIF), named(&HEIC), named(&ANY)) {
        (true, _, _) => Some("avif"),
        (_, true, _) => Some("heic"),
        (_, _, true) => Some("heif"),
        (false, false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_a_few_bytes_are_enough_or_nothing() {
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
        let avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf";
        let video = b"\0\0\0\x14ftypisom\0\0\x02\0isom";
        assert_eq!(Format::of(heic), Some(Format::Foreign("heic")));
        assert_eq!(Format::of(avif), Some(Format::Foreign("avif")));
        assert_eq!(Format::of(video), None);
        assert_eq!(Format::of(b"\xff\xd8\xff\xe0"), Some(Format::Jpeg));
        assert_eq!(Format::of(b"RIFF\0\0\0\0WEBPVP8 "), Some(Format::WebP));
        assert_eq!(Format::of(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(Format::of(b"BMW is a car, not a bitmap"), None);
        assert_eq!(Format::of(b"a plain text"), None);
        for length in 0..heic.len() {
            let _ = Format::of(&heic[..length]);
        }
        assert_eq!(Format::of(b"\xff\xff\xff\xffftypheic"), Some(Format::Foreign("heic")), "a length that lies");
    }
}
