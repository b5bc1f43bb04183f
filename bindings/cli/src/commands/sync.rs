//! `sync`: brings what waits to the server, and fetches its receipts.

use crate::{
    error::Error, exit::Exit, globals::Globals, human, interrupt::Interrupt, output::Output, progress::Bar, session,
    words as sentences,
};
use serde::Serialize;
use snaptrak::{Budget, CancelToken, StoppedBecause, SyncReport};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End cleanly after so many milliseconds
    #[arg(long, value_name = "N")]
    budget_ms: Option<u64>,
    /// Send at most so many bytes
    #[arg(long, value_name = "N")]
    budget_bytes: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Shape {
    requests: u64,
    bytes_sent: u64,
    bytes_resent: u64,
    received: u64,
    verified: u64,
    parked: u64,
    left: u64,
    #[serde(serialize_with = "as_word")]
    stopped_because: StoppedBecause,
    next_try_ms: Option<i64>,
}

fn as_word<S: serde::Serializer>(reason: &StoppedBecause, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let budget = Budget { time_ms: arguments.budget_ms, bytes: arguments.budget_bytes };
    let report = session::with_store(globals, output, |sdk| {
        // The passphrase was given: old captures get their wraps, and receipts go into their envelopes, in this window.
        sdk.unlock()?;
        let cancel = CancelToken::new();
        Interrupt::listen()?.then({
            let cancel = cancel.clone();
            move || cancel.cancel()
        });
        Ok(sdk.sync_until(budget, &Bar::new(output), &cancel)?)
    })?;
    output.result("snaptrak.sync/1", &shape(&report), words)?;
    if report.left > 0 {
        output.say("`snaptrak why ID` says why a capture waits.");
    }
    Ok(exit(&report))
}

pub(super) fn shape(report: &SyncReport) -> Shape {
    Shape {
        requests: report.requests,
        bytes_sent: report.bytes_sent,
        bytes_resent: report.bytes_resent,
        received: report.received,
        verified: report.verified,
        parked: report.parked,
        left: report.left,
        stopped_because: report.stopped_because,
        next_try_ms: report.next_try_ms.map(|moment| moment.0),
    }
}

pub(super) fn words(shape: &Shape) -> String {
    let resent =
        if shape.bytes_resent > 0 { format!(" ({} again)", human::size(shape.bytes_resent)) } else { String::new() };
    format!(
        "{} verified, {} received, {} set aside, {} left\n{} sent{resent} in {} requests\n{}",
        shape.verified,
        shape.received,
        shape.parked,
        shape.left,
        human::size(shape.bytes_sent),
        shape.requests,
        sentences::of_stop(shape.stopped_because)
    )
}

/// While something is left that another run could bring over, the answer is "incomplete"; only then does what was parked
/// decide.
pub(super) fn exit(report: &SyncReport) -> Exit {
    use StoppedBecause as S;
    match report.stopped_because {
        S::Done if report.parked == 0 => Exit::Done,
        S::Done | S::Parked => Exit::Parked,
        S::BudgetTime
        | S::BudgetBytes
        | S::Offline
        | S::SignedOut
        | S::NoToken
        | S::NotEnrolled
        | S::TrustNotChained
        | S::TrustExpired
        | S::WaitingForRetry
        | S::VerificationPending => Exit::Incomplete,
        S::Cancelled => Exit::Interrupted,
        S::StorageFull => Exit::StorageFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(parked: u64, left: u64, stopped_because: StoppedBecause) -> SyncReport {
        SyncReport {
            requests: 1,
            bytes_sent: 1,
            bytes_resent: 0,
            received: 1,
            verified: 1,
            parked,
            left,
            stopped_because,
            next_try_ms: None,
        }
    }

    #[test]
    fn only_a_sync_that_left_nothing_behind_is_a_success() {
        for stopped_because in StoppedBecause::ALL {
            let done = exit(&report(0, 0, stopped_because)) == Exit::Done;
            assert_eq!(done, stopped_because == StoppedBecause::Done, "{stopped_because:?}");
        }
        assert_eq!(exit(&report(1, 0, StoppedBecause::Done)), Exit::Parked);
        assert_eq!(exit(&report(1, 3, StoppedBecause::Offline)), Exit::Incomplete);
    }
}
