//! The cover picture of an MP4 or QuickTime file (`moov/udta/meta/ilst/covr`, as ISO/IEC 14496-12 nests boxes and iTunes names
//! them): all that can be shown of a video without a decoder of videos.
//!
//! Only headers of boxes are read on the way, a few bytes each, so that it costs the same for a clip and for a film. A file
//! that nests otherwise or lies about lengths has no cover.

use snaptrak_domain::sealed_reader::{ReadError, SealedReader};

/// Boxes that are looked at: a film in fragments begins with its `moov`, and everything else has some dozens.
const BOXES_MAX: usize = 1_000;

/// Bytes of a cover: what shops sell has some hundred kilobytes.
const COVER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of a box's header, with a length of 64 bits.
const HEADER_BYTES: usize = 16;

/// From the outside in; each with the bytes of its own that precede the boxes in it.
const PATH: [(&[u8; 4], u64); 6] = [(b"moov", 0), (b"udta", 0), (b"meta", 4), (b"ilst", 0), (b"covr", 0), (b"data", 8)];

/// The cover's bytes, a JPEG or PNG as they say; `None` if there is none.
pub(crate) fn cover(reader: &mut dyn SealedReader) -> Result<Option<Vec<u8>>, ReadError> {
    let mut start = [0; 8];
    if fill(reader, 0, &mut start)? < start.len() || &start[4..] != b"ftyp" {
        return Ok(None);
    }
    let (mut from, mut to) = (0, reader.bytes());
    let mut boxes_left = BOXES_MAX;
    for (name, own_bytes) in PATH {
        let Some((inside, end)) = find(reader, name, from, to, &mut boxes_left)? else { return Ok(None) };
        (from, to) = (inside + own_bytes, end);
    }
    let Some(length) = to.checked_sub(from).filter(|length| *length <= COVER_BYTES_MAX) else { return Ok(None) };
    let mut picture = vec![0; length as usize];
    let filled = fill(reader, from, &mut picture)?;
    Ok((filled == picture.len()).then_some(picture))
}

/// Where the content of the first box of this name between two places begins and ends.
fn find(
    reader: &mut dyn SealedReader,
    name: &[u8; 4],
    from: u64,
    to: u64,
    boxes_left: &mut usize,
) -> Result<Option<(u64, u64)>, ReadError> {
    let mut at = from;
    while at < to && *boxes_left > 0 {
        *boxes_left -= 1;
        let mut header = [0; HEADER_BYTES];
        let filled = fill(reader, at, &mut header)?;
        let Some((length, header_bytes)) = length_of(&header[..filled], to - at) else { return Ok(None) };
        if &header[4..8] == name {
            return Ok(Some((at + header_bytes, at + length)));
        }
        at += length;
    }
    Ok(None)
}

/// Bytes of the box and of its header; `None` if it does not fit into what is left.
fn length_of(header: &[u8], left: u64) -> Option<(u64, u64)> {
    let short = u64::from(u32::from_be_bytes(*header.first_chunk()?));
    let (length, header_bytes) = match short {
        // To the end of the file.
        0 => (left, 8),
        1 => (u64::from_be_bytes(*header.get(8..)?.first_chunk()?), 16),
        length => (length, 8),
    };
    (header.len() >= 8 && length >= header_bytes && length <= left).then_some((length, header_bytes))
}

fn fill(reader: &mut dyn SealedReader, from: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read_at(from + filled as u64, &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Vec<u8>);

    impl SealedReader for Memory {
        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
            let rest = &self.0[(offset as usize).min(self.0.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), name.as_slice(), content].concat()
    }

    fn video(picture: &[u8]) -> Vec<u8> {
        let data = boxed(b"data", &[&[0, 0, 0, 13, 0, 0, 0, 0], picture].concat());
        let list = boxed(b"ilst", &[boxed(b"\xa9too", b"tool"), boxed(b"covr", &data)].concat());
        let meta = boxed(b"meta", &[&[0; 4], boxed(b"hdlr", &[0; 25]).as_slice(), &list].concat());
        let movie = boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), boxed(b"udta", &meta)].concat());
        let long = [&1_u32.to_be_bytes(), b"mdat".as_slice(), &5_016_u64.to_be_bytes(), &[7; 5_000]].concat();
        [boxed(b"ftyp", b"isom\0\0\0\0isom"), long, movie].concat()
    }

    #[test]
    fn a_cover_is_found_behind_a_long_box_and_nothing_else_is() {
        let file = video(b"picture");
        assert_eq!(cover(&mut Memory(file.clone())).unwrap().unwrap(), b"picture");
        assert_eq!(cover(&mut Memory(b"not a film at all".to_vec())).unwrap(), None);
        // Whatever byte is changed or missing, the answer is some bytes of the file or none.
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0xff;
            let _ = cover(&mut Memory(changed)).unwrap();
            assert_eq!(cover(&mut Memory(file[..at].to_vec())).unwrap(), None, "cut at {at}");
        }
    }
}
