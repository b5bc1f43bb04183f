//! A JPEG with a text in its EXIF, made of another JPEG.

/// TIFF tags that hold text: ImageDescription, Make, Model, Artist, Copyright.
const TEXT_TAGS: [u16; 5] = [0x010e, 0x010f, 0x0110, 0x013b, 0x8298];

/// The picture with `text` in each of these tags, in front of whatever metadata it has.
pub fn jpeg_with_text(jpeg: &[u8], text: &str) -> Vec<u8> {
    assert_eq!(&jpeg[..2], [0xff, 0xd8], "a JPEG begins with SOI");
    let tiff = tiff(text);
    let length = u16::try_from(2 + 6 + tiff.len()).unwrap();
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", &tiff, &jpeg[2..]].concat()
}

/// A big-endian TIFF of one folder whose entries all point at the same text (TIFF 6.0, section 2).
fn tiff(text: &str) -> Vec<u8> {
    let entries = TEXT_TAGS.len();
    let text_at = 8 + 2 + 12 * entries + 4;
    let mut tiff = [&b"MM\0\x2a"[..], &8_u32.to_be_bytes()].concat();
    tiff.extend((entries as u16).to_be_bytes());
    for tag in TEXT_TAGS {
        const ASCII: u16 = 2;
        tiff.extend([tag.to_be_bytes(), ASCII.to_be_bytes()].concat());
        tiff.extend([(text.len() as u32 + 1).to_be_bytes(), (text_at as u32).to_be_bytes()].concat());
    }
    tiff.extend(0_u32.to_be_bytes());
    tiff.extend(text.bytes().chain([0]));
    tiff
}
