//! BlazeFace: every anchor is the centre of a cell, boxes are in pixels of the input (Bazarevsky et al., 2019; the anchors
//! are those of MediaPipe's `SsdAnchorsCalculator` with `fixed_anchor_size`).

use crate::{
    activation::{logit, sigmoid},
    nms::Candidate,
    placement::Edges,
};
use snaptrak_domain::engine::Tensor;
use snaptrak_inference::registry::{BlazefaceDecoder, BlazefaceLayer, ModelEntry};

/// Values of one box: centre, size and six points of the face, of which the box's four are used.
const BOX_VALUES: usize = 16;

/// Boxes above the threshold. The outputs have been checked against the contract.
pub(crate) fn candidates(decoder: &BlazefaceDecoder, model: &ModelEntry, outputs: &[Tensor]) -> Vec<Candidate> {
    let side = model.inputs[0].size().0;
    let layers = decoder.layers.iter().zip(decoder.first_rows(side));
    layers.flat_map(|(layer, first_row)| layer_candidates(layer, first_row, model, outputs, side)).collect()
}

fn layer_candidates(
    layer: &BlazefaceLayer,
    first_row: usize,
    model: &ModelEntry,
    outputs: &[Tensor],
    side: u32,
) -> Vec<Candidate> {
    let named = |name: &str| outputs.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.data.as_slice());
    let (Some(scores), Some(boxes)) = (named(&layer.scores), named(&layer.boxes)) else {
        return Vec::new();
    };
    let cells = side.div_ceil(layer.stride) as usize;
    let threshold = logit(model.thresholds.score);
    let rows = scores.iter().zip(boxes.chunks_exact(BOX_VALUES)).skip(first_row).take(layer.anchors(side));
    rows.enumerate()
        .filter(|(_, (value, _))| **value > threshold)
        .map(|(row, (value, encoded))| {
            let cell = row / layer.anchors_per_cell as usize;
            let centre = |index: usize| (index as f32 + 0.5) / cells as f32;
            let [x, y, w, h] = [encoded[0], encoded[1], encoded[2], encoded[3]].map(|pixels| pixels / side as f32);
            let (x, y) = (x + centre(cell % cells), y + centre(cell / cells));
            let edges = Edges { x0: x - w / 2.0, y0: y - h / 2.0, x1: x + w / 2.0, y1: y + h / 2.0 };
            Candidate { class: 0, score: sigmoid(*value), edges }
        })
        .collect()
}
