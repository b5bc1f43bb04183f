//! Models of a few hundred bytes, written by hand: as small as a test needs them, and as wrong.
//!
//! Owns: both formats, as far as tests use them. Knows no engine.

pub mod onnx;
pub mod tflite;

/// Little-endian floats.
#[must_use]
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
