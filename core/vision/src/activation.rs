//! From logit to score and back.

/// `1 / (1 + exp(-x))`; exact at both ends for any finite value.
pub(crate) fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// The logit of a score; infinite at 0 and 1, which compares as it should.
pub(crate) fn logit(score: f32) -> f32 {
    (score / (1.0 - score)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_undoes_the_other_and_extremes_are_numbers() {
        for score in [0.01, 0.3, 0.5, 0.99] {
            assert!((sigmoid(logit(score)) - score).abs() < 1e-6);
        }
        assert_eq!((sigmoid(-1e30), sigmoid(1e30)), (0.0, 1.0));
        assert_eq!((logit(0.0), logit(1.0)), (f32::NEG_INFINITY, f32::INFINITY));
    }
}
