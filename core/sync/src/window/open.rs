//! The opening: session and trust bundle, before anything is sent.

use snaptrak_domain::{Reason, ReasonCode, UnixMs};
use snaptrak_seal::{AcceptedTrust, TrustError};

use crate::api::{Call, http_date_ms, trust::plan_fetch, trust::read_fetch};
use crate::report::StoppedBecause;
use crate::trust;
use crate::verdict::{self, Verdict};

use super::{Halt, Window};

/// `Date` has seconds; differences below this say nothing.
const SKEW_MS_MIN: i64 = 2_000;

impl Window<'_> {
    /// Makes sure that there is a session and that the organisation's keys chain, then lets everything leave that may.
    pub(super) fn open(&mut self) -> Result<(), Halt> {
        self.check_limits()?;
        if self.session.ends_soon(self.now()) {
            self.renew_session()?;
        }
        self.fetch_trust()?;
        self.store.set_sync_block(None)?;
        self.let_out()?;
        let backlog = self.store.backlog(self.now())?;
        self.captures_at_start = backlog.captures;
        self.bytes_at_start = backlog.bytes;
        Ok(())
    }

    /// Fetches and judges the trust bundle. A server that cannot give it now leaves us with the one accepted before.
    pub(super) fn fetch_trust(&mut self) -> Result<(), Halt> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: None };
        let plan = plan_fetch(&call);
        let response = match self.line.exchange(plan, self.deadline) {
            Ok(response) => response,
            Err(error) => return Err(self.lost(&error)),
        };
        let now = self.now();
        if let Some(date_ms) = response.header("date").and_then(http_date_ms) {
            let server_now = self.session.server_now(now);
            if (date_ms - server_now.0).abs() > SKEW_MS_MIN {
                self.session.learn_clock(UnixMs(date_ms), now);
            }
        }
        let stored = self.store.trust_bundle()?;
        let accepted = match read_fetch(&response) {
            Ok(bundle) => {
                let judged = trust::judge(&self.enrolment, stored.as_deref(), bundle, now);
                let accepted = judged.map_err(|error| self.distrust(&error))?;
                if stored.as_deref() != Some(bundle) {
                    self.store.save_trust_bundle(bundle, accepted.anchor.root)?;
                    self.enrolment.trust_root = accepted.anchor.root;
                    tracing::info!(
                        version = accepted.body.version,
                        rotated = accepted.rotated,
                        "trust bundle accepted"
                    );
                }
                accepted
            }
            Err(error) => match (verdict::of_error(&error), stored) {
                (Verdict::Later { .. }, Some(stored)) => {
                    trust::judge(&self.enrolment, None, &stored, now).map_err(|error| self.distrust(&error))?
                }
                (verdict, _) => {
                    self.block = match verdict {
                        Verdict::Later { reason, .. } | Verdict::Refused(reason) => Some(reason),
                        Verdict::Session => Some(Reason::new(ReasonCode::ProtocolError).with_status(401)),
                    };
                    return Err(Halt::Stop(StoppedBecause::WaitingForRetry));
                }
            },
        };
        self.adopt(accepted);
        Ok(())
    }

    /// An answer said that our bundle is old: fetches it once more in this window.
    pub(super) fn renew_trust(&mut self) -> Result<bool, Halt> {
        if self.trust_renewed || self.closing {
            return Ok(false);
        }
        self.trust_renewed = true;
        self.fetch_trust()?;
        Ok(true)
    }

    fn adopt(&mut self, accepted: AcceptedTrust) {
        self.recipients = trust::recipients(&accepted.body);
        self.trust = Some(accepted.body);
    }

    fn distrust(&mut self, error: &TrustError) -> Halt {
        let (mut reason, stopped_because) = trust::block(error);
        tracing::error!(%error, "the organisation's keys are not accepted; nothing is sent");
        if matches!(error, TrustError::Expired) {
            // A clock that runs years ahead makes every bundle expired: the app can tell by this.
            let skew_ms = self.session.server_now(self.now()).0.saturating_sub(self.now().0);
            reason = reason.with("server_clock_minus_ours_ms", skew_ms.to_string());
        }
        self.block = Some(reason);
        Halt::Stop(stopped_because)
    }
}
