#![doc = include_str!("../README.md")]

mod bare;
mod events;
mod held;
mod panics;

pub use bare::{Bare, BareCallback, BareFailure, BareHandle, bare_borrow, bare_callback, bare_hop};
pub use events::{call_threads, idle, processor_time, rehearse};
pub use held::{Held, held};
pub use panics::{PanicSwitch, open_that_panics};

snaptrak_ffi::uniffi_reexport_scaffolding!();
uniffi::setup_scaffolding!();
