//! Where the upright picture lies in a model's input, and the way back from a place in the input to pixels of the picture.

use snaptrak_inference::registry::{InputContract, Resize};

/// Where the picture lies, in fractions of a pixel, and the whole pixels of the input that show nothing but picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placement {
    /// Pixels of the input across.
    pub(crate) input_width: u32,
    /// Across: where the picture lies, and what is filled.
    pub(crate) across: Span,
    /// Down.
    pub(crate) down: Span,
}

/// One direction of a [`Placement`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    /// Pixels of the upright original.
    picture: u32,
    /// Pixels of the input.
    input: u32,
    /// Pixels of the input before the picture. Rounding it would shift boxes and scores by more than any decoder does.
    start: f64,
    /// Pixels of the input that the picture takes.
    length: f64,
    /// First pixel of the input that is filled from the picture.
    pub(crate) filled_start: u32,
    /// Pixels of the input that are filled from the picture; at least one.
    pub(crate) filled: u32,
}

/// A rectangle by its edges: fractions of the input, or pixels of the upright original.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edges {
    /// Left.
    pub(crate) x0: f32,
    /// Upper.
    pub(crate) y0: f32,
    /// Right.
    pub(crate) x1: f32,
    /// Lower.
    pub(crate) y1: f32,
}

impl Span {
    fn new(picture: u32, input: u32, length: f64) -> Self {
        let start = (f64::from(input) - length) / 2.0;
        // Pixels on the edge, part picture and part bar, become bar; the narrowest strip keeps one pixel.
        let bar = (start.ceil() as u32).min((input - 1) / 2);
        Self { picture, input, start, length, filled_start: bar, filled: input - 2 * bar }
    }

    /// From a fraction of the input to a pixel of the picture, cut at its edges.
    fn on_picture(self, fraction: f32) -> f32 {
        let place = (f64::from(fraction) * f64::from(self.input) - self.start) / self.length;
        (place * f64::from(self.picture)).clamp(0.0, f64::from(self.picture)) as f32
    }

    /// The part of the picture that the filled pixels show: how much is left out at either end, as a fraction of it.
    pub(crate) fn margin(self) -> f64 {
        ((f64::from(self.filled_start) - self.start) / self.length).clamp(0.0, 0.5)
    }
}

impl Placement {
    /// For an upright picture of this size.
    pub(crate) fn new(input: &InputContract, picture_width: u32, picture_height: u32) -> Self {
        let (input_width, input_height) = input.size();
        let (width, height) = match input.resize {
            Resize::Stretch => (f64::from(input_width), f64::from(input_height)),
            Resize::Letterbox => {
                let factor = (f64::from(input_width) / f64::from(picture_width))
                    .min(f64::from(input_height) / f64::from(picture_height));
                (f64::from(picture_width) * factor, f64::from(picture_height) * factor)
            }
        };
        Self {
            input_width,
            across: Span::new(picture_width, input_width, width),
            down: Span::new(picture_height, input_height, height),
        }
    }

    /// From fractions of the input to pixels of the upright original, cut at its edges.
    pub(crate) fn on_picture(&self, edges: Edges) -> Edges {
        Edges {
            x0: self.across.on_picture(edges.x0),
            y0: self.down.on_picture(edges.y0),
            x1: self.across.on_picture(edges.x1),
            y1: self.down.on_picture(edges.y1),
        }
    }
}
