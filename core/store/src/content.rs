//! What a file is, by its first bytes and never by its name.
//!
//! A small table of our own: the formats are few, their signatures do not change, and a crate would bring hundreds that
//! nobody captures. What is not known is a file, which is always a right answer.

use snaptrak_domain::Kind;

/// Bytes from the start that are looked at; a transport stream shows itself by its third packet.
pub(crate) const DETECT_BYTES: usize = 4_096;

/// A PDF may begin with other bytes than its signature, up to here (ISO 32000, implementation notes).
const PDF_SIGNATURE_WITHIN: usize = 1_024;

/// Length of a packet of an MPEG transport stream.
const TRANSPORT_PACKET_BYTES: usize = 188;

/// Kind and media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    pub(crate) content_type: &'static str,
}

const fn content(kind: Kind, content_type: &'static str) -> Content {
    Content { kind, content_type }
}

/// Signatures at the very start.
const SIGNATURES: &[(&[u8], Content)] = &[
    (b"\xff\xd8\xff", content(Kind::Photo, "image/jpeg")),
    (b"\x89PNG\r\n\x1a\n", content(Kind::Photo, "image/png")),
    (b"GIF87a", content(Kind::Photo, "image/gif")),
    (b"GIF89a", content(Kind::Photo, "image/gif")),
    (b"II*\0", content(Kind::Photo, "image/tiff")),
    (b"MM\0*", content(Kind::Photo, "image/tiff")),
    (b"\xff\x0a", content(Kind::Photo, "image/jxl")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", content(Kind::Photo, "image/jxl")),
    (b"OggS", content(Kind::Audio, "audio/ogg")),
    (b"fLaC", content(Kind::Audio, "audio/flac")),
    (b"ID3", content(Kind::Audio, "audio/mpeg")),
    (b"#!AMR-WB\n", content(Kind::Audio, "audio/amr-wb")),
    (b"#!AMR\n", content(Kind::Audio, "audio/amr")),
    (b"ADIF", content(Kind::Audio, "audio/aac")),
    (b"\0\0\x01\xba", content(Kind::Video, "video/mpeg")),
    (b"PK\x03\x04", content(Kind::File, "application/zip")),
    (b"\x1f\x8b", content(Kind::File, "application/gzip")),
];

/// Decides by the first bytes, as many as [`DETECT_BYTES`] if there are so many.
pub(crate) fn detect(head: &[u8]) -> Content {
    let head = &head[..head.len().min(DETECT_BYTES)];
    container(head)
        .or_else(|| {
            SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)).map(|(_, found)| refine(head, *found))
        })
        .or_else(|| without_signature(head))
        .unwrap_or(content(Kind::File, "application/octet-stream"))
}

/// Formats whose signature says only how they are packed.
fn container(head: &[u8]) -> Option<Content> {
    if head.starts_with(b"RIFF") {
        return match head.get(8..12)? {
            b"WEBP" => Some(content(Kind::Photo, "image/webp")),
            b"WAVE" => Some(content(Kind::Audio, "audio/wav")),
            b"AVI " => Some(content(Kind::Video, "video/x-msvideo")),
            _ => None,
        };
    }
    if head.get(4..8) == Some(b"ftyp") {
        return Some(iso_media(head));
    }
    if head.starts_with(b"\x1a\x45\xdf\xa3") {
        let web = contains(&head[..head.len().min(128)], b"webm");
        return Some(content(Kind::Video, if web { "video/webm" } else { "video/x-matroska" }));
    }
    None
}

/// ISO base media files name their kind by brands: one major, then those that they are compatible with.
fn iso_media(head: &[u8]) -> Content {
    let declared = head.get(..4).map_or(0, |size| u32::from_be_bytes([size[0], size[1], size[2], size[3]])) as usize;
    let end = declared.clamp(16, head.len().max(16)).min(head.len());
    let brands: Vec<&[u8]> = head
        .get(8..end)
        .unwrap_or_default()
        .chunks_exact(4)
        .enumerate()
        .filter(|(place, _)| *place != 1)
        .map(|(_, brand)| brand)
        .collect();
    let has = |wanted: &[&[u8]]| brands.iter().any(|brand| wanted.contains(brand));
    let major = brands.first().copied().unwrap_or_default();
    if has(&[b"avif", b"avis"]) {
        content(Kind::Photo, "image/avif")
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]) {
        content(Kind::Photo, "image/heic")
    } else if has(&[b"mif1", b"msf1", b"mif2"]) {
        content(Kind::Photo, "image/heif")
    } else if major == b"crx " {
        content(Kind::Photo, "image/x-canon-cr3")
    } else if major.starts_with(b"M4A") || major.starts_with(b"M4B") {
        content(Kind::Audio, "audio/mp4")
    } else if major == b"qt  " {
        content(Kind::Video, "video/quicktime")
    } else if major.starts_with(b"3gp") || major.starts_with(b"3gs") || major.starts_with(b"3gr") {
        content(Kind::Video, "video/3gpp")
    } else if major.starts_with(b"3g2") {
        content(Kind::Video, "video/3gpp2")
    } else {
        content(Kind::Video, "video/mp4")
    }
}

/// What a signature leaves open.
fn refine(head: &[u8], found: Content) -> Content {
    let first_page = &head[..head.len().min(128)];
    if found.content_type == "audio/ogg" && contains(first_page, b"\x80theora") {
        return content(Kind::Video, "video/ogg");
    }
    found
}

