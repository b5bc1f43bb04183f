//! An input or an output of a loaded model, and whether a tensor fits it.

use crate::bounds::{OUTPUTS_MAX, VALUES_MAX};
use snaptrak_domain::engine::Tensor;

/// What a library says of one of a model's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// The tensor's name in the file, not the one that a signature may give it: both interfaces know this one.
    pub(super) name: String,
    /// Sizes, outermost first.
    pub(super) shape: Vec<usize>,
    /// Their product.
    pub(super) values: usize,
}

impl Port {
    /// Of sizes as the libraries have them; one that is not fixed is below zero.
    pub(super) fn new(name: String, sizes: &[i32]) -> Result<Self, String> {
        let fixed = |size: &i32| usize::try_from(*size).map_err(|_| format!("`{name}` has no fixed shape"));
        let shape: Vec<usize> = sizes.iter().map(fixed).collect::<Result<_, _>>()?;
        let values = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        match values {
            Some(values) if (1..=VALUES_MAX).contains(&values) => Ok(Self { name, shape, values }),
            _ => Err(format!("`{name}` is empty or holds more than {VALUES_MAX} values")),
        }
    }

    /// Whether `tensor` can be written here.
    pub(super) fn check(&self, tensor: &Tensor) -> Result<(), String> {
        if tensor.shape != self.shape {
            return Err(format!("the input `{}` has the shape {:?} and not {:?}", self.name, tensor.shape, self.shape));
        }
        if tensor.data.len() != self.values {
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
    fn sizes_that_are_open_empty_or_absurd_are_refused() {
        let port = |sizes: &[i32]| Port::new("x".into(), sizes);
        assert_eq!(port(&[1, 2, 3]).unwrap().values, 6);
        assert_eq!(port(&[]).unwrap().values, 1, "a single number");
        for sizes in [&[1, -1][..], &[0, 3], &[i32::MAX, i32::MAX, i32::MAX], &[1 << 14, 1 << 14]] {
            port(sizes).unwrap_err();
        }
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
