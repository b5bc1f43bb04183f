//! Which accelerator a model runs on: measured on this device, kept, and doubted.
//!
//! Owns the folder with the marker and the verdicts, the trials, the threads that are waited for with patience, and the sessions
//! that answer from the processor when an accelerator does wrong. What follows from what happened is decided in
//! [`snaptrak_domain::verdict`]. Refuses to know pictures, clocks of its own and which engine an app likes.
//!
//! ```text
//! folder/marker          what is being asked of an accelerator this moment; found by the next process
//! folder/verdicts.json   what each accelerator is good for, with each model, in front and behind
//! ```
//!
//! Nothing here is an error: whatever goes wrong, the processor answers. Where no marker can be written, no accelerator is
//! asked.

mod choose;
mod compare;
mod guarded;
mod marker;
mod named;
mod note;
mod placed;
mod trial;
mod verdict_file;
mod worker;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use choose::SelectingEngine;
pub use note::Note;
pub use trial::StopwatchFn;
pub use worker::Patience;

use marker::{Found, Marker, Process, Unavailable};
use snaptrak_domain::{
    Clock, LastExit, UnixMs,
    verdict::{Candidate, Circumstances, Death, Event, Verdict, VerdictCode},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use verdict_file::{Unread, VerdictFile};
use worker::Abandoned;

/// Characters of what an engine or an app calls a device or a driver: it goes into the marker, whose slots are small.
const NAME_CHARACTERS_MAX: usize = 120;

/// What a selection works with.
#[derive(Clone)]
pub struct SelectionOptions {
    /// Its folder, which one living instance owns at a time; made when it is not there.
    pub folder: PathBuf,
    /// What stands for the device's drivers: when it is another, everything is tried again.
    pub driver: String,
    /// How the app's last process ended, if the system told.
    pub last_exit: LastExit,
    /// Whether the system lets an app that is not in front use the GPU.
    pub gpu_in_background: bool,
    /// How long foreign code is waited for.
    pub patience: Patience,
    /// For when a verdict was decided.
    pub clock: Arc<dyn Clock>,
    /// For how long a run takes.
    pub stopwatch: Arc<StopwatchFn>,
}

/// The accelerators of one device, as far as one instance knows them.
pub struct Selection {
    options: SelectionOptions,
    state: Mutex<State>,
    /// Without one no accelerator is asked.
    marker: Option<Arc<Marker>>,
    abandoned: Abandoned,
}

struct State {
    file: VerdictFile,
    notes: Vec<Note>,
}

/// A candidate as it stands today.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) candidate: Candidate,
    pub(crate) circumstances: Circumstances,
}

impl Selection {
    /// Reads what is known, and holds against each accelerator what the last process died of. Never fails: see
    /// [`Selection::notes`].
    pub fn open(mut options: SelectionOptions) -> Self {
        options.driver = shortened(&options.driver);
        let now = options.clock.instant();
        let process = Process { process_id: std::process::id(), boot_id: now.boot_id, started_ms: now.monotonic_ms.0 };
        // The lock first: what stands in the files may be somebody's who is at work.
        let opened = Marker::open(&options.folder, process);
        let (file, unread) = VerdictFile::read(&options.folder);
        let mut state = State { file, notes: Vec::new() };
        state.notes.extend(unread.map(|unread| match unread {
            Unread::Damaged => Note::VerdictsDamaged,
            Unread::Newer => Note::VerdictsNewer,
        }));
        let marker = match opened {
            Ok((marker, found)) => settle(&options, &mut state, marker, found),
            Err(Unavailable::InUse) => {
                state.notes.push(Note::InUse);
                None
            }
            Err(Unavailable::Failed(error)) => {
                tracing::warn!(%error, "there can be no marker: the processor is taken");
                state.notes.push(Note::MarkerUnavailable);
                None
            }
        };
        for note in &state.notes {
            tracing::warn!(note = note.as_str(), "accelerators");
        }
        Self { options, state: Mutex::new(state), marker, abandoned: Abandoned::default() }
    }

