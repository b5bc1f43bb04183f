//! The queue of a real store: the suite that every queue must pass, and what only this one promises.

mod counts;
mod envelope;
pub(crate) mod fixture;
mod numbers;
mod plans;
mod tallies;
mod why;

use fixture::Fixture;

mod conformance {
    snaptrak_testkit::queue_conformance!(super::Fixture::new());
}

#[test]
fn other_walks_lose_nothing_either() {
    for seed in 1..=3 {
        snaptrak_testkit::queue_conformance::random_walk(&mut Fixture::new(), seed);
    }
}
