//! PNG and WebP through the `image` crate, with limits. Neither can be scaled while decoding.

use super::{DECODE_BYTES_MAX, Pixels, SIDE_MAX, check_memory, check_size};
use crate::AnalyseError;
use image::{
    ColorType, ImageDecoder, ImageError, Limits,
    codecs::{png::PngDecoder, webp::WebPDecoder},
};
use std::io::Cursor;

/// Bytes a pixel that the WebP decoder keeps beside its answer (a frame of ARGB, or planes of YUV and alpha).
const WEBP_OWN_BYTES_A_PIXEL: u64 = 4;
/// The same for an animation, of which the first frame counts: canvas, frame and the frame's decoder.
const WEBP_ANIMATION_OWN_BYTES_A_PIXEL: u64 = 12;

pub(super) fn png_size(bytes: &[u8]) -> Result<(u32, u32), AnalyseError> {
    // The first chunk is IHDR (PNG specification, 11.2.2); the decoder would read all the text chunks on its way.
    let header = bytes.get(12..24).filter(|header| header.starts_with(b"IHDR")).ok_or_else(AnalyseError::damaged)?;
    let side = |at: usize| header[at..].first_chunk().map(|side| u32::from_be_bytes(*side));
    side(4).zip(side(8)).ok_or_else(AnalyseError::damaged)
}

pub(super) fn webp_size(bytes: &[u8]) -> Result<(u32, u32), AnalyseError> {
    Ok(WebPDecoder::new(Cursor::new(bytes)).map_err(reason)?.dimensions())
}

pub(super) fn decode_png(bytes: &[u8]) -> Result<Pixels, AnalyseError> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(reason)?;
    decode(decoder, 0)
}

pub(super) fn decode_webp(bytes: &[u8]) -> Result<Pixels, AnalyseError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(reason)?;
    decoder.set_limits(limits()).map_err(reason)?;
    let own = if decoder.has_animation() { WEBP_ANIMATION_OWN_BYTES_A_PIXEL } else { WEBP_OWN_BYTES_A_PIXEL };
    decode(decoder, own)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    limits
}

fn decode(decoder: impl ImageDecoder, own_bytes_a_pixel: u64) -> Result<Pixels, AnalyseError> {
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let colour = decoder.color_type();
    let pixels = u64::from(width) * u64::from(height);
    let stored_bytes = pixels * u64::from(colour.bytes_per_pixel());
    // Fewer than three bytes a pixel are spread into a second buffer; more are drawn together in place.
    let spread_bytes = if colour.bytes_per_pixel() < 3 { pixels * 3 } else { 0 };
    check_memory(width, height, stored_bytes + spread_bytes + pixels * own_bytes_a_pixel)?;
    let length = usize::try_from(stored_bytes).map_err(|_| AnalyseError::too_large(width.into(), height.into()))?;
    let mut stored = vec![0_u8; length];
    decoder.read_image(&mut stored).map_err(reason)?;
    let rgb = to_rgb(stored, colour).ok_or_else(|| AnalyseError::decoder_missing("png_colour_type"))?;
    Ok(Pixels { width, height, rgb })
}

/// Of 16-bit samples the upper byte is kept; transparency is dropped.
fn to_rgb(stored: Vec<u8>, colour: ColorType) -> Option<Vec<u8>> {
    let upper = if cfg!(target_endian = "little") { 1 } else { 0 };
    match colour {
        ColorType::Rgb8 => Some(stored),
        ColorType::L8 => Some(spread(&stored, 1, 0)),
        ColorType::La8 => Some(spread(&stored, 2, 0)),
        ColorType::L16 => Some(spread(&stored, 2, upper)),
        ColorType::La16 => Some(draw_together(stored, 4, [upper; 3])),
        ColorType::Rgba8 => Some(draw_together(stored, 4, [0, 1, 2])),
        ColorType::Rgb16 => Some(draw_together(stored, 6, [upper, 2 + upper, 4 + upper])),
        ColorType::Rgba16 => Some(draw_together(stored, 8, [upper, 2 + upper, 4 + upper])),
        // No PNG or WebP has floats; the rest is what a later version of the crate adds.
        ColorType::Rgb32F | ColorType::Rgba32F | _ => None,
    }
}

fn spread(stored: &[u8], pixel_bytes: usize, at: usize) -> Vec<u8> {
    stored.chunks_exact(pixel_bytes).flat_map(|pixel| [pixel[at]; 3]).collect()
}

fn draw_together(mut stored: Vec<u8>, pixel_bytes: usize, at: [usize; 3]) -> Vec<u8> {
    let count = stored.len() / pixel_bytes;
    for index in 0..count {
        let from = index * pixel_bytes;
        let rgb = at.map(|offset| stored[from + offset]);
        // Three bytes never reach beyond the four or more that were just read.
        stored[index * 3..index * 3 + 3].copy_from_slice(&rgb);
    }
    stored.truncate(count * 3);
    stored.shrink_to_fit();
    stored
}

fn reason(error: ImageError) -> AnalyseError {
    match error {
        ImageError::Limits(_) => AnalyseError::new(snaptrak_domain::ReasonCode::PictureTooLarge),
        ImageError::Unsupported(_) => AnalyseError::decoder_missing("png_or_webp_variant"),
        ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => {
            AnalyseError::damaged()
        }
    }
}
