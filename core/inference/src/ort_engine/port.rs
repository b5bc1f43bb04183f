//! An input or an output of an ONNX model, of which some sizes may be open until a run.

use crate::bounds::{OUTPUTS_MAX, VALUES_MAX};
use ort::value::{Outlet, TensorElementType, ValueType};
use snaptrak_domain::engine::Tensor;

/// What a file says of one of its model's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// Sizes, outermost first; `None` for one that is open. Without any, the file does not even say how many there are: the
    /// library cannot tell that from a single number.
    sizes: Vec<Option<usize>>,
}

impl Port {
    fn new(name: String, sizes: impl Iterator<Item = i64>) -> Result<Self, String> {
        let sizes: Vec<_> = sizes.map(|size| usize::try_from(size).ok()).collect();
        let port = Self { name, sizes };
        // Open sizes can only make it larger.
        let least = count(port.sizes.iter().map(|size| size.unwrap_or(1)));
        match least {
            Some(_) => Ok(port),
            None => Err(format!("`{}` is empty or holds more than {VALUES_MAX} values", port.name)),
        }
    }

    /// Its sizes and their product, if all of them are known before a run.
    pub(super) fn fixed(&self) -> Option<(impl Iterator<Item = usize>, usize)> {
        if self.sizes.is_empty() || self.sizes.contains(&None) {
            return None;
        }
        let sizes = self.sizes.iter().copied().flatten();
        Some((sizes.clone(), count(sizes)?))
    }

    /// Whether `tensor` can be given to this input.
    pub(super) fn check(&self, tensor: &Tensor) -> Result<(), String> {
        let is_like =
            |(wanted, given): (&Option<usize>, &usize)| wanted.is_none_or(|wanted| wanted == *given) && *given > 0;
        let has_sizes = self.sizes.is_empty()
            || self.sizes.len() == tensor.shape.len() && self.sizes.iter().zip(&tensor.shape).all(is_like);
        if !has_sizes {
            return Err(format!("the input `{}` cannot have the shape {:?}", self.name, tensor.shape));
        }
        if count(tensor.shape.iter().copied()) != Some(tensor.data.len()) {
            return Err(format!("the input `{}` does not hold as many values as its shape says", self.name));
        }
        Ok(())
    }
}

/// The product of sizes, unless it is nothing or more than any model needs.
pub(super) fn count(sizes: impl Iterator<Item = usize>) -> Option<usize> {
    let values = sizes.into_iter().try_fold(1_usize, |product, size| product.checked_mul(size))?;
    (1..=VALUES_MAX).contains(&values).then_some(values)
}

/// What the library read of a model's inputs or outputs.
pub(super) fn ports(outlets: &[Outlet]) -> Result<Vec<Port>, String> {
    if outlets.is_empty() || outlets.len() > OUTPUTS_MAX {
        return Err(format!("it has no inputs, no outputs, or more than {OUTPUTS_MAX}"));
    }
    let port = |outlet: &Outlet| {
        let name = outlet.name().to_owned();
        match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Port::new(name, shape.iter().copied()),
            ValueType::Tensor { .. } | ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_) => {
                Err(format!("`{name}` is no tensor of 32-bit floats"))
            }
        }
    };
    outlets.iter().map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(sizes: &[i64]) -> Result<Port, String> {
        Port::new("x".into(), sizes.iter().copied())
    }

    fn tensor(shape: &[usize], values: usize) -> Tensor {
        Tensor { name: "x".into(), shape: shape.to_vec(), data: vec![0.0; values] }
    }

    #[test]
    fn sizes_that_are_empty_or_absurd_are_refused_and_open_ones_are_not() {
        for sizes in [&[0, 3][..], &[i64::MAX, i64::MAX], &[1 << 14, 1 << 14], &[-1, 1 << 40]] {
            port(sizes).unwrap_err();
        }
        assert_eq!(port(&[2, 3]).unwrap().fixed().unwrap().1, 6);
        assert!(port(&[-1, 3]).unwrap().fixed().is_none());
        assert!(port(&[]).unwrap().fixed().is_none(), "no sizes may mean that none are said");
    }

    #[test]
    fn an_input_has_the_sizes_that_are_fixed_and_any_that_are_open() {
        let open = port(&[-1, 3]).unwrap();
        open.check(&tensor(&[1, 3], 3)).unwrap();
        open.check(&tensor(&[5, 3], 15)).unwrap();
        for (shape, values) in [(&[5, 4][..], 20), (&[0, 3], 0), (&[3], 3), (&[5, 3], 14), (&[usize::MAX, 3], 3)] {
            open.check(&tensor(shape, values)).unwrap_err();
        }
        port(&[]).unwrap().check(&tensor(&[2, 2], 4)).unwrap();
    }
}
