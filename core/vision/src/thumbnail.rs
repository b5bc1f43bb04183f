//! A small upright picture of what was captured: a JPEG without metadata, for lists and for what is left of a purged capture.
//!
//! Owns the size, the coding and where a small picture comes from: the picture itself, scaled while it is decoded; where it
//! cannot be decoded here, the thumbnail that its EXIF carries, or a video's cover. Refuses to know engines and models, where
//! it is kept, and what the pixels show. Whatever cannot be made is one of the reasons of [`crate::decode`].
//!
//! Colours are taken as they are in the file; a profile (Display P3) does not come along, as no metadata does.

use crate::{
    AnalyseError, PICTURE_BYTES_MAX,
    cover::cover,
    decode::{self, Header, Pixels, Wanted},
    embedded::embedded,
    format::{Format, first_bytes},
    resize::resize,
    upright::Upright,
};
use fast_image_resize::Resizer;
use snaptrak_domain::{Orientation, ReasonCode, sealed_reader::SealedReader};

/// The longer side: sharp on a third of a phone's screen, and some 15 KB as a JPEG.
pub const THUMBNAIL_SIDE_MAX: u32 = 320;

/// At this size the eye finds no fault, and the file is a third of one at 95.
const JPEG_QUALITY: i32 = 82;

/// The thumbnail of a sealed asset.
///
/// # Errors
/// The reason why there is none: of the picture itself, not of the smaller picture in it that was tried after it.
pub fn thumbnail(reader: &mut dyn SealedReader) -> Result<Vec<u8>, AnalyseError> {
    let format = Format::of(&first_bytes(reader)?);
    match format {
        Some(_) => thumbnail_of_bytes(&reader.read_all(PICTURE_BYTES_MAX)?),
        // A video is not read whole; it may be hours.
        None => match cover(reader)? {
            Some(picture) => thumbnail_of_bytes(&picture),
            None => Err(AnalyseError::not_a_picture()),
        },
    }
}

/// The thumbnail of a picture in memory.
pub fn thumbnail_of_bytes(bytes: &[u8]) -> Result<Vec<u8>, AnalyseError> {
    let whole = decode::header(bytes).and_then(|header| of_picture(bytes, &header));
    whole.or_else(|error| {
        let small = embedded(bytes).ok_or_else(|| error.clone())?;
        let header = decode::header(&small.jpeg).map_err(|_| error.clone())?;
        of_picture(&small.jpeg, &Header { orientation: small.orientation, ..header }).map_err(|_| error)
    })
}

fn of_picture(bytes: &[u8], header: &Header) -> Result<Vec<u8>, AnalyseError> {
    let pixels = decode::pixels(bytes, header, wanted(header))?;
    of_pixels(&mut Resizer::new(), header, &pixels)
}

/// What must be decoded for the thumbnail of this picture, as stored.
pub(crate) fn wanted(header: &Header) -> Wanted {
    let (width, height) = fit(header.stored_width, header.stored_height);
    Wanted { width, height }
}

/// The thumbnail of pixels that were decoded, perhaps for something else; they hold at least what [`wanted`] says.
pub(crate) fn of_pixels(resizer: &mut Resizer, header: &Header, pixels: &Pixels) -> Result<Vec<u8>, AnalyseError> {
    let (width, height) = fit(header.stored_width, header.stored_height);
    let resized;
    let small = if (pixels.width, pixels.height) == (width, height) {
        pixels
    } else {
        resized = resize(resizer, pixels, (width, height), (0.0, 0.0))?;
        &resized
    };
    jpeg(&turned(small, header.orientation))
}

/// The same proportions within the bound; never larger than it is.
fn fit(width: u32, height: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= THUMBNAIL_SIDE_MAX {
        return (width, height);
    }
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(THUMBNAIL_SIDE_MAX);
        ((side + u64::from(longer) / 2) / u64::from(longer)).max(1) as u32
    };
    (scaled(width), scaled(height))
}

fn turned(stored: &Pixels, orientation: Orientation) -> Pixels {
    let upright = Upright::new(stored.width, stored.height, orientation);
    let mut rgb = Vec::with_capacity(stored.rgb.len());
    for y in 0..upright.height {
        upright.row(y).for_each(|at| rgb.extend_from_slice(&stored.rgb[at * 3..at * 3 + 3]));
    }
    Pixels { width: upright.width, height: upright.height, rgb }
}

fn jpeg(picture: &Pixels) -> Result<Vec<u8>, AnalyseError> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let format = turbojpeg::PixelFormat::RGB;
    let image = turbojpeg::Image { pixels: picture.rgb.as_slice(), width, pitch: width * 3, height, format };
    let coded = turbojpeg::compress(image, JPEG_QUALITY, turbojpeg::Subsamp::Sub2x2);
    coded.map(|coded| coded.to_vec()).map_err(|_| AnalyseError::new(ReasonCode::EngineFailed))
}

#[cfg(test)]
mod tests;
