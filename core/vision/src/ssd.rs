//! Single-shot detector: anchors and box decoding (Liu et al., 2016; the anchors are those of TensorFlow's object detection
//! API, `multiple_grid_anchor_generator`).

use crate::{
    activation::{logit, sigmoid},
    nms::Candidate,
    placement::Edges,
};
use snaptrak_domain::engine::Tensor;
use snaptrak_inference::registry::{BoxOrder, ModelEntry, SsdAnchors, SsdDecoder};

/// A place and a shape that boxes are encoded against, as fractions of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Anchor {
    y: f32,
    x: f32,
    h: f32,
    w: f32,
}

/// The decoder with its anchors.
#[derive(Debug)]
pub(crate) struct Ssd {
    decoder: SsdDecoder,
    anchors: Vec<Anchor>,
}

impl Ssd {
    /// `None` if the parameters do not give as many anchors as they say.
    pub(crate) fn new(decoder: &SsdDecoder, input_side: u32) -> Option<Self> {
        let anchors = anchors(&decoder.anchors, input_side)?;
        Some(Self { decoder: decoder.clone(), anchors })
    }

    /// Boxes above the threshold. The outputs have been checked against the contract.
    pub(crate) fn candidates(&self, model: &ModelEntry, outputs: &[Tensor]) -> Vec<Candidate> {
        let named = |name: &str| outputs.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.data.as_slice());
        let (Some(boxes), Some(scores)) = (named(&self.decoder.boxes), named(&self.decoder.scores)) else {
            return Vec::new();
        };
        let background = self.decoder.background_classes;
        let classes = model.labels.len() + background;
        // Comparing logits spares an exponential for each of some 46,000 scores.
        let threshold = logit(model.thresholds.score);
        let mut found = Vec::new();
        for ((anchor, encoded), row) in self.anchors.iter().zip(boxes.chunks_exact(4)).zip(scores.chunks_exact(classes))
        {
            for (class, value) in row[background..].iter().enumerate() {
                if *value > threshold {
                    let edges = self.edges(anchor, encoded);
                    found.push(Candidate { class, score: sigmoid(*value), edges });
                }
            }
        }
        found
    }

    fn edges(&self, anchor: &Anchor, encoded: &[f32]) -> Edges {
        let scales = self.decoder.box_scales;
        let [y, x, h, w] = match self.decoder.box_order {
            BoxOrder::YcXcHW => [encoded[0], encoded[1], encoded[2], encoded[3]],
        };
        let (y, x) = (y / scales.y * anchor.h + anchor.y, x / scales.x * anchor.w + anchor.x);
        let (h, w) = ((h / scales.h).exp() * anchor.h, (w / scales.w).exp() * anchor.w);
        Edges { x0: x - w / 2.0, y0: y - h / 2.0, x1: x + w / 2.0, y1: y + h / 2.0 }
    }
}

fn anchors(parameters: &SsdAnchors, input_side: u32) -> Option<Vec<Anchor>> {
    let layers = parameters.strides.len();
    let step = (parameters.scale_max - parameters.scale_min) / (layers - 1) as f32;
    let scale_of = |layer: usize| if layer == layers { 1.0 } else { parameters.scale_min + step * layer as f32 };
    let mut anchors = Vec::with_capacity(parameters.count);
    for (layer, stride) in parameters.strides.iter().enumerate() {
        let shapes: Vec<(f32, f32)> = if layer == 0 {
            parameters.lowest_layer.iter().map(|shape| (shape.aspect_ratio, shape.scale)).collect()
        } else {
            let between = (scale_of(layer) * scale_of(layer + 1)).sqrt();
            let ruled = parameters.aspect_ratios.iter().map(|ratio| (*ratio, scale_of(layer)));
            ruled.chain([(parameters.interpolated_scale_aspect_ratio, between)]).collect()
        };
        let cells = input_side.div_ceil(*stride);
        // A manifest that asks for more than it says is refused before the memory is filled.
        let more = (cells as usize).checked_mul(cells as usize)?.checked_mul(shapes.len())?;
        if anchors.len().checked_add(more)? > parameters.count {
            return None;
        }
        let centre = |cell: u32| (cell as f32 + 0.5) / cells as f32;
        for y in 0..cells {
            for x in 0..cells {
                anchors.extend(shapes.iter().map(|(ratio, scale)| {
                    let root = ratio.sqrt();
                    Anchor { y: centre(y), x: centre(x), h: scale / root, w: scale * root }
                }));
            }
        }
    }
    (anchors.len() == parameters.count).then_some(anchors)
}
