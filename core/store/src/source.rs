//! A reader of plaintext with its first bytes looked at, and an answer to whether it has ended.
//!
//! Owns what was read ahead, wiped when it is taken or dropped. Refuses to know what is done with the bytes.

use crate::StoreError;
use std::io::{self, Read};
use zeroize::{Zeroize, Zeroizing};

/// A reader that knows whether it has ended: the last segment of a piece is sealed differently.
pub(crate) struct Source<'a> {
    reader: &'a mut dyn Read,
    /// Already read: the head that was looked at, then single bytes.
    ahead: Zeroizing<Vec<u8>>,
    taken: usize,
    ended: bool,
}

impl<'a> Source<'a> {
    /// Reads the first bytes, at most `head_bytes`, and keeps them for [`Source::fill`].
    pub(crate) fn start(reader: &'a mut dyn Read, head_bytes: usize) -> Result<Self, StoreError> {
        let mut ahead = Zeroizing::new(vec![0; head_bytes]);
        let read = read_full(reader, &mut ahead)?;
        ahead.truncate(read);
        Ok(Self { reader, ahead, taken: 0, ended: read < head_bytes })
    }

    /// What was read ahead and not taken.
    pub(crate) fn head(&self) -> &[u8] {
        &self.ahead[self.taken..]
    }

    /// Whether every byte has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.ended && self.head().is_empty()
    }

    /// Whether the source has ended within [`Source::head`].
    pub(crate) fn is_all_ahead(&self) -> bool {
        self.ended
    }

    /// Reads on until `head_bytes` bytes are ahead or the source ends. Only before the first [`Source::fill`].
    pub(crate) fn look_further(&mut self, head_bytes: usize) -> Result<(), StoreError> {
        let known = self.ahead.len();
        if self.ended || known >= head_bytes {
            return Ok(());
        }
        // A vector that grows leaves its bytes behind; a new one does not.
        let mut longer = Zeroizing::new(vec![0; head_bytes]);
        longer[..known].copy_from_slice(&self.ahead);
        let read = read_full(self.reader, &mut longer[known..])?;
        longer.truncate(known + read);
        self.ended = known + read < head_bytes;
        self.ahead = longer;
        Ok(())
    }

    /// Fills the buffer, or takes what is left.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let from_ahead = self.head().len().min(buffer.len());
        buffer[..from_ahead].copy_from_slice(&self.ahead[self.taken..self.taken + from_ahead]);
        self.taken += from_ahead;
        let mut filled = from_ahead;
        if filled < buffer.len() && !self.ended {
            filled += read_full(self.reader, &mut buffer[filled..])?;
            self.ended = filled < buffer.len();
        }
        Ok(filled)
    }

    /// Whether every byte has been taken; reads one ahead to know.
    pub(crate) fn at_end(&mut self) -> Result<bool, StoreError> {
        if !self.ended && self.head().is_empty() {
            let mut next = [0];
            self.ended = read_full(self.reader, &mut next)? == 0;
            self.ahead.zeroize();
            self.taken = 0;
            if !self.ended {
                self.ahead.push(next[0]);
            }
            next.zeroize();
        }
        Ok(self.is_empty())
    }
}

/// Reads until the buffer is full or the reader ends.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, StoreError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::Source { source: std::sync::Arc::new(error) }),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn every_byte_is_given_once_and_the_end_is_known_in_time() {
        let bytes: Vec<u8> = (0..100).collect();
        for length in [0, 1, 9, 10, 11, 29, 30, 31, 100] {
            for (head, further) in [(10, 10), (10, 30), (10, 200), (200, 10)] {
                let mut reader = Dribble(&bytes[..length]);
                let mut source = Source::start(&mut reader, head).unwrap();
                source.look_further(further).unwrap();
                assert_eq!(source.head(), &bytes[..length.min(head.max(further))]);
                let mut taken = Vec::new();
                while !source.at_end().unwrap() {
                    let mut buffer = [0; 7];
                    let count = source.fill(&mut buffer).unwrap();
                    assert!(count > 0, "{length} {head} {further}");
                    taken.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(taken, &bytes[..length], "{length} {head} {further}");
                assert_eq!(source.fill(&mut [0; 7]).unwrap(), 0);
            }
        }
    }
}