fn without_signature(head: &[u8]) -> Option<Content> {
    if contains(&head[..head.len().min(PDF_SIGNATURE_WITHIN)], b"%PDF-") {
        return Some(content(Kind::Scan, "application/pdf"));
    }
    if let [0xff, second, third, ..] = head {
        // Twelve bits of frame sync, then layer 0 for ADTS and 1 to 3 for MPEG audio, whose bit rate is never all ones.
        if second & 0xf6 == 0xf0 {
            return Some(content(Kind::Audio, "audio/aac"));
        }
        if second & 0xe0 == 0xe0 && second & 0x06 != 0 && second & 0x18 != 0x08 && third & 0xf0 != 0xf0 {
            return Some(content(Kind::Audio, "audio/mpeg"));
        }
    }
    if head.len() > 2 * TRANSPORT_PACKET_BYTES
        && [0, TRANSPORT_PACKET_BYTES, 2 * TRANSPORT_PACKET_BYTES].iter().all(|place| head[*place] == 0x47)
    {
        return Some(content(Kind::Video, "video/mp2t"));
    }
    if is_text(head) {
        return Some(content(Kind::File, "text/plain"));
    }
    None
}

/// UTF-8 without control characters, possibly cut in its last character.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|character| character.is_control() && !"\t\n\r\x0c".contains(character))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ftyp(brands: &[u8]) -> Vec<u8> {
        let mut head = (8 + brands.len() as u32 + 4).to_be_bytes().to_vec();
        head.extend_from_slice(b"ftyp");
        head.extend_from_slice(&brands[..4]);
        head.extend_from_slice(b"\0\0\0\0");
        head.extend_from_slice(&brands[4..]);
        head.extend_from_slice(b"\0\0\0\x08mdat");
        head
    }

    #[test]
    fn every_format_is_known_by_its_first_bytes() {
        let mut transport = vec![0_u8; 400];
        for place in [0, 188, 376] {
            transport[place] = 0x47;
        }
        let theora = b"OggS\0\x02\0\0\0\0\0\0\0\0abcd\0\0\0\0efgh\x01\x2a\x80theora\x03\x02\x01".to_vec();
        let cases: &[(Vec<u8>, Kind, &str)] = &[
            (b"\xff\xd8\xff\xe1".to_vec(), Kind::Photo, "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n....".to_vec(), Kind::Photo, "image/png"),
            (b"RIFF\0\0\0\0WEBPVP8 ".to_vec(), Kind::Photo, "image/webp"),
            (b"RIFF\0\0\0\0WAVEfmt ".to_vec(), Kind::Audio, "audio/wav"),
            (b"RIFF\0\0\0\0AVI LIST".to_vec(), Kind::Video, "video/x-msvideo"),
            (ftyp(b"heicmif1heic"), Kind::Photo, "image/heic"),
            (ftyp(b"mif1mif1heic"), Kind::Photo, "image/heic"),
            (ftyp(b"mif1miaf"), Kind::Photo, "image/heif"),
            (ftyp(b"avifmif1"), Kind::Photo, "image/avif"),
            (ftyp(b"isomiso2avc1mp41"), Kind::Video, "video/mp4"),
            (ftyp(b"qt  "), Kind::Video, "video/quicktime"),
            (ftyp(b"3gp43gp4"), Kind::Video, "video/3gpp"),
            (ftyp(b"M4A mp42"), Kind::Audio, "audio/mp4"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm".to_vec(), Kind::Video, "video/webm"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska".to_vec(), Kind::Video, "video/x-matroska"),
            (b"GIF89a".to_vec(), Kind::Photo, "image/gif"),
            (b"II*\0\x08".to_vec(), Kind::Photo, "image/tiff"),
            (b"ID3\x04".to_vec(), Kind::Audio, "audio/mpeg"),
            (b"\xff\xfb\x90\x00".to_vec(), Kind::Audio, "audio/mpeg"),
            (b"\xff\xf1\x50\x80".to_vec(), Kind::Audio, "audio/aac"),
            (b"OggS\0\x02".to_vec(), Kind::Audio, "audio/ogg"),
            (theora, Kind::Video, "video/ogg"),
            (b"fLaC\0".to_vec(), Kind::Audio, "audio/flac"),
            (b"#!AMR\n<".to_vec(), Kind::Audio, "audio/amr"),
            (b"%PDF-1.7".to_vec(), Kind::Scan, "application/pdf"),
            (b"\n\n%PDF-1.4".to_vec(), Kind::Scan, "application/pdf"),
            (transport, Kind::Video, "video/mp2t"),
            ("Gerüst, dritter Stock\n".as_bytes().to_vec(), Kind::File, "text/plain"),
            ("cut in an umlaut: ä".as_bytes()[..19].to_vec(), Kind::File, "text/plain"),
            (vec![0; 4096], Kind::File, "application/octet-stream"),
            (b"\xff".to_vec(), Kind::File, "application/octet-stream"),
            (b"\xff\xff\xff\xff".to_vec(), Kind::File, "application/octet-stream"),
            (b"\0\0\0\0ftyp".to_vec(), Kind::Video, "video/mp4"),
        ];
        for (head, kind, content_type) in cases {
            assert_eq!(detect(head), content(*kind, content_type), "{content_type}");
        }
    }

    #[test]
    fn no_beginning_panics() {
        for (signature, _) in SIGNATURES {
            for length in 0..=signature.len() {
                detect(&signature[..length]);
            }
        }
        for length in 0..24 {
            detect(&ftyp(b"heicmif1heic")[..length]);
            detect(&b"RIFF\0\0\0\0WEBP"[..length.min(12)]);
        }
    }
}
