//! The supply of access tokens. One thread runs a window, so one refresh at a time is a matter of asking which token a
//! refused request carried: a request that was refused with an old one is simply sent again with the new one. Where the next one
//! comes from is the session's: the server for a refresh token, or the app's provider.
//!
//! The rotated pair is saved before it is used; the server lets the previous refresh token live until then, so that a kill
//! between its answer and our commit signs nobody out. A refresh that is refused ends the session; captures wait.

use snaptrak_domain::queue_store::{Enrolment, QueueError, QueueStore, SavedSession, Tokens};
use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{AccountId, MonotonicMs, Secret, UnixMs};

use crate::api::sessions::{OpenedSession, plan_refresh, read_session};
use crate::api::{ApiError, Call};
use crate::client::SyncClient;
use crate::line::Line;
use crate::origin::Origin;
use crate::token_source::TokenSource;
use crate::verdict::{self, Verdict};

/// A token that ends this soon is renewed before a window begins, rather than in the middle of it.
const RENEW_BEFORE_MS: i64 = 30_000;

/// Fresh tokens in a row that the server refused although it had just issued them: after the second nobody believes the
/// third.
const UNPROVEN_MAX: u8 = 2;

/// Which token a request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(u32);

/// Why there is no fresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RefreshError {
    /// The session is over.
    SignedOut,
    /// The app has none to give now.
    NoToken,
    /// The app's token speaks for another account than this store's.
    OtherAccount,
    /// The server is in trouble; come back.
    Later(ApiError),
    /// The server would refuse it again.
    Refused(ApiError),
    /// There was no answer.
    Transfer(TransferError),
    /// The pair could not be saved, and so must not be used.
    Queue(QueueError),
}

/// What to do with a request that was answered 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnauthorised {
    /// It carried an old token: send it again.
    Resend,
    /// Refresh, then send it again.
    Refresh,
    /// A fresh token is refused: the session is of no use.
    GiveUp,
}

/// Where the next access token comes from.
enum Supply<'a> {
    /// The server, for the refresh token of a session of our own.
    Server { refresh: Secret },
    /// The app, for this account.
    App { source: &'a TokenSource, account_id: AccountId },
}

/// A session within one window.
pub(crate) struct Session<'a> {
    access: Secret,
    /// By the server's clock; `None`: there is no token yet. Of the app's tokens only the server says when they end.
    access_expires: Option<UnixMs>,
    supply: Supply<'a>,
    generation: Generation,
    /// Some request was accepted with the present token.
    proven: bool,
    unproven_in_a_row: u8,
    /// The server's clock minus ours, milliseconds.
    skew_ms: i64,
}

/// The session that is saved, if someone is signed in; one of the app's only while there is an app that gives tokens.
pub(crate) fn saved<'a>(client: &'a SyncClient, enrolment: &Enrolment) -> Result<Option<Session<'a>>, QueueError> {
    Ok(match client.parts.store.session()? {
        Some(SavedSession::Tokens(tokens)) => Some(Session::of_tokens(tokens)),
        Some(SavedSession::Provided) => {
            client.tokens.as_ref().map(|source| Session::of_app(source, enrolment.account_id))
        }
        None => None,
    })
}

impl<'a> Session<'a> {
    fn of_tokens(tokens: Tokens) -> Self {
        let Tokens { access, access_expires, refresh } = tokens;
        Self::new(access, Some(access_expires), Supply::Server { refresh })
    }

    fn of_app(source: &'a TokenSource, account_id: AccountId) -> Self {
        Self::new(Secret::new(Vec::new()), None, Supply::App { source, account_id })
    }

    fn new(access: Secret, access_expires: Option<UnixMs>, supply: Supply<'a>) -> Self {
        let generation = Generation(0);
        Self { access, access_expires, supply, generation, proven: false, unproven_in_a_row: 0, skew_ms: 0 }
    }

    /// The access token to send, and its name.
    pub(crate) fn access(&self) -> (&Secret, Generation) {
        (&self.access, self.generation)
    }

    /// What the server's clock says, as far as known.
    pub(crate) fn server_now(&self, now: UnixMs) -> UnixMs {
        UnixMs(now.0.saturating_add(self.skew_ms))
    }

    /// Learns the server's clock.
    pub(crate) fn learn_clock(&mut self, server: UnixMs, now: UnixMs) {
        self.skew_ms = server.0.saturating_sub(now.0);
    }

    /// Whether the token should be renewed before a window begins.
    pub(crate) fn ends_soon(&self, now: UnixMs) -> bool {
        let soon = self.server_now(now).0.saturating_add(RENEW_BEFORE_MS);
        self.access_expires.is_none_or(|expires| expires.0 < soon)
    }

    /// A request that carried this token was not refused for it.
    pub(crate) fn accepted(&mut self, generation: Generation) {
        if generation == self.generation {
            self.proven = true;
            self.unproven_in_a_row = 0;
        }
    }

