//! JPEG through libjpeg-turbo, scaled while decoding: at 1/4 a 12 MP picture is 2.25 MB and a third of the time.

use super::{Pixels, Wanted, check_memory, jpeg_headers::JpegHeaders};
use crate::AnalyseError;
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Error, Image, PixelFormat, ScalingFactor};

/// Scans of a progressive picture: encoders make about ten; a file of thousands of tiny scans costs a decoder hours.
const SCANS_MAX: u32 = 100;

/// From the largest reduction to none.
const SCALES: [ScalingFactor; 4] =
    [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF, ScalingFactor::ONE];

/// What libjpeg says of files that are whole but sloppy; every pixel is right. All other warnings mean lost data.
const HARMLESS_WARNINGS: [&str; 5] = [
    "extraneous bytes before marker",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision number",
    "Invalid SOS parameters for sequential JPEG",
    "bad ICC marker",
];

/// Pixels across and down.
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), AnalyseError> {
    let headers = JpegHeaders::read(bytes).ok_or_else(AnalyseError::damaged)?;
    Ok((headers.width.into(), headers.height.into()))
}

/// Decodes with the largest reduction that still leaves `wanted`.
pub(super) fn decode(bytes: &[u8], wanted: Wanted) -> Result<Pixels, AnalyseError> {
    let headers = JpegHeaders::read(bytes).ok_or_else(AnalyseError::damaged)?;
    if headers.precision != 8 {
        return Err(AnalyseError::decoder_missing(&format!("jpeg_{}_bit", headers.precision)));
    }
    let damaged = |_| AnalyseError::damaged();
    let mut decompressor = Decompressor::new().map_err(damaged)?;
    decompressor.set_scan_limit(SCANS_MAX).map_err(damaged)?;
    let header = decompressor.read_header(bytes).map_err(damaged)?;
    if (header.width, header.height) != (usize::from(headers.width), usize::from(headers.height)) {
        // Two readers that disagree on the size would make the bounds below worthless.
        return Err(AnalyseError::damaged());
    }
    let scale = scale_for(&header, wanted);
    decompressor.set_scaling_factor(scale).map_err(damaged)?;
    let scaled = header.scaled(scale);
    let format = match header.colorspace {
        Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
        Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => PixelFormat::RGB,
    };
    let row_bytes = scaled.width * format.size();
    let pixel_bytes = row_bytes * scaled.height;
    check_memory(headers.width.into(), headers.height.into(), headers.coefficient_bytes() + pixel_bytes as u64)?;
    let mut image =
        Image { pixels: vec![0_u8; pixel_bytes], width: scaled.width, pitch: row_bytes, height: scaled.height, format };
    match decompressor.decompress(bytes, image.as_deref_mut()) {
        Ok(()) => {}
        Err(error) if is_harmless(&error) && headers.has_end(bytes) => {}
        Err(error) => {
            tracing::debug!(%error, "a JPEG is damaged");
            return Err(AnalyseError::damaged());
        }
    }
    let rgb = if format == PixelFormat::CMYK { rgb_of_inverted_cmyk(image.pixels) } else { image.pixels };
    Ok(Pixels { width: scaled.width as u32, height: scaled.height as u32, rgb })
}

fn scale_for(header: &DecompressHeader, wanted: Wanted) -> ScalingFactor {
    if header.is_lossless {
        return ScalingFactor::ONE;
    }
    let leaves_enough = |scale: &ScalingFactor| {
        scale.scale(header.width) >= wanted.width as usize && scale.scale(header.height) >= wanted.height as usize
    };
    SCALES.into_iter().find(leaves_enough).unwrap_or(ScalingFactor::ONE)
}

/// The decoder reports the first warning only, so the caller also looks for the picture's end.
fn is_harmless(error: &Error) -> bool {
    matches!(error, Error::TurboJpegError(text) if HARMLESS_WARNINGS.iter().any(|harmless| text.contains(harmless)))
}

/// Adobe's programs, which make all CMYK JPEGs there are, store ink inverted.
fn rgb_of_inverted_cmyk(mut pixels: Vec<u8>) -> Vec<u8> {
    let count = pixels.len() / 4;
    for index in 0..count {
        let black = u16::from(pixels[index * 4 + 3]);
        for channel in 0..3 {
            // The target lies at or before the source, so nothing is overwritten before it was read.
            pixels[index * 3 + channel] = (u16::from(pixels[index * 4 + channel]) * black / 255) as u8;
        }
    }
    pixels.truncate(count * 3);
    pixels
}
