//! The log for a developer, on standard error. What is logged is decided where it happens (ids, never contents); here only
//! how much of it is shown.

use std::io;
use tracing_subscriber::EnvFilter;

/// Overrides `-v`; the syntax is that of `tracing_subscriber::EnvFilter`.
const VARIABLE: &str = "SNAPTRAK_LOG";

/// Begins logging at the level that the options ask for.
pub(crate) fn begin(verbose: u8) {
    let filter = match std::env::var(VARIABLE) {
        // A directive that makes no sense is left out by the filter's own rules.
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(directive(verbose)),
    };
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).finish();
    // Fails only where a logger is set already, and this process sets one once.
    drop(tracing_subscriber::util::SubscriberInitExt::try_init(logger));
}

/// Only our own crates, whose names all begin alike: what a library logs of its work was not written under our rule that
/// contents never enter a log.
fn directive(verbose: u8) -> &'static str {
    match verbose {
        // What a person must know without asking is said by the commands.
        0 => "snaptrak=error",
        1 => "snaptrak=info",
        2 => "snaptrak=debug",
        _ => "snaptrak=trace",
    }
}
