//! What a model is asked when one device's answers are compared with another's.

use super::golden;
use super::manifest::{InputContract, Manifest, ModelEntry, Variant};
use super::self_test::wave;
use snaptrak_domain::engine::Tensor;
use std::path::Path;

/// Inputs of a model as `variant` calls them: the golden input of the manifest in `folder`, where there is one that fits this file;
/// otherwise a slow wave; and always noise as of a picture, the same each time.
pub fn test_inputs(folder: &Path, model: &ModelEntry, variant: &Variant) -> Vec<Vec<Tensor>> {
    let entry = model.as_in(variant);
    let first = golden_inputs(folder, model).filter(|_| entry == *model).unwrap_or_else(|| vec![wave(&entry)]);
    let noise = entry.inputs.iter().map(noise).collect();
    vec![first, noise]
}

fn golden_inputs(folder: &Path, model: &ModelEntry) -> Option<Vec<Tensor>> {
    let bytes = Manifest::read_bytes(folder).ok()?;
    let goldens = golden::parse(&bytes, &Manifest::parse(&bytes).ok()?).ok()?;
    let inputs = &goldens.get(&model.id)?.inputs;
    let tensors: Vec<_> = inputs.iter().map(|input| input.read(folder, model).ok()).collect::<Option<_>>()?;
    // A packaged folder's tensors were not compared with their digests.
    let fits = |tensor: &Tensor| {
        tensor.data.len() == tensor.shape.iter().product::<usize>() && tensor.data.iter().all(|value| value.is_finite())
    };
    tensors.iter().all(fits).then_some(tensors)
}

/// Bytes of a generator (D. Knuth's MMIX constants), as a picture's pixels would come in.
fn noise(input: &InputContract) -> Tensor {
    let mut state = 0x5eed_u64;
    let mut value = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits of such a generator repeat soon.
        let byte = (state >> 56) as f32;
        byte * input.normalisation.scale + input.normalisation.offset
    };
    let data = (0..input.shape.iter().product::<usize>()).map(|_| value()).collect();
    Tensor { name: input.name.clone(), shape: input.shape.clone(), data }
}
