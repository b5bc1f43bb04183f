//! The queue of a real store: the suite that every queue must pass, and what only this one promises.

mod counts;
mod envelope;
pub(crate) mod fixture;
mod numbers;
mod plans;
mod why;

use fixture::Fixture;

mod conformance {
    snaptrak_testkit::queue_conformance!(super::Fixture::new());
}
