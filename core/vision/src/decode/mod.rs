//! Bytes to pixels, in bounded memory.
//!
//! Owns the decoders and every bound on them. Refuses to know models and what the pixels show. A file that cannot be decoded
//! is one of five reasons (`not_a_picture`, `decoder_missing`, `picture_damaged`, `picture_too_large`, and whatever the
//! sealed reader says); nothing here panics on what a file holds, and nothing is allocated on the word of a header before
//! that word was compared with the bounds below.
//!
//! A picture that breaks off is refused as damaged, even where a decoder would fill the rest with grey: a finding on half a
//! picture looks like a finding on the whole, and evidence must not.

mod jpeg;
mod jpeg_headers;
pub(crate) mod orientation;
mod raster;

use crate::{AnalyseError, format::Format, upright::upright_size};
use snaptrak_domain::{Orientation, limits::PICTURE_PIXELS_MAX};

/// Bytes that one decoding may hold at once, the decoder's own included: a phone's app has some hundreds of megabytes. A
/// 48 MP progressive JPEG needs 144 MB, a 12 MP PNG with transparency 48 MB.
pub const DECODE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Pixels of a side: what the formats themselves can say at most, except PNG.
const SIDE_MAX: u32 = 65_535;

/// What a picture's header says, without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format.
    pub format: Format,
    /// Pixels across, as stored.
    pub stored_width: u32,
    /// Pixels down, as stored.
    pub stored_height: u32,
    /// How it stands upright.
    pub orientation: Orientation,
}

impl Header {
    /// Width and height of the upright picture.
    pub fn upright_size(&self) -> (u32, u32) {
        upright_size(self.stored_width, self.stored_height, self.orientation)
    }
}

/// Decoded pixels, three bytes each, red first, as stored (not yet turned). Transparency is dropped, colours stay in the
/// file's own space: that is what the models were made with.
pub struct Pixels {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// Least size that a decoder must deliver, as stored. Decoders that can scale use it, others deliver everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Pixels across at least, unless the picture has fewer.
    pub width: u32,
    /// Pixels down at least, unless the picture has fewer.
    pub height: u32,
}

impl Wanted {
    /// Everything that the picture has.
    pub const ALL: Self = Self { width: u32::MAX, height: u32::MAX };
}

/// Reads what the header says and compares it with the bounds.
pub fn header(bytes: &[u8]) -> Result<Header, AnalyseError> {
    let format = Format::of(bytes).ok_or_else(AnalyseError::not_a_picture)?;
    let (stored_width, stored_height) = match format {
        Format::Jpeg => jpeg::size(bytes)?,
        Format::Png => raster::png_size(bytes)?,
        Format::WebP => raster::webp_size(bytes)?,
        Format::Foreign(name) => return Err(AnalyseError::decoder_missing(name)),
    };
    check_size(stored_width, stored_height)?;
    Ok(Header { format, stored_width, stored_height, orientation: orientation::read(bytes, format) })
}

/// Decodes; the answer is at least as large as `wanted` where the picture is.
pub fn pixels(bytes: &[u8], header: &Header, wanted: Wanted) -> Result<Pixels, AnalyseError> {
    let pixels = match header.format {
        Format::Jpeg => jpeg::decode(bytes, wanted)?,
        Format::Png => raster::decode_png(bytes)?,
        Format::WebP => raster::decode_webp(bytes)?,
        Format::Foreign(name) => return Err(AnalyseError::decoder_missing(name)),
    };
    let bytes_wanted = pixels.width as usize * pixels.height as usize * 3;
    if pixels.rgb.len() != bytes_wanted || bytes_wanted == 0 {
        return Err(AnalyseError::damaged());
    }
    Ok(pixels)
}

fn check_size(width: u32, height: u32) -> Result<(), AnalyseError> {
    if width == 0 || height == 0 {
        return Err(AnalyseError::damaged());
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PICTURE_PIXELS_MAX || width > SIDE_MAX || height > SIDE_MAX {
        return Err(AnalyseError::too_large(width.into(), height.into()));
    }
    Ok(())
}

fn check_memory(width: u32, height: u32, bytes: u64) -> Result<(), AnalyseError> {
    if bytes > DECODE_BYTES_MAX {
        return Err(AnalyseError::too_large(width.into(), height.into()).with("bytes", bytes.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
