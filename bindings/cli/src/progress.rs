//! Progress bars of long work.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use snaptrak::{Phase, Progress, ProgressEvent};
use std::time::Duration;

/// How often the bar's clock moves while nothing else does.
const TICK: Duration = Duration::from_millis(200);

/// A bar that shows what the SDK tells; gone when dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar that appears with the first event.
    pub(crate) fn new(output: &Output) -> Self {
        let bar = output.bar();
        if !bar.is_hidden() {
            bar.set_style(style("{spinner} {msg}"));
        }
        Self { bar }
    }

    /// A bar over this many files.
    pub(crate) fn of_files(output: &Output, files: u64) -> Self {
        let bar = Self::new(output);
        if bar.bar.is_hidden() {
            return bar;
        }
        if files > 1 {
            bar.bar.set_style(style("{spinner} capturing {wide_bar} {pos}/{len} files"));
            bar.bar.set_length(files);
        } else {
            bar.bar.set_style(style("{spinner} capturing {elapsed}"));
        }
        bar.bar.enable_steady_tick(TICK);
        bar
    }

    /// A spinner over bytes whose number nobody knows.
    pub(crate) fn of_bytes(output: &Output) -> Self {
        let bar = Self::new(output);
        bar.bar.set_style(style("{spinner} recording {binary_bytes} {elapsed}"));
        bar
    }

    /// One further.
    pub(crate) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }
}

impl Progress for Bar {
    fn update(&self, event: ProgressEvent) {
        if self.bar.is_hidden() {
            return;
        }
        let (verb, in_bytes) = match event.phase {
            Phase::Analysing => ("analysing", false),
            Phase::Sending => ("sending", true),
            Phase::Verifying => ("waiting for receipts", false),
            Phase::Recovering => ("recovering", false),
            Phase::Fetching => ("fetching", true),
        };
        if in_bytes && event.bytes_total > 0 {
            self.bar.set_style(style("{spinner} {msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}"));
            self.bar.set_length(event.bytes_total);
            self.bar.set_position(event.bytes_done);
            self.bar.set_message(format!("{verb} {}/{}", event.done, event.total));
        } else {
            self.bar.set_style(style("{spinner} {msg} {wide_bar} {pos}/{len}"));
            self.bar.set_length(event.total);
            self.bar.set_position(event.done);
            self.bar.set_message(verb);
        }
        self.bar.enable_steady_tick(TICK);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well formed").progress_chars("=> ")
}
