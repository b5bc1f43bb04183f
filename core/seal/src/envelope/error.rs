//! What can go wrong with an envelope.

use snaptrak_domain::RandomError;

/// Why an envelope was not written or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// No randomness for a metadata nonce.
    #[error("no random bytes for a nonce")]
    Random(#[from] RandomError),
    /// More bytes than any envelope of an allowed asset has.
    #[error("an envelope has at most {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Written by a later version of the SDK: update, delete nothing.
    #[error("the envelope has format version {version}, which is newer than this software")]
    Newer {
        /// The version that the file names.
        version: u64,
    },
    /// Not an envelope, or one that breaks a rule of its format.
    #[error("the envelope is malformed: {reason}")]
    Malformed {
        /// Which rule, in words without the file's content.
        reason: &'static str,
    },
    /// The HMAC does not fit: the data key is another one, or the file was altered. They cannot be told apart.
    #[error("the envelope is not authentic under this data key")]
    NotAuthentic,
    /// The sealed metadata does not open although the envelope is authentic.
    #[error("the envelope's metadata does not open")]
    MetadataDamaged,
    /// The sealed metadata speaks of another capture or of other pieces than the envelope.
    #[error("the envelope and its sealed metadata contradict each other")]
    Contradiction,
    /// A piece out of order, or one after the end.
    #[error("the envelope expects piece {expected}, not {given}")]
    PieceOrder {
        /// The next index.
        expected: u32,
        /// The index that came.
        given: u32,
    },
    /// Nothing may be added to a closed list of pieces.
    #[error("the envelope is closed")]
    Closed,
    /// The envelope belongs to another organisation already.
    #[error("the envelope belongs to another organisation")]
    OtherOrganisation,
    /// More pieces or wraps than the bounds allow.
    #[error("the envelope is full")]
    Full,
}
