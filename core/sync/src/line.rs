//! The line to the server: starts plans on a transport, waits for their events, and keeps the sums of requests and bytes.
//! Knows nothing of what is sent.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use snaptrak_domain::transport::{
    Body, Plan, Response, TransferError, TransferEvent, TransferEvents, TransferId, Transport,
};
use snaptrak_domain::{CancelToken, Clock, MonotonicMs, OnCancel, Secret, TokenError};

use crate::api::body_bytes;

/// A wait without a deadline wakes up this often, so that no lost event holds it for ever.
const WAIT_MS_MAX: u64 = 60_000;

/// What wakes the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The transport said something.
    Event(TransferEvent),
    /// The app's token provider answered.
    Token(Result<Secret, TokenError>),
    /// The caller cancelled.
    Cancelled,
}

/// How waiting is done, and what need not end: by the channel and a thread in the product, by moving a fake clock in tests.
pub(crate) trait Pace: Send + Sync {
    /// The next signal, or `None` after so many milliseconds.
    fn wait(&self, signals: &Receiver<Signal>, timeout_ms: u64) -> Option<Signal>;
    /// Does work of the app's that may take its time, or never end. Work that cannot be begun is dropped.
    fn apart(&self, work: Box<dyn FnOnce() + Send>);
}

/// Real waiting.
pub(crate) struct RealPace;

impl Pace for RealPace {
    fn wait(&self, signals: &Receiver<Signal>, timeout_ms: u64) -> Option<Signal> {
        // The line holds a sender itself, so that the channel is never disconnected while it waits.
        signals.recv_timeout(std::time::Duration::from_millis(timeout_ms)).ok()
    }

    fn apart(&self, work: Box<dyn FnOnce() + Send>) {
        if let Err(error) = std::thread::Builder::new().name("snaptrak-token".to_owned()).spawn(work) {
            tracing::warn!(%error, "the system gave no thread");
        }
    }
}

/// Where the answer of a token provider goes.
pub(crate) struct TokenInlet(Sender<Signal>);

impl TokenInlet {
    pub(crate) fn send(&self, answer: Result<Secret, TokenError>) {
        // A line that is gone needs none.
        let _ = self.0.send(Signal::Token(answer));
    }
}

struct Inlet(Sender<Signal>);

impl TransferEvents for Inlet {
    fn on_event(&self, event: TransferEvent) {
        // A line that is gone has ended its steps already.
        let _ = self.0.send(Signal::Event(event));
    }
}

/// What is known of a transfer under way.
#[derive(Debug, Clone, Copy)]
struct Running {
    body_bytes: u64,
    is_file: bool,
    sent_bytes: u64,
}

/// One window's or one operation's requests.
pub(crate) struct Line<'a> {
    transport: &'a dyn Transport,
    pub(crate) clock: &'a dyn Clock,
    pace: &'a dyn Pace,
    inlet: Arc<Inlet>,
    // Unbounded, but never more than the events of the few transfers that the planner has started: the transport sends one
    // progress event a megabyte at most.
    signals: Receiver<Signal>,
    deferred: VecDeque<TransferEvent>,
    running: HashMap<TransferId, Running>,
    cancel: &'a CancelToken,
    /// Wakes the loop that waits.
    _on_cancel: OnCancel,
    next_id: u64,
    /// Requests that were started.
    pub(crate) requests: u64,
    /// Body bytes that were handed to the network.
    pub(crate) bytes_sent: u64,
}

impl<'a> Line<'a> {
    pub(crate) fn new(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        pace: &'a dyn Pace,
        cancel: &'a CancelToken,
    ) -> Self {
        let (sender, signals) = unbounded();
        let wake = sender.clone();
        // A line that is gone is awake.
        let on_cancel = cancel.on_cancel(move || drop(wake.send(Signal::Cancelled)));
        Self {
            transport,
            clock,
            pace,
            inlet: Arc::new(Inlet(sender)),
            signals,
            deferred: VecDeque::new(),
            running: HashMap::new(),
            cancel,
            _on_cancel: on_cancel,
            next_id: 0,
            requests: 0,
            bytes_sent: 0,
        }
    }

    /// A name for the next transfer.
    pub(crate) fn next_id(&mut self) -> TransferId {
        self.next_id += 1;
        TransferId(self.next_id)
    }

    /// Begins a transfer.
    pub(crate) fn start(&mut self, plan: Plan) {
        let running = Running {
            body_bytes: body_bytes(&plan.body),
            is_file: matches!(plan.body, Body::File { .. }),
            sent_bytes: 0,
        };
        self.running.insert(plan.id, running);
        self.requests += 1;
        self.transport.start(plan, self.inlet.clone());
    }

    /// Ends a transfer early; its `Finished` still comes.
    pub(crate) fn cancel_transfer(&self, id: TransferId) {
        self.transport.cancel(id);
    }

