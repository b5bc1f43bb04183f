//! Making a picture smaller or larger without inventing patterns: a triangle filter, widened by the factor. Between careful
//! and careless resizing lie 4/255 on average, which moves scores more than any decoder does.

use crate::{AnalyseError, decode::Pixels};
use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};

/// `pixels` without `margins` (fractions of its width and height, left out on either side) as a picture of `size`.
pub(crate) fn resize(
    resizer: &mut Resizer,
    pixels: &Pixels,
    size: (u32, u32),
    margins: (f64, f64),
) -> Result<Pixels, AnalyseError> {
    let (width, height) = size;
    let inner = |side: u32, margin: f64| (f64::from(side) * margin, f64::from(side) * (1.0 - 2.0 * margin));
    let (left, inner_width) = inner(pixels.width, margins.0);
    let (top, inner_height) = inner(pixels.height, margins.1);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left,
        top,
        inner_width,
        inner_height,
    );
    // None of these can fail: `Pixels` holds as many bytes as it says, and what is cut out lies inside. Typed, since asking for any
    // kind of pixel brings the code of all of them with it: half a megabyte of the library.
    let from = TypedImageRef::<U8x3>::from_buffer(pixels.width, pixels.height, &pixels.rgb);
    let from = from.map_err(|_| AnalyseError::damaged())?;
    let mut rgb = vec![0; width as usize * height as usize * 3];
    let into = TypedImage::<U8x3>::from_buffer(width, height, &mut rgb);
    let mut into = into.map_err(|_| AnalyseError::damaged())?;
    resizer.resize_typed(&from, &mut into, &options).map_err(|_| AnalyseError::damaged())?;
    drop(into);
    Ok(Pixels { width, height, rgb })
}
