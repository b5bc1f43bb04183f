//! The small JPEG that cameras put into a picture's EXIF (its second directory): what can be shown of a picture that has no
//! decoder here (HEIC, TIFF) or that is damaged.

use crate::decode::orientation;
use exif::{Exif, In, Tag};
use snaptrak_domain::Orientation;

/// Bytes of an embedded thumbnail that are looked at: 160 by 120 pixels are some 10 KB, and an EXIF block of a JPEG cannot hold
/// more than 64 KB. Some cameras put a larger preview into a TIFF.
const EMBEDDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A small picture inside of a larger one.
pub(crate) struct Embedded {
    /// The JPEG's bytes.
    pub(crate) jpeg: Vec<u8>,
    /// How it stands upright: as the picture around it does.
    pub(crate) orientation: Orientation,
}

/// The thumbnail in the EXIF of a picture, if it has one.
pub(crate) fn embedded(bytes: &[u8]) -> Option<Embedded> {
    let exif = orientation::exif_of_container(bytes)?;
    let number = |tag| exif.get_field(tag, In::THUMBNAIL)?.value.get_uint(0);
    let start = number(Tag::JPEGInterchangeFormat)? as usize;
    let length = number(Tag::JPEGInterchangeFormatLength)? as usize;
    if length > EMBEDDED_BYTES_MAX {
        return None;
    }
    let jpeg = exif.buf().get(start..start.checked_add(length)?)?.to_vec();
    Some(Embedded { jpeg, orientation: orientation_of(&exif) })
}

fn orientation_of(exif: &Exif) -> Orientation {
    orientation::of_exif(exif).unwrap_or(Orientation::UPRIGHT)
}
