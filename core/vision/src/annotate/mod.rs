//! Findings drawn on the upright picture, for people. The answer carries no metadata of the original.

mod canvas;
mod font;

use crate::{
    AnalyseError,
    decode::{self, Header, Pixels, Wanted},
    resize::resize,
    upright::{Upright, upright_size},
};
use canvas::{Colour, Rectangle, fill, outline, text_size, write};
use fast_image_resize::Resizer;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use snaptrak_domain::{Finding, FindingBox, ReasonCode};

/// Pixels of an annotated picture: a usual photo keeps its own, a larger one is made smaller.
pub const ANNOTATED_PIXELS_MAX: u64 = 12_000_000;

/// Boxes that are drawn, the best of each finding first: beyond these nobody sees anything.
const BOXES_MAX: usize = 200;

/// Characters of a label that are drawn.
const LABEL_CHARACTERS_MAX: usize = 40;

/// Quality of a JPEG: lines and text stay sharp enough, and so does the photo.
const JPEG_QUALITY: i32 = 90;

/// Colours that differ from each other and from most of the world.
const PALETTE: [Colour; 8] = [
    [255, 196, 0],
    [0, 200, 255],
    [255, 92, 138],
    [92, 230, 92],
    [190, 140, 255],
    [255, 140, 60],
    [64, 224, 190],
    [240, 110, 230],
];

const BLACK: Colour = [0; 3];

/// The file format of an annotated picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotatedFormat {
    /// Larger, exact.
    Png,
    /// Smaller.
    Jpeg,
}

impl AnnotatedFormat {
    /// By a file name's extension without its dot, in any case; `None` if it is neither.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

/// Decodes the picture, turns it upright, makes it smaller if it has more than `pixels_max` pixels
/// ([`ANNOTATED_PIXELS_MAX`] is a good bound), draws every box of `findings` with its label and score, and encodes the result.
pub fn annotate(
    bytes: &[u8],
    findings: &[Finding],
    format: AnnotatedFormat,
    pixels_max: u64,
) -> Result<Vec<u8>, AnalyseError> {
    let header = decode::header(bytes)?;
    let mut picture = upright_picture(bytes, &header, pixels_max.max(1))?;
    draw(&mut picture, findings, header.upright_size().0);
    match format {
        AnnotatedFormat::Png => png(&picture),
        AnnotatedFormat::Jpeg => jpeg(&picture),
    }
}

fn upright_picture(bytes: &[u8], header: &Header, pixels_max: u64) -> Result<Pixels, AnalyseError> {
    let (width, height) = fit(header.stored_width, header.stored_height, pixels_max);
    let stored = decode::pixels(bytes, header, Wanted { width, height })?;
    let stored = if (stored.width, stored.height) == (width, height) {
        stored
    } else {
        resize(&mut Resizer::new(), &stored, (width, height), (0.0, 0.0))?
    };
    let upright = Upright::new(width, height, header.orientation);
    let mut rgb = Vec::with_capacity(stored.rgb.len());
    for y in 0..upright.height {
        upright.row(y).for_each(|at| rgb.extend_from_slice(&stored.rgb[at * 3..at * 3 + 3]));
    }
    let (width, height) = upright_size(width, height, header.orientation);
    Ok(Pixels { width, height, rgb })
}

/// The largest size of the same proportions with at most `pixels_max` pixels.
fn fit(width: u32, height: u32, pixels_max: u64) -> (u32, u32) {
    let pixels = u64::from(width) * u64::from(height);
    if pixels <= pixels_max {
        return (width, height);
    }
    let factor = (pixels_max as f64 / pixels as f64).sqrt();
    let scaled = |side: u32| ((f64::from(side) * factor) as u32).max(1);
    (scaled(width), scaled(height))
}

/// A box on its way onto the picture.
struct Mark {
    rectangle: Rectangle,
    text: String,
    colour: Colour,
}

fn draw(picture: &mut Pixels, findings: &[Finding], original_width: u32) {
    let factor = f64::from(picture.width) / f64::from(original_width);
    let shortest = i64::from(picture.width.min(picture.height));
    let thickness = (shortest / 170).clamp(2, 14);
    // Below some 200 pixels text of two-pixel dots would hide the picture.
    let dot = (shortest / 240).clamp(if shortest < 200 { 1 } else { 2 }, 12);
    let boxes = findings.iter().flat_map(|finding| &finding.boxes).take(BOXES_MAX);
    let mut marks: Vec<Mark> = boxes.map(|found| mark(found, factor)).collect();
    // Large ones first, so that a face is not hidden behind its person.
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.rectangle.width.saturating_mul(mark.rectangle.height)));
    for mark in &marks {
        // A dark rim keeps the line visible on a background of its own colour.
        outline(picture, mark.rectangle.grown(1), thickness + 2, BLACK);
        outline(picture, mark.rectangle, thickness, mark.colour);
    }
    let mut taken: Vec<Rectangle> = Vec::new();
    for mark in &marks {
        let place = label_place(mark, dot, picture, &taken);
        fill(picture, place.grown(1), BLACK);
        fill(picture, place, mark.colour);
        write(picture, place.x + 2 * dot, place.y + dot, &mark.text, dot, BLACK);
        taken.push(place);
    }
}

