//! How a stored picture stands upright (EXIF orientation), as strides: turning costs nothing when pixels are visited anyway.

use snaptrak_domain::Orientation;

/// Walks a stored picture in the order of the upright one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upright {
    /// Width of the upright picture.
    pub(crate) width: u32,
    /// Height of the upright picture.
    pub(crate) height: u32,
    /// Index of the stored pixel that is the upright picture's (0, 0).
    start: isize,
    /// What one pixel to the right adds to the index.
    step_x: isize,
    /// What one pixel down adds to the index.
    step_y: isize,
}

impl Upright {
    /// For a stored picture of `width` x `height`. Both must fit into a buffer, so their product fits into `isize`.
    pub(crate) fn new(width: u32, height: u32, orientation: Orientation) -> Self {
        let (row, last_x, last_y) = (width as isize, width as isize - 1, height as isize - 1);
        let (start, step_x, step_y) = match orientation.exif() {
            2 => (last_x, -1, row),
            3 => (last_y * row + last_x, -1, -row),
            4 => (last_y * row, 1, -row),
            5 => (0, row, 1),
            6 => (last_y * row, -row, 1),
            7 => (last_y * row + last_x, -row, -1),
            8 => (last_x, row, -1),
            // 1; the type holds nothing else.
            _ => (0, 1, row),
        };
        let (width, height) = upright_size(width, height, orientation);
        Self { width, height, start, step_x, step_y }
    }

    /// Indices of the stored pixels of the upright picture's row `y`, left to right.
    pub(crate) fn row(&self, y: u32) -> impl Iterator<Item = usize> + use<> {
        let (first, step_x) = (self.start + y as isize * self.step_y, self.step_x);
        (0..self.width as isize).map(move |x| (first + x * step_x) as usize)
    }
}

/// Width and height of the upright picture.
pub fn upright_size(width: u32, height: u32, orientation: Orientation) -> (u32, u32) {
    if orientation.swaps_sides() { (height, width) } else { (width, height) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the `image` crate makes of the same orientation.
    fn judge(orientation: u8) -> Vec<u8> {
        let stored = image::GrayImage::from_raw(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        let mut picture = image::DynamicImage::ImageLuma8(stored);
        picture.apply_orientation(image::metadata::Orientation::from_exif(orientation).unwrap());
        picture.into_luma8().into_raw()
    }

    #[test]
    fn all_eight_orientations_are_those_of_another_implementation() {
        for value in 1..=8 {
            let upright = Upright::new(3, 2, Orientation::from_exif(value).unwrap());
            let visited: Vec<u8> = (0..upright.height).flat_map(|y| upright.row(y)).map(|index| index as u8).collect();
            assert_eq!(visited, judge(value as u8), "orientation {value}");
        }
    }
}
