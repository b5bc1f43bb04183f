//! An input or an output of a loaded model, and whether a tensor fits it.

use crate::bounds::{OUTPUTS_MAX, VALUES_MAX};
use snaptrak_domain::engine::Tensor;

/// What a library says of one of a model's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// The tensor's name in the file, not the one that a signature may give it: both interfaces know this one.
    pub(super) name: String,
    /// Sizes as the file has them, outermost first; `None` for one that only a run tells.
    sizes: Vec<Option<usize>>,
    /// Sizes as they are now; none before the first run of what has open ones.
    pub(super) shape: Vec<usize>,
    /// Their product; nothing before the first run of what has open ones.
    pub(super) values: usize,
}

impl Port {
    /// Of sizes as the libraries have them; one that is open is below zero.
    pub(super) fn new(name: String, sizes: &[i32]) -> Result<Self, String> {
        let sizes: Vec<Option<usize>> = sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
        // Open sizes can only make it larger.
        let least = product(sizes.iter().map(|size| size.unwrap_or(1)));
        let least = least.ok_or_else(|| format!("`{name}` is empty or holds more than {VALUES_MAX} values"))?;
        let fixed: Option<Vec<usize>> = sizes.iter().copied().collect();
        let values = if fixed.is_some() { least } else { 0 };
        Ok(Self { name, sizes, shape: fixed.unwrap_or_default(), values })
    }

    /// Whether only a run tells some of its sizes.
    pub(super) fn is_open(&self) -> bool {
        self.sizes.contains(&None)
    }

    /// Whether it has this shape now.
    pub(super) fn has(&self, shape: &[usize]) -> bool {
        self.values > 0 && self.shape == shape
    }

    /// Gives it a shape, which must be one that it can have.
    pub(super) fn set_shape(&mut self, shape: &[usize]) -> Result<(), String> {
        let values = product(shape.iter().copied()).filter(|_| self.can_have(shape));
        self.values = values.ok_or_else(|| format!("`{}` cannot have the shape {shape:?}", self.name))?;
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        Ok(())
    }

    /// As before the first run, if it has open sizes.
    pub(super) fn forget_shape(&mut self) {
        if self.is_open() {
            self.shape.clear();
            self.values = 0;
        }
    }

    fn can_have(&self, shape: &[usize]) -> bool {
        let is_like = |(size, given): (&Option<usize>, &usize)| size.is_none_or(|size| size == *given);
        self.sizes.len() == shape.len() && self.sizes.iter().zip(shape).all(is_like)
    }

    /// Whether `tensor` can be given to this input.
    pub(super) fn check(&self, tensor: &Tensor) -> Result<(), String> {
        if !self.can_have(&tensor.shape) {
            return Err(format!("the input `{}` cannot have the shape {:?}", self.name, tensor.shape));
        }
        if product(tensor.shape.iter().copied()) != Some(tensor.data.len()) {
            return Err(format!("the input `{}` does not hold as many values as its shape says", self.name));
        }
        Ok(())
    }

    /// Gives the tensor at `index` this port's name, shape and room; allocates nothing if it has them.
    pub(super) fn shape_output(&self, index: usize, outputs: &mut Vec<Tensor>) {
        match outputs.get_mut(index) {
            None => outputs.push(Tensor {
                name: self.name.clone(),
                shape: self.shape.clone(),
                data: vec![0.0; self.values],
            }),
            Some(tensor) => {
                if tensor.name != self.name {
                    tensor.name.clone_from(&self.name);
                }
                if tensor.shape != self.shape {
                    tensor.shape.clone_from(&self.shape);
                }
                tensor.data.resize(self.values, 0.0);
            }
        }
    }
}

/// The product of sizes, unless it is nothing or more than any model needs.
fn product(mut sizes: impl Iterator<Item = usize>) -> Option<usize> {
    let values = sizes.try_fold(1_usize, |product, size| product.checked_mul(size))?;
    (1..=VALUES_MAX).contains(&values).then_some(values)
}

/// Names that tell tensors apart, and no more of them than any model needs.
pub(super) fn check_ports(ports: &[Port]) -> Result<(), String> {
    if ports.is_empty() || ports.len() > OUTPUTS_MAX {
        return Err(format!("it has no inputs, no outputs, or more than {OUTPUTS_MAX}"));
    }
    let is_twice = |(index, port): (usize, &Port)| ports[..index].iter().any(|other| other.name == port.name);
    match ports.iter().enumerate().find(|port| is_twice(*port)) {
        Some((_, port)) => Err(format!("the name `{}` is there twice", port.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_empty_or_absurd_are_refused_and_open_ones_are_not() {
        let port = |sizes: &[i32]| Port::new("x".into(), sizes);
        assert_eq!(port(&[1, 2, 3]).unwrap().values, 6);
        assert_eq!(port(&[]).unwrap().values, 1, "a single number");
        for sizes in [&[0, 3][..], &[-1, 0], &[i32::MAX, i32::MAX, i32::MAX], &[1 << 14, 1 << 14], &[-1, 1 << 30]] {
            port(sizes).unwrap_err();
        }
        let open = port(&[-1, 3]).unwrap();
        assert_eq!((open.is_open(), open.values, open.has(&[])), (true, 0, false), "it has none so far");
    }

    #[test]
    fn an_input_takes_the_sizes_that_are_fixed_and_any_that_are_open() {
        let mut open = Port::new("x".into(), &[-1, 3]).unwrap();
        let tensor =
            |shape: &[usize], values| Tensor { name: "x".into(), shape: shape.to_vec(), data: vec![0.0; values] };
        open.check(&tensor(&[1, 3], 3)).unwrap();
        open.check(&tensor(&[5, 3], 15)).unwrap();
        for (shape, values) in [(&[5, 4][..], 20), (&[0, 3], 0), (&[3], 3), (&[5, 3], 14), (&[usize::MAX, 3], 3)] {
            open.check(&tensor(shape, values)).unwrap_err();
            assert!(open.set_shape(shape).is_err() || values == 14, "{shape:?}");
        }
        open.set_shape(&[2, 3]).unwrap();
        assert_eq!((open.values, open.has(&[2, 3]), open.has(&[3, 3])), (6, true, false));
        open.forget_shape();
        assert!(!open.has(&[2, 3]));
        let mut fixed = Port::new("x".into(), &[2, 3]).unwrap();
        fixed.forget_shape();
        assert!(fixed.has(&[2, 3]) && !fixed.is_open());
    }

    #[test]
    fn outputs_that_fit_keep_their_place_and_others_are_made_to_fit() {
        let port = Port::new("x".into(), &[2, 2]).unwrap();
        let mut outputs = vec![Tensor { name: "y".into(), shape: vec![7], data: vec![1.0; 7] }];
        port.shape_output(0, &mut outputs);
        let room = outputs[0].data.as_ptr();
        port.shape_output(0, &mut outputs);
        port.shape_output(1, &mut outputs);
        assert_eq!(outputs[0].data.as_ptr(), room);
        assert!(outputs.iter().all(|tensor| tensor.name == "x" && tensor.shape == [2, 2] && tensor.data.len() == 4));
    }

    #[test]
    fn one_name_for_two_tensors_is_refused() {
        let port = |name: &str| Port::new(name.into(), &[1]).unwrap();
        check_ports(&[port("a"), port("b")]).unwrap();
        check_ports(&[port("a"), port("b"), port("a")]).unwrap_err();
        check_ports(&[]).unwrap_err();
    }
}
