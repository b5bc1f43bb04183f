//! What scripts rely on, checked on the real program: commands, field names and their types, exit codes, what goes to which
//! stream. Everything here runs without a server; what needs one is checked end to end elsewhere.

#![allow(clippy::unwrap_used)]

mod bringing_back;
mod capture;
mod failures;
mod inspect;
mod making_room;
mod models;
mod program;
mod record;
mod taking_out;
mod usage;
