//! Ctrl-C and termination, taken between two captures instead of in the middle of one. Nothing would be lost by dying: the
//! store survives that; but a person who stops a long command wants to see what was done.

use crate::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The source has bytes, or has ended.
    Readable,
    /// Nothing came in the time.
    TimeOver,
    /// A signal asks to end.
    Asked,
}

/// Whether somebody asked this process to end.
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Interrupt {
    /// Listens from now on. The first signal is a request; a second one ends the process at once.
    pub(crate) fn listen() -> Result<Self, Error> {
        Self::register().map_err(|source| Error::Read { what: "the signal handler", source })
    }

    fn register() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (wake, waker) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset and goes on to set it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(Self { asked, wake })
    }

    /// Whether a signal came.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Runs `stop` when a signal comes, on a thread of its own that ends with the process.
    pub(crate) fn then(self, stop: impl FnOnce() + Send + 'static) {
        std::thread::spawn(move || {
            // One byte comes with each signal; nothing else is ever written here.
            if (&self.wake).read_exact(&mut [0]).is_ok() {
                stop();
            }
        });
    }

    /// Waits until `source` can be read or has ended, a signal comes, or so many milliseconds are over.
    pub(crate) fn wait_for(&self, source: BorrowedFd<'_>, wait_ms: Option<u64>) -> io::Result<Woken> {
        let timeout = wait_ms.map(|ms| Timespec {
            tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
        });
        let mut waiting = [
            PollFd::from_borrowed_fd(source, PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        loop {
            match poll(&mut waiting, timeout.as_ref()) {
                Ok(_) if self.asked() => return Ok(Woken::Asked),
                Ok(0) => return Ok(Woken::TimeOver),
                Ok(_) => return Ok(Woken::Readable),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
