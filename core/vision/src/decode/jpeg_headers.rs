//! What a JPEG's markers say that the decoder does not tell (ITU-T T.81, annex B): how much memory it will take, and
//! whether the picture has an end.

/// What the markers before the first scan say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JpegHeaders {
    /// Bits of a sample.
    pub(super) precision: u8,
    /// Pixels across.
    pub(super) width: u16,
    /// Pixels down; 0 if a later marker says it, which no camera does.
    pub(super) height: u16,
    /// Horizontal and vertical sampling factors of each component.
    sampling: Vec<(u8, u8)>,
    /// Components of the first scan.
    first_scan_components: u8,
    /// Progressive coding.
    progressive: bool,
    /// Where the first scan's data begin.
    scan_start: usize,
}

/// Components of a picture: CMYK has four, T.81 allows no more in a progressive frame.
const COMPONENTS_MAX: usize = 4;

impl JpegHeaders {
    /// Reads markers up to the first scan.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut at = 2;
        let mut frame: Option<Self> = None;
        loop {
            let (marker, after) = next_marker(bytes, at)?;
            let length = usize::from(u16::from_be_bytes(*bytes.get(after..)?.first_chunk()?));
            let body = bytes.get(after + 2..after + length.max(2))?;
            at = after + length.max(2);
            match marker {
                0xc4 | 0xc8 | 0xcc => {} // Tables, reserved, arithmetic conditioning: the same range as frames.
                0xc0..=0xcf => frame = Some(read_frame(marker, body)?),
                0xda => {
                    let mut frame = frame?;
                    frame.first_scan_components = *body.first()?;
                    frame.scan_start = at;
                    return Some(frame);
                }
                0xd9 => return None,
                _ => {}
            }
        }
    }

    /// Bytes in which the decoder keeps coefficients: none when it can decode row by row, two a sample when later scans add
    /// to earlier ones.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        if !self.progressive && usize::from(self.first_scan_components) >= self.sampling.len() {
            return 0;
        }
        let largest = |side: fn(&(u8, u8)) -> u8| self.sampling.iter().map(side).max().map_or(1, u64::from).max(1);
        let (widest, highest) = (largest(|(h, _)| *h), largest(|(_, v)| *v));
        // Rows and columns are filled up to whole blocks of the largest component.
        let across = u64::from(self.width).div_ceil(8 * widest);
        let down = u64::from(self.height).div_ceil(8 * highest);
        let blocks: u64 = self.sampling.iter().map(|(h, v)| across * u64::from(*h) * down * u64::from(*v)).sum();
        blocks * 64 * 2
    }

    /// Whether the end marker follows the first scan. Inside a scan 0xff is always followed by 0x00 or a restart marker.
    pub(super) fn has_end(&self, bytes: &[u8]) -> bool {
        bytes.get(self.scan_start..).is_some_and(|data| data.windows(2).any(|pair| pair == [0xff, 0xd9]))
    }
}

fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    // Anything between segments is skipped, as decoders do.
    while *bytes.get(at)? != 0xff || matches!(*bytes.get(at + 1)?, 0x00 | 0xff | 0x01 | 0xd0..=0xd8) {
        at += 1;
    }
    Some((bytes[at + 1], at + 2))
}

fn read_frame(marker: u8, body: &[u8]) -> Option<JpegHeaders> {
    let [precision, height_high, height_low, width_high, width_low, count] = *body.first_chunk::<6>()?;
    let components = body.get(6..6 + usize::from(count) * 3)?;
    if !(1..=COMPONENTS_MAX).contains(&usize::from(count)) {
        return None;
    }
    Some(JpegHeaders {
        precision,
        width: u16::from_be_bytes([width_high, width_low]),
        height: u16::from_be_bytes([height_high, height_low]),
        sampling: components.chunks_exact(3).map(|component| (component[1] >> 4, component[1] & 15)).collect(),
        first_scan_components: 0,
        progressive: matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
        scan_start: 0,
    })
}
