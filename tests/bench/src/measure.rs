//! Pairs of measurements, interleaved, and what is made of them.

use crate::answer::Row;
use std::{error::Error, time::Instant};

/// A figure to be measured; a larger one is the better one.
pub(crate) struct Figure<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'static str,
    pub(crate) target: Option<f64>,
    pub(crate) rounds: usize,
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
    let ratios: Vec<f64> = our_figures.iter().zip(&peer_figures).map(|(ours, peer)| ours / peer).collect();
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

fn median(mut figures: Vec<f64>) -> f64 {
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
