//! The few lines of the tar format (POSIX ustar) that a bundle needs: regular files with short names.
//!
//! Written here and not taken from a crate, because a bundle comes from strangers: what is not read cannot be misused. Any tar
//! program unpacks what this writes; of what others write, everything but a plain file with a short name is refused.

use crate::StoreError;
use std::io::{self, Read, Write};

/// Everything in a tar file comes in blocks of this length.
const BLOCK_BYTES: usize = 512;
const NAME_BYTES: usize = 100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;

/// Writes one file.
pub(super) fn write(writer: &mut dyn Write, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = [0_u8; BLOCK_BYTES];
    assert!(name.len() < NAME_BYTES, "the names of a store's files are short");
    header[..name.len()].copy_from_slice(name.as_bytes());
    // Mode, owner and time are of no use to whoever recovers; the same store gives the same bundle.
    header[100..108].copy_from_slice(b"0000600\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[SIZE].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[KIND] = b'0';
    header[MAGIC].copy_from_slice(b"ustar\x0000");
    let sum = checksum(&header);
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    writer.write_all(&header)?;
    writer.write_all(content)?;
    writer.write_all(&[0; BLOCK_BYTES][..padding(content.len())])
}

/// Ends the archive.
pub(super) fn end(writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(&[0; 2 * BLOCK_BYTES])
}

/// What follows in an archive.
pub(super) enum Next {
    /// A file; its content comes next.
    File { name: String, bytes: u64 },
    /// The end.
    End,
    /// The archive is cut short.
    Torn,
}

/// Reads a header.
pub(super) fn next(reader: &mut dyn Read) -> Result<Next, StoreError> {
    let mut header = [0_u8; BLOCK_BYTES];
    if !fill(reader, &mut header)? {
        return Ok(Next::Torn);
    }
    if header == [0; BLOCK_BYTES] {
        return Ok(Next::End);
    }
    let refused = || StoreError::Refused { code: "not_a_bundle" };
    if &header[MAGIC.start..MAGIC.start + 5] != b"ustar" || octal(&header[CHECKSUM]) != Some(checksum(&header)) {
        return Err(refused());
    }
    // A link, a device, a folder, a long name: nothing of it is in a bundle. Nor is a prefix to the name.
    if !matches!(header[KIND], b'0' | 0) || header[345] != 0 {
        return Err(refused());
    }
    let length = header[..NAME_BYTES].iter().position(|byte| *byte == 0).ok_or_else(refused)?;
    let name = std::str::from_utf8(&header[..length]).map_err(|_| refused())?.to_owned();
    Ok(Next::File { name, bytes: octal(&header[SIZE]).ok_or_else(refused)? })
}

/// Reads the content of a file whose length was judged, and what pads it; `None` where the archive is cut short.
pub(super) fn content(reader: &mut dyn Read, bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let length = usize::try_from(bytes).map_err(|_| StoreError::Refused { code: "not_a_bundle" })?;
    let mut content = Vec::new();
    (&mut *reader).take(bytes).read_to_end(&mut content).map_err(read_failed)?;
    let mut rest = [0; BLOCK_BYTES];
    let whole = content.len() == length && fill(reader, &mut rest[..padding(length)])?;
    Ok(whole.then_some(content))
}

/// Fills the buffer; `false` at the end of the reader.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<bool, StoreError> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(read_failed(error)),
    }
}

fn read_failed(error: io::Error) -> StoreError {
    StoreError::Source { source: std::sync::Arc::new(error) }
}

fn padding(bytes: usize) -> usize {
    (BLOCK_BYTES - bytes % BLOCK_BYTES) % BLOCK_BYTES
}

/// The sum of a header's bytes, with its own field taken as spaces.
fn checksum(header: &[u8; BLOCK_BYTES]) -> u64 {
    let byte = |(place, byte): (usize, &u8)| if CHECKSUM.contains(&place) { u64::from(b' ') } else { u64::from(*byte) };
    header.iter().enumerate().map(byte).sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|letter| letter == '\0' || letter == ' ');
    if digits.is_empty() || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, "store.json", b"{}").unwrap();
        write(&mut bytes, "journal/00000001.jsonl", &[7; 1024]).unwrap();
        end(&mut bytes).unwrap();
        bytes
    }

    fn read_all(mut reader: &[u8]) -> Result<Vec<(String, usize)>, StoreError> {
        let mut found = Vec::new();
        loop {
            match next(&mut reader)? {
                Next::File { name, bytes } => match content(&mut reader, bytes)? {
                    Some(content) => found.push((name, content.len())),
                    None => return Ok(found),
                },
                Next::End | Next::Torn => return Ok(found),
            }
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_cut_archive_gives_what_is_whole() {
        let bytes = archive();
        assert_eq!(
            read_all(&bytes).unwrap(),
            [("store.json".to_owned(), 2), ("journal/00000001.jsonl".to_owned(), 1024)]
        );
        for length in 0..bytes.len() {
            assert!(read_all(&bytes[..length]).unwrap().len() <= 2);
        }
    }

    #[test]
    fn no_flipped_byte_of_a_header_panics_or_makes_a_longer_file() {
        let bytes = archive();
        for place in 0..BLOCK_BYTES {
            for mask in [0x01, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= mask;
                assert!(read_all(&damaged).is_err(), "byte {place}");
            }
        }
    }
}
