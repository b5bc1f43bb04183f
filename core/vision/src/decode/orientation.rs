//! EXIF orientation out of a picture's bytes. A picture without it, or with EXIF that cannot be read, stands upright.

use crate::format::Format;
use exif::{Error, Exif, In, Reader, Tag};
use image::{ImageDecoder as _, codecs::webp::WebPDecoder};
use snaptrak_domain::Orientation;
use std::io::Cursor;

/// JPEG's way to begin an EXIF block. Some writers put it into a WebP's chunk too, where it does not belong.
const PREFIX: &[u8] = b"Exif\0\0";

pub(super) fn read(bytes: &[u8], format: Format) -> Orientation {
    let exif = match format {
        Format::Jpeg | Format::Png => exif_of_container(bytes),
        Format::WebP => webp_block(bytes).and_then(|block| whatever_is_whole(reader().read_raw(block))),
        Format::Foreign(_) => None,
    };
    exif.as_ref().and_then(of_exif).unwrap_or(Orientation::UPRIGHT)
}

/// The orientation that an EXIF block says.
pub(crate) fn of_exif(exif: &Exif) -> Option<Orientation> {
    let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
    field.value.get_uint(0).and_then(Orientation::from_exif)
}

/// The EXIF block of a JPEG, PNG, HEIF or TIFF, as far as it is whole.
pub(crate) fn exif_of_container(bytes: &[u8]) -> Option<Exif> {
    whatever_is_whole(reader().read_from_container(&mut Cursor::new(bytes)))
}

fn reader() -> Reader {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader
}

/// Many cameras write a block of which something is broken; the orientation counts if it can be had.
fn whatever_is_whole(read: Result<Exif, Error>) -> Option<Exif> {
    read.or_else(|error| error.distill_partial_result(|_| ())).ok()
}

fn webp_block(bytes: &[u8]) -> Option<Vec<u8>> {
    let block = WebPDecoder::new(Cursor::new(bytes)).ok()?.exif_metadata().ok()??;
    Some(block.strip_prefix(PREFIX).map_or_else(|| block.clone(), <[u8]>::to_vec))
}
