//! Rectangles and text on pixels. Everything is cut at the edges; no coordinate can reach outside.

use super::font::{GLYPH_HEIGHT, GLYPH_WIDTH, glyph};
use crate::decode::Pixels;

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// A rectangle of whole pixels; may lie outside of the picture in part or in whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

impl Rectangle {
    /// Grown by `by` on every side; shrunk if it is negative.
    pub(super) fn grown(self, by: i64) -> Self {
        Self { x: self.x - by, y: self.y - by, width: self.width + 2 * by, height: self.height + 2 * by }
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// Fills `rectangle`.
pub(super) fn fill(pixels: &mut Pixels, rectangle: Rectangle, colour: Colour) {
    let within = |from: i64, length: i64, side: u32| {
        let side = i64::from(side);
        (from.clamp(0, side) as usize, from.saturating_add(length).clamp(0, side) as usize)
    };
    let (x0, x1) = within(rectangle.x, rectangle.width, pixels.width);
    let (y0, y1) = within(rectangle.y, rectangle.height, pixels.height);
    if x0 >= x1 || y0 >= y1 {
        return;
    }
    let row_bytes = pixels.width as usize * 3;
    for row in pixels.rgb[y0 * row_bytes..y1 * row_bytes].chunks_exact_mut(row_bytes) {
        row[x0 * 3..x1 * 3].as_chunks_mut::<3>().0.fill(colour);
    }
}

/// Draws the four sides of `rectangle`, `thickness` pixels inwards.
pub(super) fn outline(pixels: &mut Pixels, rectangle: Rectangle, thickness: i64, colour: Colour) {
    let Rectangle { x, y, width, height } = rectangle;
    let thickness = thickness.min(width).min(height).max(1);
    let sides = [
        Rectangle { x, y, width, height: thickness },
        Rectangle { x, y: y + height - thickness, width, height: thickness },
        Rectangle { x, y, width: thickness, height },
        Rectangle { x: x + width - thickness, y, width: thickness, height },
    ];
    for side in sides {
        fill(pixels, side, colour);
    }
}

/// Width and height of `text` where a dot is `dot` pixels.
pub(super) fn text_size(text: &str, dot: i64) -> (i64, i64) {
    let characters = text.chars().count() as i64;
    let across = (characters * i64::from(GLYPH_WIDTH + 1) - 1).max(0);
    (across * dot, i64::from(GLYPH_HEIGHT) * dot)
}

/// Writes `text` with its upper left corner at (x, y).
pub(super) fn write(pixels: &mut Pixels, x: i64, y: i64, text: &str, dot: i64, colour: Colour) {
    for (place, character) in (0_i64..).zip(text.chars()) {
        let left = x + place * i64::from(GLYPH_WIDTH + 1) * dot;
        for (column, bits) in (0_i64..).zip(glyph(character)) {
            for row in (0..i64::from(GLYPH_HEIGHT)).filter(|row| bits >> row & 1 == 1) {
                let (x, y) = (left + column * dot, y + row * dot);
                fill(pixels, Rectangle { x, y, width: dot, height: dot }, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_outside() {
        let mut pixels = Pixels { width: 7, height: 5, rgb: vec![0; 7 * 5 * 3] };
        for (x, y) in [(-100, -100), (100, 100), (-3, 2), (5, -2), (i64::MAX, i64::MAX), (i64::MIN, 0)] {
            fill(&mut pixels, Rectangle { x, y, width: 4, height: 4 }, [1; 3]);
        }
        outline(&mut pixels, Rectangle { x: -2, y: -2, width: 50, height: 50 }, 3, [2; 3]);
        write(&mut pixels, -4, -4, "Wäh?", 3, [3; 3]);
        fill(&mut pixels, Rectangle { x: 6, y: 4, width: 1, height: 1 }, [9; 3]);
        assert_eq!(pixels.rgb[(7 * 5 - 1) * 3..], [9, 9, 9]);
    }
}
