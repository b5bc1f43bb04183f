//! Reading an asset's plaintext without knowing how it is sealed.

use crate::Reason;

/// Why plaintext cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes cannot be read: {}", reason.code.as_str())]
pub struct ReadError {
    /// The reason, ready for a step.
    pub reason: Reason,
}

/// Random access to one asset's plaintext; only the segments that are touched are decrypted.
pub trait SealedReader: Send {
    /// Plaintext bytes of the asset.
    fn bytes(&self) -> u64;
    /// Fills `buffer` from `offset`; the answer is how many bytes there were (short only at the end).
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError>;

    /// The whole plaintext, if it is at most `bytes_max`.
    fn read_all(&mut self, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let too_large = ReadError { reason: Reason::new(crate::ReasonCode::PictureTooLarge) };
        if self.bytes() > bytes_max {
            return Err(too_large);
        }
        let length = usize::try_from(self.bytes()).map_err(|_| too_large)?;
        let mut plain = vec![0_u8; length];
        let mut filled = 0;
        while filled < length {
            match self.read_at(filled as u64, &mut plain[filled..])? {
                0 => return Err(ReadError { reason: Reason::new(crate::ReasonCode::LocalDamaged) }),
                count => filled += count,
            }
        }
        Ok(plain)
    }
}
