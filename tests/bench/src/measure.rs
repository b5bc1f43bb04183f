//! Pairs of measurements, interleaved, and what is made of them.

use crate::answer::Row;
use std::{error::Error, time::Instant};

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// A rate.
    Larger,
    /// A time.
    Smaller,
}

/// A figure to be measured.
pub(crate) struct Figure<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// The ratio that was asked for: above 1 means better than the peer, whichever way the unit goes.
    pub(crate) target: Option<f64>,
    pub(crate) rounds: usize,
}

impl Figure<'_> {
    fn ratio(&self, ours: f64, peer: f64) -> f64 {
        match self.better {
            Better::Larger => ours / peer,
            Better::Smaller => peer / ours,
        }
    }
}

/// One round of something, answering its figure.
pub(crate) type Round<'a> = &'a mut dyn FnMut() -> Result<f64, Box<dyn Error>>;

/// Runs ours and the peer in turn, after one round of each that is not counted, and the floor where there is one.
pub(crate) fn pair(
    figure: &Figure<'_>,
    ours: Round<'_>,
    peer: Round<'_>,
    floor: Option<Round<'_>>,
) -> Result<Row, Box<dyn Error>> {
    ours()?;
    peer()?;
    let mut floor = floor;
    let (mut our_figures, mut peer_figures, mut floor_figures) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..figure.rounds {
        our_figures.push(ours()?);
        peer_figures.push(peer()?);
        if let Some(floor) = floor.as_mut() {
            floor_figures.push(floor()?);
        }
    }
    let ratios: Vec<f64> =
        our_figures.iter().zip(&peer_figures).map(|(ours, peer)| figure.ratio(*ours, *peer)).collect();
    Ok(Row {
        name: figure.name.to_owned(),
        unit: figure.unit,
        ours: median(our_figures),
        peer: median(peer_figures),
        floor: (!floor_figures.is_empty()).then(|| median(floor_figures)),
        ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        ratio_max: ratios.iter().copied().fold(0.0, f64::max),
        ratio_median: median(ratios),
        target: figure.target,
        rounds: figure.rounds,
    })
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
}

/// Seconds that `work` takes.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn seconds(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_better_whatever_the_unit() {
        let row = |better| {
            let figure = Figure { name: "row", unit: "", better, target: Some(1.5), rounds: 3 };
            let mut ours = [99.0, 4.0, 2.0, 6.0].into_iter();
            pair(&figure, &mut || Ok(ours.next().unwrap()), &mut || Ok(2.0), None).unwrap()
        };
        let rate = row(Better::Larger);
        assert_eq!((rate.ratio_min, rate.ratio_median, rate.ratio_max), (1.0, 2.0, 3.0));
        assert_eq!(rate.meets_target(), Some(true));
        let time = row(Better::Smaller);
        assert_eq!((time.ratio_median, time.ratio_max), (0.5, 1.0));
        assert_eq!(time.meets_target(), Some(false));
    }
}