    /// Every verdict, the oldest first.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.state().file.all().to_vec()
    }

    /// What was odd about the files.
    pub fn notes(&self) -> Vec<Note> {
        self.state().notes.clone()
    }

    /// Forgets every verdict: all of them are tried again.
    pub fn forget(&self) -> std::io::Result<()> {
        self.state().file.clear()
    }

    /// Takes in what happened, and answers with the verdict after it.
    fn tell(&self, owned: &Owned, event: &Event) -> Verdict {
        let now = self.now();
        let mut state = self.state();
        let before = state.standing(owned);
        let verdict = before.unwrap_or_else(|| fresh(owned, now)).after(event, now);
        tracing::info!(
            engine = owned.candidate.engine,
            accelerator = owned.candidate.accelerator.as_str(),
            model = owned.candidate.model_id,
            code = verdict.code.as_str(),
            strikes = verdict.strikes,
            "an accelerator's verdict"
        );
        state.put(verdict.clone());
        verdict
    }

    /// Why this accelerator is not even asked by name: it brought the process down, or hung, and its time is not over.
    fn harm(&self, owned: &Owned) -> Option<VerdictCode> {
        let verdict = self.state().standing(owned)?;
        (verdict.code.endangers_others() && !verdict.is_due(self.now())).then_some(verdict.code)
    }

    fn now(&self) -> UnixMs {
        self.options.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A verdict is replaced whole, so a panic elsewhere has not left one half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The verdict, if it stands on these circumstances.
    fn standing(&self, owned: &Owned) -> Option<Verdict> {
        let verdict = self.file.find(&owned.candidate)?;
        verdict.circumstances.changed(&owned.circumstances).is_empty().then(|| verdict.clone())
    }

    /// Whether another model brought the process down on the same accelerator, in front or behind.
    fn is_endangered(&self, owned: &Owned, now: UnixMs) -> bool {
        self.file.all().iter().any(|verdict| {
            let same = verdict.candidate.engine == owned.candidate.engine
                && verdict.candidate.accelerator == owned.candidate.accelerator;
            same && verdict.candidate != owned.candidate && verdict.endangers(&owned.circumstances, now)
        })
    }

    fn put(&mut self, verdict: Verdict) -> bool {
        let saved = self.file.put(verdict);
        if let Err(error) = &saved {
            tracing::warn!(%error, "a verdict cannot be written: it holds for this process");
            if !self.notes.contains(&Note::NotSaved) {
                self.notes.push(Note::NotSaved);
            }
        }
        saved.is_ok()
    }
}

fn fresh(owned: &Owned, now: UnixMs) -> Verdict {
    Verdict::untried(owned.candidate.clone(), owned.circumstances.clone(), now)
}

/// Writes down what the processes before died of, and only then makes the marker ours. Where it cannot be written down the marker
/// stays as it is, for the next process, and no accelerator is asked: otherwise a full disk would let it die again and again.
fn settle(options: &SelectionOptions, state: &mut State, marker: Marker, found: Found) -> Option<Arc<Marker>> {
    if found.damaged {
        state.notes.push(Note::MarkerDamaged);
    }
    let now = options.clock.now();
    let needs_wiping = found.needs_wiping();
    let mut is_written = true;
    for standing in found.standing {
        let record = standing.record;
        let reason = options.last_exit.of(record.process.process_id);
        tracing::warn!(
            accelerator = record.candidate.accelerator.as_str(),
            model = record.candidate.model_id,
            phase = standing.phase.as_str(),
            reason = ?reason,
            "a process ended while an accelerator was at work"
        );
        let death = Death { id: record.process.name(), reason };
        let owned = Owned { candidate: record.candidate, circumstances: record.circumstances };
        let before = state.standing(&owned).unwrap_or_else(|| fresh(&owned, now));
        is_written &= state.put(before.after(&Event::Died(death), now));
    }
    if !is_written {
        return None;
    }
    match if needs_wiping { marker.wipe() } else { Ok(()) } {
        Ok(()) => Some(Arc::new(marker)),
        Err(error) => {
            tracing::warn!(%error, "the marker cannot be written: the processor is taken");
            state.notes.push(Note::MarkerUnavailable);
            None
        }
    }
}

pub(crate) fn shortened(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(NAME_CHARACTERS_MAX).collect()
}