fn mark(found: &FindingBox, factor: f64) -> Mark {
    // `as` takes whatever a float holds: NaN becomes 0, what is too large the largest.
    let pixel = |value: f32| (f64::from(value) * factor).round().clamp(-1e6, 1e6) as i64;
    let label: String = found.label.chars().take(LABEL_CHARACTERS_MAX).collect();
    Mark {
        rectangle: Rectangle { x: pixel(found.x), y: pixel(found.y), width: pixel(found.w), height: pixel(found.h) },
        text: format!("{label} {:.0}%", found.score * 100.0),
        colour: colour_of(&found.label),
    }
}

/// One label has one colour in all pictures: its FNV-1a hash picks it.
fn colour_of(label: &str) -> Colour {
    let hash = label.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    PALETTE[hash as usize % PALETTE.len()]
}

/// Above the box, inside it, or below it: the first place that is in the picture and not taken.
fn label_place(mark: &Mark, dot: i64, picture: &Pixels, taken: &[Rectangle]) -> Rectangle {
    let (text_width, text_height) = text_size(&mark.text, dot);
    let (width, height) = (text_width + 4 * dot, text_height + 2 * dot);
    let (picture_width, picture_height) = (i64::from(picture.width), i64::from(picture.height));
    let x = mark.rectangle.x.min(picture_width - width).max(0);
    let inside = |y: i64| y.clamp(0, (picture_height - height).max(0));
    let Rectangle { y, height: box_height, .. } = mark.rectangle;
    let wanted = [y - height, y, y + box_height - height, y + box_height, y + height, y + 2 * height];
    let places = wanted.map(|y| Rectangle { x, y: inside(y), width, height });
    let is_free = |place: &&Rectangle| taken.iter().all(|other| !other.meets(place));
    *places.iter().find(is_free).unwrap_or(&places[0])
}

fn png(picture: &Pixels) -> Result<Vec<u8>, AnalyseError> {
    let mut coded = Vec::new();
    PngEncoder::new(&mut coded)
        .write_image(&picture.rgb, picture.width, picture.height, ExtendedColorType::Rgb8)
        .map_err(|_| AnalyseError::new(ReasonCode::EngineFailed))?;
    Ok(coded)
}

fn jpeg(picture: &Pixels) -> Result<Vec<u8>, AnalyseError> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let image = turbojpeg::Image {
        pixels: picture.rgb.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: turbojpeg::PixelFormat::RGB,
    };
    // Colours at full resolution: thin coloured lines are what halved colours blur.
    let coded = turbojpeg::compress(image, JPEG_QUALITY, turbojpeg::Subsamp::None);
    coded.map(|coded| coded.to_vec()).map_err(|_| AnalyseError::new(ReasonCode::EngineFailed))
}

#[cfg(test)]
mod tests;
