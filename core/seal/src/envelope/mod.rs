//! Envelopes: the small JSON file beside an asset's pieces that says how to open them.

mod content;
mod error;
mod parse;
mod write;

#[cfg(test)]
mod tests;

pub use content::{EnvelopeContent, EnvelopeReceipts, MetadataBox, PieceEntry};
pub use error::EnvelopeError;
pub use parse::UntrustedEnvelope;
pub use write::{Envelope, NewEnvelope};

pub use snaptrak_domain::limits::PIECES_MAX;

/// Wraps of one envelope: device, organisation and recovery, with room for each key's predecessors after rotations.
pub const WRAPS_MAX: usize = 16;

/// Longest envelope file. 16,384 pieces take 2 MB of list, 2.5 MB of sealed metadata and 1 MB in each receipt; what a person
/// wrote is at most 64 KiB and a few labels. A reader refuses more before it parses.
pub const ENVELOPE_BYTES_MAX: usize = 8 * 1024 * 1024;

const FORMAT: &str = "snaptrak.envelope/1";
const FORMAT_NAME: &str = "snaptrak.envelope/";
const FORMAT_VERSION: u64 = 1;

/// Between what the HMAC covers and the HMAC. Inside a JSON string the quotes would be escaped, so it cannot occur there.
const HMAC_FIELD: &[u8] = b",\"hmac\":\"";
const HMAC_HEX_BYTES: usize = 64;
const FILE_END: &[u8] = b"\"}\n";

const METADATA_LABEL: &[u8] = b"snaptrak.metadata/1";
const METADATA_NONCE_BYTES: usize = 12;

/// Associated data of the sealed metadata.
fn metadata_associated_data(asset_id: snaptrak_domain::AssetId) -> Vec<u8> {
    [METADATA_LABEL, asset_id.as_bytes()].concat()
}
