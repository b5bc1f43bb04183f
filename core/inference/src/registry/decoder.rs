//! The parameters with which outputs become boxes. The arithmetic is `core/vision`'s.

use serde::Deserialize;

/// Which decoder, with its parameters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decoder {
    /// Single-shot detector with anchors (Liu et al., 2016; TensorFlow's object detection API).
    Ssd(SsdDecoder),
    /// BlazeFace (Bazarevsky et al., 2019; MediaPipe).
    Blazeface(BlazefaceDecoder),
}

impl Decoder {
    /// Every name of an output in it.
    pub(super) fn names_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Ssd(ssd) => vec![&mut ssd.boxes, &mut ssd.scores],
            Self::Blazeface(face) => {
                face.layers.iter_mut().flat_map(|layer| [&mut layer.scores, &mut layer.boxes]).collect()
            }
        }
    }
}

/// What turns a logit into a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `1 / (1 + exp(-x))`, each class for itself.
    Sigmoid,
}

/// Order of the four numbers of a box encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxOrder {
    /// Centre y, centre x, height, width.
    #[serde(rename = "ycxchw")]
    YcXcHW,
}

/// Parameters of a single-shot detector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SsdDecoder {
    /// Output with the box encodings, `[1, anchors, 4]`.
    pub boxes: String,
    /// Output with the class logits, `[1, anchors, classes]`.
    pub scores: String,
    /// From logit to score.
    pub activation: Activation,
    /// Leading classes that mean "nothing".
    pub background_classes: usize,
    /// Order of a box's numbers.
    pub box_order: BoxOrder,
    /// What encodings are divided by.
    pub box_scales: BoxScales,
    /// How the anchors are made.
    pub anchors: SsdAnchors,
}

/// What encodings are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct BoxScales {
    /// Centre y.
    pub y: f32,
    /// Centre x.
    pub x: f32,
    /// Height.
    pub h: f32,
    /// Width.
    pub w: f32,
}

/// How a single-shot detector's anchors are made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SsdAnchors {
    /// Pixels between cells, layer by layer.
    pub strides: Vec<u32>,
    /// Scale of the first layer.
    pub scale_min: f32,
    /// Scale of the last layer.
    pub scale_max: f32,
    /// Width over height of the anchors of a cell.
    pub aspect_ratios: Vec<f32>,
    /// Proportion of one more anchor, between this layer's scale and the next's.
    pub interpolated_scale_aspect_ratio: f32,
    /// The first layer's anchors, which follow no rule.
    pub lowest_layer: Vec<AnchorShape>,
    /// How many there must be in all.
    pub count: usize,
}

/// One anchor's shape.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct AnchorShape {
    /// Width over height.
    pub aspect_ratio: f32,
    /// Square root of its area, as a part of the input's side.
    pub scale: f32,
}

/// Parameters of BlazeFace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BlazefaceDecoder {
    /// From logit to score.
    pub activation: Activation,
    /// The grids of anchors. Those that name the same outputs follow one another there.
    pub layers: Vec<BlazefaceLayer>,
}

impl BlazefaceDecoder {
    /// For each layer, the row of its outputs at which it begins, in a picture with sides of `side` pixels.
    pub fn first_rows(&self, side: u32) -> Vec<usize> {
        let before =
            |index: usize| self.layers[..index].iter().filter(move |layer| layer.scores == self.layers[index].scores);
        let rows = |index| before(index).fold(0_usize, |rows, layer| rows.saturating_add(layer.anchors(side)));
        (0..self.layers.len()).map(rows).collect()
    }
}

/// One grid of anchors with its two outputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BlazefaceLayer {
    /// Pixels between cells.
    pub stride: u32,
    /// Anchors in a cell, all of the same place.
    pub anchors_per_cell: u32,
    /// Output with the logits, `[1, anchors, 1]`; several layers may share it.
    pub scores: String,
    /// Output with centre, size and six points, `[1, anchors, 16]`; shared by those that share the logits.
    pub boxes: String,
}

impl BlazefaceLayer {
    /// Anchors of this layer in a picture with sides of `side` pixels.
    pub fn anchors(&self, side: u32) -> usize {
        let cells = side.div_ceil(self.stride) as usize;
        cells.saturating_mul(cells).saturating_mul(self.anchors_per_cell as usize)
    }
}
