//! Tests of the whole store, in the crate so that they can put rows and files into the state that a kill leaves.

mod annotations;
mod captures;
mod clock;
mod derived;
mod fetch;
mod kills;
mod notes;
mod opening;
mod panics;
mod receipts;
mod recordings;
mod recordings_sent;
mod recovering;
mod room;
mod rotation;
mod settings;
pub(crate) mod together;
mod versions;
pub(crate) mod world;
