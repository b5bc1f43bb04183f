//! One asset's data key as a Tink keyset: its owner can open the pieces with Tink in any language, without us.

use crate::{Error, ErrorCode, SnapTrak};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use snaptrak_domain::{CaptureId, Rendition, Secret, limits};
use std::path::PathBuf;

/// A key and where its pieces lie. The keyset is secret: whoever has it can read the asset.
#[derive(Debug, Clone)]
pub struct ExportedKey {
    /// Tink's JSON keyset (`AesGcmHkdfStreamingKey`), in clear.
    pub keyset: Secret,
    /// The pieces, in order.
    pub pieces: Vec<ExportedPiece>,
}

/// One piece and what Tink must be told to open it.
#[derive(Debug, Clone)]
pub struct ExportedPiece {
    /// The sealed file; `None` for a note, whose piece is a row.
    pub path: Option<PathBuf>,
    /// The sealed bytes of a note.
    pub sealed: Option<Vec<u8>>,
    /// Tink's associated data.
    pub associated_data: Vec<u8>,
}

impl SnapTrak {
    /// Hands out the data key of one asset.
    pub fn export_key(&self, id: CaptureId, rendition: Rendition) -> Result<ExportedKey, Error> {
        let asset_id = self.inner.store.asset_of(id, rendition)?;
        let exported = self.inner.store.export_key(asset_id)?;
        let pieces = exported.pieces.into_iter().map(|piece| ExportedPiece {
            path: piece.path,
            sealed: piece.sealed,
            associated_data: piece.associated_data,
        });
        Ok(ExportedKey { keyset: tink_keyset(exported.data_key.expose())?, pieces: pieces.collect() })
    }
}

/// Any number does: a keyset of one key names it by an id of its own choice.
const KEY_ID: u32 = 1;

fn tink_keyset(data_key: &[u8]) -> Result<Secret, Error> {
    let value = STANDARD.encode(streaming_key(data_key));
    let keyset = serde_json::json!({
        "primaryKeyId": KEY_ID,
        "key": [{
            "keyData": {
                "typeUrl": "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
                "value": value,
                "keyMaterialType": "SYMMETRIC",
            },
            "status": "ENABLED",
            "keyId": KEY_ID,
            "outputPrefixType": "RAW",
        }],
    });
    let text =
        serde_json::to_vec(&keyset).map_err(|_| Error::new(ErrorCode::Internal, "the keyset cannot be written"))?;
    Ok(Secret::new(text))
}

/// The protocol buffer `google.crypto.tink.AesGcmHkdfStreamingKey` (tink `proto/aes_gcm_hkdf_streaming.proto`): version 0 is
/// left out, field 2 holds segment size, derived key size and hash (SHA256 = 3), field 3 the key.
fn streaming_key(data_key: &[u8]) -> Vec<u8> {
    const SHA256: u64 = 3;
    const DERIVED_KEY_BYTES: u64 = 32;
    let mut parameters = Vec::new();
    for (field, value) in [(1, limits::SEGMENT_BYTES as u64), (2, DERIVED_KEY_BYTES), (3, SHA256)] {
        varint(field << 3, &mut parameters);
        varint(value, &mut parameters);
    }
    let mut key = Vec::new();
    for (field, bytes) in [(2_u64, parameters.as_slice()), (3, data_key)] {
        varint(field << 3 | 2, &mut key);
        varint(bytes.len() as u64, &mut key);
        key.extend_from_slice(bytes);
    }
    key
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_written_as_tink_reads_it() {
        // 65,536 = varint 80 80 04; the parameters are 8 bytes: 08 80 80 04 10 20 18 03.
        let key = streaming_key(&[7; 32]);
        assert_eq!(&key[..10], &[0x12, 8, 0x08, 0x80, 0x80, 0x04, 0x10, 0x20, 0x18, 0x03]);
        assert_eq!(&key[10..12], &[0x1a, 32]);
        assert_eq!(&key[12..], &[7; 32]);
    }
}
