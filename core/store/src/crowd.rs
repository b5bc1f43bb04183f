//! How many captures are being sealed at this moment.
//!
//! Owns one number and what follows from it: whether there is a core with nothing to do. A second thread halves the time of
//! one capture; where every core has a capture of its own it only costs what the two threads tell each other.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The captures of one store that are being sealed.
pub(crate) struct Crowd {
    present: AtomicUsize,
    cores: usize,
}

/// One of them, until it is dropped.
pub(crate) struct Present<'a> {
    crowd: &'a Crowd,
}

impl Crowd {
    /// Nobody, on this machine's cores.
    pub(crate) fn new() -> Self {
        Self::on(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn on(cores: usize) -> Self {
        Self { present: AtomicUsize::new(0), cores }
    }

    /// Counts a capture until the answer is dropped.
    pub(crate) fn enter(&self) -> Present<'_> {
        self.present.fetch_add(1, Ordering::Relaxed);
        Present { crowd: self }
    }
}

impl Present<'_> {
    /// Whether every capture could have two cores now. The next moment it may be otherwise, which costs time and nothing else.
    pub(crate) fn has_idle_core(&self) -> bool {
        2 * self.crowd.present.load(Ordering::Relaxed) <= self.crowd.cores
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.crowd.present.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Crowd {
    /// A machine on which one capture alone has as many cores as it likes, or none to spare.
    pub(crate) fn with_cores(cores: usize) -> Self {
        Self::on(cores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thread_helps_only_while_each_capture_has_two_cores() {
        let crowd = Crowd::on(4);
        let first = crowd.enter();
        let second = crowd.enter();
        assert!(first.has_idle_core() && second.has_idle_core());
        let third = crowd.enter();
        assert!(!first.has_idle_core() && !third.has_idle_core());
        drop(third);
        assert!(first.has_idle_core());
        assert!(!Crowd::on(1).enter().has_idle_core());
    }
}