    /// Decides about a 401.
    pub(crate) fn unauthorised(&mut self, generation: Generation) -> OnUnauthorised {
        if generation < self.generation {
            return OnUnauthorised::Resend;
        }
        if !self.proven && self.generation > Generation(0) {
            self.unproven_in_a_row += 1;
            if self.unproven_in_a_row >= UNPROVEN_MAX {
                return OnUnauthorised::GiveUp;
            }
        }
        OnUnauthorised::Refresh
    }

    /// Gets the next token: buys a pair and saves it, or asks the app.
    pub(crate) fn refresh(
        &mut self,
        line: &mut Line<'_>,
        origin: &Origin,
        store: &dyn QueueStore,
        deadline: Option<MonotonicMs>,
    ) -> Result<(), RefreshError> {
        match &self.supply {
            Supply::Server { refresh } => {
                let opened = buy(refresh, line, origin, store, deadline)?;
                self.learn_clock(opened.server_time, line.clock.now());
                let Tokens { access, access_expires, refresh } = opened.tokens;
                (self.access, self.access_expires) = (access, Some(access_expires));
                self.supply = Supply::Server { refresh };
            }
            Supply::App { source, account_id } => {
                let refused = (self.generation > Generation(0)).then_some(&self.access);
                let given = source.token(line, origin, refused, deadline)?;
                if given.whose.account_id != *account_id {
                    tracing::error!("the app's token speaks for another account; nothing is sent with it");
                    return Err(RefreshError::OtherAccount);
                }
                self.access = given.token;
            }
        }
        self.generation = Generation(self.generation.0 + 1);
        self.proven = false;
        tracing::debug!("session renewed");
        Ok(())
    }
}

/// Buys the next pair and saves it.
fn buy(
    refresh: &Secret,
    line: &mut Line<'_>,
    origin: &Origin,
    store: &dyn QueueStore,
    deadline: Option<MonotonicMs>,
) -> Result<OpenedSession, RefreshError> {
    let call = Call { origin, id: line.next_id(), access: None };
    let plan = plan_refresh(&call, refresh);
    let response = line.exchange(plan, deadline).map_err(RefreshError::Transfer)?;
    let opened = read_session(&response).map_err(|error| not_bought(error, store))?;
    store.save_session(Some(&SavedSession::Tokens(opened.tokens.clone()))).map_err(RefreshError::Queue)?;
    Ok(opened)
}

fn not_bought(error: ApiError, store: &dyn QueueStore) -> RefreshError {
    match verdict::of_error(&error) {
        Verdict::Later { .. } => RefreshError::Later(error),
        Verdict::Session => {
            tracing::info!(code = %error.code, "the session is over");
            // Without its dead tokens the next window says so without asking. Failing to forget them costs one request.
            if let Err(error) = store.save_session(None) {
                tracing::warn!(%error, "ended tokens are kept");
            }
            RefreshError::SignedOut
        }
        // Perhaps something between us and the server: sending stops, and the tokens are kept for another try.
        Verdict::Refused(_) => RefreshError::SignedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session<'static> {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        Session::of_tokens(Tokens { access: secret("a"), access_expires: UnixMs(100_000), refresh: secret("r") })
    }

    fn renewed(session: &mut Session<'_>) {
        session.generation = Generation(session.generation.0 + 1);
        session.proven = false;
    }

    #[test]
    fn many_refusals_of_one_token_cost_one_refresh() {
        let mut session = session();
        let old = session.access().1;
        assert_eq!(session.unauthorised(old), OnUnauthorised::Refresh);
        renewed(&mut session);
        for _ in 0..100 {
            assert_eq!(session.unauthorised(old), OnUnauthorised::Resend);
        }
    }

    #[test]
    fn fresh_tokens_that_are_refused_end_the_session_but_a_short_life_does_not() {
        let mut session = session();
        for _ in 0..1_000 {
            let present = session.access().1;
            assert_eq!(session.unauthorised(present), OnUnauthorised::Refresh);
            renewed(&mut session);
            session.accepted(session.access().1);
        }
        renewed(&mut session);
        let present = session.access().1;
        assert_eq!(session.unauthorised(present), OnUnauthorised::Refresh);
        renewed(&mut session);
        let present = session.access().1;
        assert_eq!(session.unauthorised(present), OnUnauthorised::GiveUp);
    }

    #[test]
    fn expiry_is_read_by_the_servers_clock() {
        let mut session = session();
        assert!(!session.ends_soon(UnixMs(60_000)));
        assert!(session.ends_soon(UnixMs(80_000)));
        // This device is a day ahead.
        session.learn_clock(UnixMs(0), UnixMs(86_400_000));
        assert!(!session.ends_soon(UnixMs(86_460_000)));
    }
}
