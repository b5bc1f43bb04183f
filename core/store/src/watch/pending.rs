//! What one watcher has not been told yet.
//!
//! Owns that it is bounded: an asset has one entry with its newest state, and where even these are too many, all are dropped and
//! the watcher is told to look again.

use super::{Batch, Changes, Interest};
use snaptrak_domain::{AssetId, CaptureId, EventKind, StoreEvent};
use std::{
    collections::{BTreeMap, HashMap},
    task::Waker,
};

/// Events that wait for one watcher: a screen looks again sooner than it works through more. Half a megabyte at most.
pub(crate) const EVENTS_MAX: usize = 4_096;

/// What a watcher is not told yet, and who waits to be told.
pub(super) struct Pending {
    interest: Interest,
    news: News,
    next_waiting: u64,
    waiting: BTreeMap<u64, Waker>,
}

/// What is told at once.
#[derive(Default)]
pub(super) struct News {
    events: Vec<StoreEvent>,
    /// Where the entry of an asset is; its findings and its annotations have one of their own.
    places: HashMap<(AssetId, Option<EventKind>), usize>,
    missed: bool,
    /// Something of what a watcher without a list of events waits for.
    touched: bool,
}

impl Pending {
    pub(super) fn new(interest: Interest) -> Self {
        // Whoever watches a state is told the present one first.
        let touched = !matches!(interest, Interest::Events);
        let news = News { touched, ..News::default() };
        Self { interest, news, next_waiting: 0, waiting: BTreeMap::new() }
    }

    /// Takes in what a commit changed.
    pub(super) fn add(&mut self, changes: &Changes) {
        match self.interest {
            Interest::Events => changes.events.iter().for_each(|event| self.news.add(event)),
            Interest::Queue => self.news.touched |= changes.queue_moved || !changes.events.is_empty(),
            Interest::Findings(capture_id) => {
                self.news.touched |= changes.events.iter().any(|event| is_finding_of(event, capture_id));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.news.events.is_empty() && !self.news.missed && !self.news.touched
    }

    pub(super) fn take(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Notes who waits, under the number that it was given before; the number, and the waker that is to be dropped.
    pub(super) fn wait(&mut self, number: Option<u64>, waker: Waker) -> (u64, Option<Waker>) {
        let number = number.unwrap_or_else(|| {
            self.next_waiting += 1;
            self.next_waiting
        });
        (number, self.waiting.insert(number, waker))
    }

    pub(super) fn forget(&mut self, number: u64) -> Option<Waker> {
        self.waiting.remove(&number)
    }

    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }
}

impl News {
    /// The newest state of an asset takes the place of the one before; what the watcher has not heard of yet stays new.
    fn add(&mut self, event: &StoreEvent) {
        let its_own = [EventKind::Found, EventKind::Annotated].contains(&event.kind).then_some(event.kind);
        let key = (event.asset_id, its_own);
        if let Some(place) = self.places.get(&key) {
            let waiting = &mut self.events[*place];
            let is_new = waiting.kind == EventKind::Added && event.kind == EventKind::StateChanged;
            *waiting = StoreEvent { kind: if is_new { EventKind::Added } else { event.kind }, ..*event };
            return;
        }
        if self.events.len() >= EVENTS_MAX {
            self.events.clear();
            self.places.clear();
            self.missed = true;
        }
        self.places.insert(key, self.events.len());
        self.events.push(*event);
    }

    pub(super) fn into_batch(self) -> Batch {
        Batch { events: self.events, missed: self.missed }
    }
}

fn is_finding_of(event: &StoreEvent, capture_id: CaptureId) -> bool {
    event.kind == EventKind::Found && event.capture_id == capture_id
}

#[cfg(test)]
mod tests {
    use super::*;
    use snaptrak_domain::{AssetState, Rendition};

    fn event(number: u16, kind: EventKind, state: AssetState) -> StoreEvent {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let (capture_id, asset_id) = (CaptureId::from_bytes(bytes), AssetId::from_bytes(bytes));
        StoreEvent { kind, capture_id, asset_id, rendition: Rendition::Original, state }
    }

    fn told(events: &[StoreEvent]) -> Batch {
        let mut pending = Pending::new(Interest::Events);
        events.iter().for_each(|event| pending.add(&Changes { events: vec![*event], queue_moved: false }));
        pending.take().into_batch()
    }

    #[test]
    fn an_asset_has_its_newest_state_at_its_first_place() {
        use AssetState::{Queued, Saved, Sending, Verified};
        use EventKind::{Added, Annotated, Found, Removed, StateChanged};
        let batch = told(&[
            event(1, Added, Saved),
            event(2, StateChanged, Queued),
            event(1, StateChanged, Queued),
            event(2, Found, Queued),
            event(2, Annotated, Queued),
            event(2, StateChanged, Sending),
            event(2, Annotated, Sending),
            event(3, Added, AssetState::Recording),
            event(3, Removed, AssetState::Cancelled),
            event(2, StateChanged, Verified),
        ]);
        let expected = [
            event(1, Added, Queued),
            event(2, StateChanged, Verified),
            event(2, Found, Queued),
            event(2, Annotated, Sending),
            event(3, Removed, AssetState::Cancelled),
        ];
        assert_eq!(batch, Batch { events: expected.to_vec(), missed: false });
    }

    #[test]
    fn what_is_too_much_is_said_to_be_missed_and_what_follows_is_told() {
        let count = u16::try_from(EVENTS_MAX).unwrap();
        let mut events: Vec<_> = (0..count).map(|number| event(number, EventKind::Added, AssetState::Saved)).collect();
        assert!(!told(&events).missed);
        events.push(event(count, EventKind::Added, AssetState::Saved));
        events.push(event(0, EventKind::StateChanged, AssetState::Queued));
        let batch = told(&events);
        assert!(batch.missed);
        assert_eq!(batch.events, events[EVENTS_MAX..]);
    }
}