    /// Whether the caller has cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// The next event, or `None` after so many milliseconds or when the caller cancels.
    pub(crate) fn wait(&mut self, timeout_ms: u64) -> Option<TransferEvent> {
        let event = match self.deferred.pop_front() {
            Some(event) => event,
            None => match self.pace.wait(&self.signals, timeout_ms.min(WAIT_MS_MAX))? {
                Signal::Event(event) => event,
                // A token that comes when nobody waits for it any more is one too late.
                Signal::Cancelled | Signal::Token(_) => return None,
            },
        };
        self.account(&event);
        Some(event)
    }

    /// Performs one plan and waits for its end; events of others are kept for [`Self::wait`].
    pub(crate) fn exchange(&mut self, plan: Plan, deadline: Option<MonotonicMs>) -> Result<Response, TransferError> {
        let id = plan.id;
        self.start(plan);
        let mut cancelled = false;
        let mut kept = VecDeque::new();
        let result = loop {
            let over = self.is_cancelled() || remaining_ms(self.clock, deadline) == 0;
            if over && !cancelled {
                self.transport.cancel(id);
                cancelled = true;
            }
            let patience_ms = if cancelled { CANCEL_GRACE_MS } else { remaining_ms(self.clock, deadline) };
            match self.pace.wait(&self.signals, patience_ms.min(WAIT_MS_MAX)) {
                Some(Signal::Event(event)) => {
                    self.account_own(&event, id);
                    match event {
                        TransferEvent::Finished { id: ended, result } if ended == id => break result,
                        other @ (TransferEvent::Finished { .. } | TransferEvent::Progress { .. }) => {
                            kept.push_back(other)
                        }
                    }
                }
                Some(Signal::Cancelled | Signal::Token(_)) => {}
                None if cancelled => break Err(TransferError::Cancelled),
                None => {}
            }
        };
        self.running.remove(&id);
        kept.retain(|event| event_id(event) != id);
        self.deferred.extend(kept);
        result
    }

    /// Where a token provider's answer goes.
    pub(crate) fn token_inlet(&self) -> TokenInlet {
        TokenInlet(self.inlet.0.clone())
    }

    /// The next answer of a token provider; `None` at `until` or when the caller cancels. Events are kept for [`Self::wait`].
    pub(crate) fn wait_for_token(&mut self, until: MonotonicMs) -> Option<Result<Secret, TokenError>> {
        loop {
            let left_ms = remaining_ms(self.clock, Some(until));
            if self.is_cancelled() || left_ms == 0 {
                return None;
            }
            match self.pace.wait(&self.signals, left_ms.min(WAIT_MS_MAX)) {
                Some(Signal::Token(answer)) => return Some(answer),
                Some(Signal::Event(event)) => self.deferred.push_back(event),
                Some(Signal::Cancelled) | None => {}
            }
        }
    }

    /// Does what need not end, apart from this thread.
    pub(crate) fn apart(&self, work: Box<dyn FnOnce() + Send>) {
        self.pace.apart(work);
    }

    /// Body bytes of a transfer under way that were handed over so far.
    pub(crate) fn sent_bytes(&self, id: TransferId) -> u64 {
        self.running.get(&id).map_or(0, |running| running.sent_bytes)
    }

    fn account_own(&mut self, event: &TransferEvent, id: TransferId) {
        if event_id(event) == id {
            self.account(event);
        }
    }

    /// Counts each byte when it is first reported. A body in memory reports nothing on its way: an answer means that it was
    /// sent, and so does the success of a file.
    fn account(&mut self, event: &TransferEvent) {
        let (id, sent_bytes) = match event {
            TransferEvent::Progress { id, sent_bytes } => (*id, *sent_bytes),
            TransferEvent::Finished { id, result } => {
                let Some(running) = self.running.get(id) else { return };
                let whole = match result {
                    Ok(response) => !running.is_file || response.status < 400,
                    Err(_) => false,
                };
                (*id, if whole { running.body_bytes } else { running.sent_bytes })
            }
        };
        let Some(running) = self.running.get_mut(&id) else { return };
        let sent_bytes = sent_bytes.min(running.body_bytes);
        self.bytes_sent += sent_bytes.saturating_sub(running.sent_bytes);
        running.sent_bytes = running.sent_bytes.max(sent_bytes);
    }

    /// Forgets a transfer whose end has been handled.
    pub(crate) fn forget(&mut self, id: TransferId) {
        self.running.remove(&id);
    }
}

/// How long a transport may take to say that a cancelled transfer is over.
pub(crate) const CANCEL_GRACE_MS: u64 = 2_000;

/// Milliseconds until a deadline; the longest wait if there is none.
pub(crate) fn remaining_ms(clock: &dyn Clock, deadline: Option<MonotonicMs>) -> u64 {
    deadline.map_or(WAIT_MS_MAX, |deadline| u64::try_from(deadline.0.saturating_sub(clock.monotonic().0)).unwrap_or(0))
}

fn event_id(event: &TransferEvent) -> TransferId {
    match event {
        TransferEvent::Progress { id, .. } | TransferEvent::Finished { id, .. } => *id,
    }
}
