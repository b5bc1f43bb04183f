//! The crate's one object: it holds the parts that a host gives and lends them to one operation at a time.

use std::sync::Arc;

use snaptrak_domain::fetch_store::FetchStore;
use snaptrak_domain::queue_store::QueueStore;
use snaptrak_domain::transport::{TransferError, Transport};
use snaptrak_domain::{AssetId, CancelToken, Clock, MonotonicMs, Random, TokenProvider};

use crate::enrol::{self, Credentials, EnrolRequest, Enrolled};
use crate::error::SyncError;
use crate::fetch::{self, FetchProgress, Fetched};
use crate::line::{Pace, RealPace};
use crate::models::ModelsErrand;
use crate::observer::SyncObserver;
use crate::report::{Budget, SyncReport};
use crate::token_source::TokenSource;
use crate::turn::{NoTurn, Turns};
use crate::window;

/// What sync needs of its surroundings.
#[derive(Clone)]
pub struct SyncParts {
    /// The queue.
    pub store: Arc<dyn QueueStore>,
    /// Who performs requests.
    pub transport: Arc<dyn Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for spreading retries.
    pub random: Arc<dyn Random>,
    /// Who gives access tokens, where the app signs its people in itself.
    pub token_provider: Option<Arc<dyn TokenProvider>>,
}

/// Brings captures to the API. Every call blocks its thread until it is done; windows and sign-ins exclude each other. One that
/// was cancelled is waited for until it has let go.
pub struct SyncClient {
    pub(crate) parts: SyncParts,
    pub(crate) pace: Arc<dyn Pace>,
    pub(crate) tokens: Option<TokenSource>,
    /// Taken by whoever talks to the server: two windows would send everything twice.
    turns: Turns,
}

impl SyncClient {
    /// A client of these parts. Nothing runs until it is asked to.
    #[must_use]
    pub fn new(parts: SyncParts) -> Self {
        Self::with_pace(parts, Arc::new(RealPace))
    }

    pub(crate) fn with_pace(parts: SyncParts, pace: Arc<dyn Pace>) -> Self {
        let tokens = parts.token_provider.clone().map(TokenSource::new);
        Self { parts, pace, tokens, turns: Turns::default() }
    }

    /// Does the most valuable work that fits into the budget and says what is left. What could not be done of one item is in
    /// the queue with its reason; an error here concerns the whole, for example that the store cannot be read.
    pub fn run_window(
        &self,
        budget: &Budget,
        cancel: &CancelToken,
        observer: &dyn SyncObserver,
    ) -> Result<SyncReport, SyncError> {
        match self.turns.take_or_refuse(cancel) {
            Ok(_turn) => window::run(self, budget, cancel, observer),
            Err(NoTurn::Taken) => Err(SyncError::AlreadyRunning),
            Err(NoTurn::Cancelled) => window::cancelled(self),
        }
    }

    /// Brings the purged bytes of an asset back into the store, each piece believed by its digest alone. `watch` is told how far
    /// it is. What has arrived when it ends early waits for the next call.
    pub fn fetch(
        &self,
        store: &dyn FetchStore,
        asset_id: AssetId,
        cancel: &CancelToken,
        watch: &dyn Fn(FetchProgress),
    ) -> Result<Fetched, SyncError> {
        let _turn = self.turns.take_or_refuse(cancel).map_err(refused)?;
        fetch::fetch(self, store, asset_id, cancel, watch)
    }

    /// Goes to the server for the organisation's models. `deadline` ends every request that is under way then, as a cancellation
    /// does.
    pub fn models<'a>(
        &'a self,
        cancel: &'a CancelToken,
        deadline: Option<MonotonicMs>,
    ) -> Result<ModelsErrand<'a>, SyncError> {
        let turn = self.turns.take_or_refuse(cancel).map_err(refused)?;
        ModelsErrand::open(self, turn, cancel, deadline)
    }

    /// Creates an account, signs in and registers this device.
    pub fn sign_up(
        &self,
        request: &EnrolRequest,
        credentials: &Credentials,
        name: Option<&str>,
        cancel: &CancelToken,
    ) -> Result<Enrolled, SyncError> {
        let _turn = self.turns.wait(cancel).map_err(refused)?;
        enrol::sign_up(self, request, credentials, name, cancel)
    }

    /// Signs in with an account that exists and registers this device.
    pub fn sign_in(
        &self,
        request: &EnrolRequest,
        credentials: &Credentials,
        cancel: &CancelToken,
    ) -> Result<Enrolled, SyncError> {
        let _turn = self.turns.wait(cancel).map_err(refused)?;
        enrol::sign_in(self, request, credentials, cancel)
    }

    /// Registers this device with the account for which the token provider's tokens speak, and sends with them from now on.
    pub fn enrol(&self, request: &EnrolRequest, cancel: &CancelToken) -> Result<Enrolled, SyncError> {
        let _turn = self.turns.wait(cancel).map_err(refused)?;
        enrol::enrol(self, request, cancel)
    }

    /// Ends the session here, and at the server if it is one of our own and the server can be reached. The token provider is asked
    /// no more until somebody enrols or signs in. The enrolment and everything captured stay.
    pub fn sign_out(&self, cancel: &CancelToken) -> Result<(), SyncError> {
        let _turn = self.turns.wait(cancel).map_err(refused)?;
        enrol::sign_out(self, cancel)
    }
}

fn refused(no_turn: NoTurn) -> SyncError {
    match no_turn {
        NoTurn::Taken => SyncError::AlreadyRunning,
        NoTurn::Cancelled => SyncError::Transfer(TransferError::Cancelled),
    }
}
