//! Access tokens from the host app's provider, believed only when they speak for the right account.
//!
//! The provider is the app's code: it may take its time, never answer, throw, or answer with another person's token. So it is
//! asked on a thread of its own, one question at a time, while the line waits for the answer no longer than the operation may
//! take; a question that is still open when the next operation wants a token is waited for instead of asked again, so that a
//! provider that hangs holds one thread and no more. The server says for whom a token speaks before anything of this store goes
//! with it. Tokens are kept in memory only, and only the last one that the server took.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{MonotonicMs, Secret, TokenError, TokenProvider};

use crate::api::Call;
use crate::api::sessions::{Whose, is_token, plan_whose, read_whose};
use crate::line::{Line, TokenInlet};
use crate::origin::Origin;
use crate::session::RefreshError;
use crate::verdict::{self, Verdict};

/// How long an operation without a deadline waits for an answer: as long as for the server's to a small request, which is what a
/// provider may have to make.
const PATIENCE_MS: i64 = 60_000;

/// Questions of one need: a provider that knows that its first token was refused and gives a second one that is refused too has
/// none.
const ASKED_MAX: u8 = 2;

/// A token that the server takes.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) token: Secret,
    pub(crate) whose: Whose,
}

/// The provider and what is known of its tokens.
pub(crate) struct TokenSource {
    provider: Arc<dyn TokenProvider>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// A question is open.
    asking: bool,
    /// Who is told its answer.
    waiting: Option<TokenInlet>,
    /// The last token that the server took, where, and for whom it speaks.
    known: Option<(Secret, String, Whose)>,
}

impl TokenSource {
    pub(crate) fn new(provider: Arc<dyn TokenProvider>) -> Self {
        Self { provider, state: Arc::default() }
    }

    /// A token that the server at `origin` takes; `refused` is one that it does not.
    pub(crate) fn token(
        &self,
        line: &mut Line<'_>,
        origin: &Origin,
        refused: Option<&Secret>,
        deadline: Option<MonotonicMs>,
    ) -> Result<Given, RefreshError> {
        if refused.is_some() {
            self.forget();
        }
        let mut refused = refused.cloned();
        for _ in 0..ASKED_MAX {
            let token = self.ask(line, refused.as_ref(), deadline)?;
            if let Some(whose) = self.known(&token, origin) {
                return Ok(Given { token, whose });
            }
            let call = Call { origin, id: line.next_id(), access: Some(&token) };
            let plan = plan_whose(&call);
            let response = line.exchange(plan, deadline).map_err(RefreshError::Transfer)?;
            match read_whose(&response) {
                Ok(whose) => {
                    self.state().known = Some((token.clone(), origin.to_string(), whose));
                    return Ok(Given { token, whose });
                }
                Err(error) => match verdict::of_error(&error) {
                    Verdict::Session => refused = Some(token),
                    Verdict::Later { .. } => return Err(RefreshError::Later(error)),
                    Verdict::Refused(_) => return Err(RefreshError::Refused(error)),
                },
            }
        }
        tracing::info!("the server refuses the tokens of the app");
        Err(RefreshError::SignedOut)
    }

    /// Believes no token any more without asking the server.
    pub(crate) fn forget(&self) {
        self.state().known = None;
    }

    fn known(&self, token: &Secret, origin: &Origin) -> Option<Whose> {
        let state = self.state();
        let (_, _, whose) =
            state.known.as_ref().filter(|(known, at, _)| known == token && *at == origin.to_string())?;
        Some(*whose)
    }

    /// Asks the provider, or waits for the answer to a question that is still open.
    fn ask(
        &self,
        line: &mut Line<'_>,
        refused: Option<&Secret>,
        deadline: Option<MonotonicMs>,
    ) -> Result<Secret, RefreshError> {
        let begin = {
            let mut state = self.state();
            state.waiting = Some(line.token_inlet());
            !std::mem::replace(&mut state.asking, true)
        };
        if begin {
            self.begin(line, refused.cloned());
        }
        let patience = MonotonicMs(line.clock.monotonic().0.saturating_add(PATIENCE_MS));
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let answer = line.wait_for_token(until);
        self.state().waiting = None;
        match answer {
            Some(Ok(token)) if is_token(token.expose()) => Ok(token),
            Some(Ok(_)) => {
                tracing::error!("the app gave a token that cannot stand in a header");
                Err(RefreshError::NoToken)
            }
            Some(Err(TokenError::NotNow)) => Err(RefreshError::NoToken),
            Some(Err(TokenError::SignedOut)) => Err(RefreshError::SignedOut),
            // The operation is over, by its caller or its deadline.
            None if line.is_cancelled() || until < patience => Err(RefreshError::Transfer(TransferError::Cancelled)),
            None => {
                tracing::warn!(patience_ms = PATIENCE_MS, "the app's token provider does not answer");
                Err(RefreshError::NoToken)
            }
        }
    }

    fn begin(&self, line: &Line<'_>, refused: Option<Secret>) {
        let (provider, asked) = (Arc::clone(&self.provider), Asked(Some(Arc::clone(&self.state))));
        line.apart(Box::new(move || {
            let answer = catch_unwind(AssertUnwindSafe(|| provider.token(refused.as_ref())));
            asked.answered(answer.unwrap_or_else(|_| {
                tracing::error!("the app's token provider panicked");
                Err(TokenError::NotNow)
            }));
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// An open question. However it ends, also without a thread to ask it on, it is open no longer.
struct Asked(Option<Arc<Mutex<State>>>);

impl Asked {
    fn answered(mut self, answer: Result<Secret, TokenError>) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Result<Secret, TokenError>) {
        let Some(state) = self.0.take() else { return };
        let waiting = {
            let mut state = lock(&state);
            state.asking = false;
            state.waiting.take()
        };
        // Nobody may wait any more; then the token is dropped, and asked for again when one is needed.
        if let Some(waiting) = waiting {
            waiting.send(answer);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer(Err(TokenError::NotNow));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each change of it is whole in itself.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
