//! What the operating system says about how the app's last process ended.

/// Why a process ended: Android's `ApplicationExitInfo`, iOS's `MXAppExitMetric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExitReason {
    /// Native code crashed (Android: `REASON_CRASH_NATIVE`).
    NativeCrash,
    /// The system took it for want of memory (`REASON_LOW_MEMORY`).
    LowMemory,
    /// A person ended it (`REASON_USER_REQUESTED`, `REASON_USER_STOPPED`).
    User,
    /// The system ended it for reasons of its own: an update, permissions that changed (`REASON_PACKAGE_UPDATED`,
    /// `REASON_PERMISSION_CHANGE`, `REASON_DEPENDENCY_DIED`).
    System,
    /// Anything else, or nobody knows.
    #[default]
    Unknown,
}

/// How the last process ended, and which one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastExit {
    /// Why.
    pub reason: ExitReason,
    /// The number of that process, where the system tells it: what another one left behind is then not judged by this reason.
    pub process_id: Option<u32>,
}

impl LastExit {
    /// Why the process with this number ended.
    pub fn of(&self, process_id: u32) -> ExitReason {
        match self.process_id {
            Some(told) if told != process_id => ExitReason::Unknown,
            Some(_) | None => self.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_speaks_of_its_own_process_only() {
        let told = LastExit { reason: ExitReason::User, process_id: Some(7) };
        assert_eq!((told.of(7), told.of(8)), (ExitReason::User, ExitReason::Unknown));
        assert_eq!(LastExit { process_id: None, ..told }.of(8), ExitReason::User);
    }
}
