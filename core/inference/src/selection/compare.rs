//! Whether an accelerator's answer is the processor's.

use snaptrak_domain::{engine::Tensor, verdict::Fault};

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    /// The same within the tolerance.
    Same {
        /// Largest difference of a value.
        difference: f32,
    },
    /// Another answer.
    Other(Fault),
    /// Both answers hold what is no number: it is the model's doing.
    Unjudged,
}

/// Compares tensor by tensor, by name; the order does not count, and nothing may be missing or more.
pub(super) fn compare(wanted: &[Tensor], found: &[Tensor], tolerance: f32) -> Comparison {
    if !is_finite(wanted) && !is_finite(found) {
        return Comparison::Unjudged;
    }
    let another_shape = Comparison::Other(Fault::WrongAnswer { difference: None });
    if wanted.len() != found.len() {
        return another_shape;
    }
    let mut most = 0.0_f32;
    for tensor in wanted {
        let Some(other) = found.iter().find(|other| other.name == tensor.name) else { return another_shape };
        if other.shape != tensor.shape || other.data.len() != tensor.data.len() {
            return another_shape;
        }
        for (wanted, found) in tensor.data.iter().zip(&other.data) {
            if !found.is_finite() {
                return Comparison::Other(Fault::NotANumber);
            }
            // `max` would drop what is no number.
            let difference = (wanted - found).abs();
            most = if difference.is_finite() { most.max(difference) } else { f32::INFINITY };
        }
    }
    if most.is_finite() && most <= tolerance {
        Comparison::Same { difference: most }
    } else {
        Comparison::Other(Fault::WrongAnswer { difference: Some(most).filter(|most| most.is_finite()) })
    }
}

/// Whether every value is a number.
pub(super) fn is_finite(tensors: &[Tensor]) -> bool {
    tensors.iter().all(|tensor| tensor.data.iter().all(|value| value.is_finite()))
}

/// Copies into tensors that are used again; allocates nothing when they were as large before.
pub(super) fn copy(from: &[Tensor], to: &mut Vec<Tensor>) {
    to.truncate(from.len());
    for (index, tensor) in from.iter().enumerate() {
        match to.get_mut(index) {
            Some(place) => {
                place.name.clone_from(&tensor.name);
                place.shape.clone_from(&tensor.shape);
                place.data.clone_from(&tensor.data);
            }
            None => to.push(tensor.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], data: &[f32]) -> Tensor {
        Tensor { name: name.into(), shape: shape.into(), data: data.into() }
    }

    #[test]
    fn the_same_within_the_tolerance_whatever_the_order() {
        let wanted = [tensor("a", &[2], &[1.0, 2.0]), tensor("b", &[1], &[3.0])];
        let found = [tensor("b", &[1], &[3.0]), tensor("a", &[2], &[1.0, 2.25])];
        assert_eq!(compare(&wanted, &found, 0.25), Comparison::Same { difference: 0.25 });
        let other = Comparison::Other(Fault::WrongAnswer { difference: Some(0.25) });
        assert_eq!(compare(&wanted, &found, 0.2), other);
        assert_eq!(compare(&wanted, &found, f32::NAN), other, "a tolerance that is no number lets nothing pass");
    }

    #[test]
    fn another_shape_is_a_wrong_answer() {
        let wanted = [tensor("a", &[2], &[1.0, 2.0])];
        let two = [wanted[0].clone(), wanted[0].clone()];
        let wrong = Comparison::Other(Fault::WrongAnswer { difference: None });
        for found in [
            &[][..],
            &two,
            &[tensor("b", &[2], &[1.0, 2.0])],
            &[tensor("a", &[1, 2], &[1.0, 2.0])],
            &[tensor("a", &[2], &[1.0])],
        ] {
            assert_eq!(compare(&wanted, found, 1.0), wrong, "{found:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_the_accelerators_fault_only_where_the_processor_has_one() {
        let (number, none) = ([tensor("a", &[1], &[1.0])], [tensor("a", &[1], &[f32::NAN])]);
        let infinite = [tensor("a", &[1], &[f32::INFINITY])];
        assert_eq!(compare(&number, &none, f32::INFINITY), Comparison::Other(Fault::NotANumber));
        assert_eq!(compare(&number, &infinite, f32::INFINITY), Comparison::Other(Fault::NotANumber));
        assert_eq!(compare(&none, &none, 1.0), Comparison::Unjudged);
        let wrong = Comparison::Other(Fault::WrongAnswer { difference: None });
        assert_eq!(compare(&none, &number, f32::INFINITY), wrong, "the processor is what counts");
        let largest = [tensor("a", &[1], &[f32::MAX])];
        let lowest = [tensor("a", &[1], &[f32::MIN])];
        assert_eq!(compare(&largest, &lowest, f32::INFINITY), wrong, "a difference that is no number");
    }

    #[test]
    fn a_copy_is_the_same_whatever_was_there_before() {
        let from = [tensor("a", &[2], &[1.0, 2.0])];
        for before in [vec![], vec![tensor("x", &[1], &[0.0])], vec![tensor("x", &[], &[]), tensor("y", &[], &[])]] {
            let mut to = before;
            copy(&from, &mut to);
            assert_eq!(to, from);
        }
    }
}
