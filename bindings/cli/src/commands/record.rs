//! `record`: takes in standard input as it comes, piece by piece, until it ends, somebody ends it, or it is as long as it may
//! be. With `--sync` a second thread brings each piece to the server while the input goes on.
//!
//! Whatever ends it, what was complete is kept and told: a signal, an input that breaks off and a disk that is full too. Only
//! `--cancel-on-signal` takes a recording back.

use super::{capture::Labels, sync};
use crate::{
    args,
    error::Error,
    exit::Exit,
    globals::Globals,
    interrupt::{Interrupt, Woken},
    output::{ErrorShape, Output},
    progress::Bar,
    session,
    shapes::{CAPTURE_SCHEMA, CaptureEntry, CaptureResult},
    words as sentences,
};
use serde::Serialize;
use snaptrak::{
    Budget, CancelToken, CaptureId, CaptureOptions, EndedBecause, Kind, PieceDone, Quiet, RecordOptions, Recorded,
    Recording, SnapTrak, SyncReport,
};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    sync::mpsc,
    thread,
};

/// One read: sixteen pipe buffers of Linux, so that the system call does not count.
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What it is
    #[arg(long, value_parser = args::kind())]
    kind: Kind,
    /// What you want to say about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    labels: Labels,
    /// End it when it has so many bytes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_bytes: Option<u64>,
    /// End it after so many milliseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_ms: Option<u64>,
    /// Finish a piece after so many milliseconds, full or not
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    piece_ms: Option<u64>,
    /// Take it back when a signal ends it, instead of keeping what there is
    #[arg(long)]
    cancel_on_signal: bool,
    /// Bring each piece to the server while it goes on, and the receipt at the end
    #[arg(long)]
    sync: bool,
    /// Print one JSON object a line, each the moment a piece is durable
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Serialize)]
struct PieceLine {
    piece: u32,
    bytes: u64,
}

#[derive(Serialize)]
struct Shape {
    #[serde(flatten)]
    result: CaptureResult,
    /// The capture that it was before it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<CaptureId>,
    /// What the windows of `--sync` brought together, and how the last one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<sync::Shape>,
}

/// What became of the recording.
enum Became {
    Kept(Recorded),
    TakenBack(CaptureId),
}

/// What became of the input.
struct Taken {
    became: Became,
    /// A signal came before the end of the input.
    interrupted: bool,
    /// What broke it off, where something was kept all the same.
    failed: Option<Error>,
    /// With `--sync`.
    report: Option<Result<SyncReport, snaptrak::Error>>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let taken = session::with_store(globals, output, |sdk| {
        if arguments.sync { record_and_sync(sdk, arguments, output) } else { record_alone(sdk, arguments, output) }
    })?;
    let mut exit = if taken.interrupted { Exit::Interrupted } else { Exit::Done };
    if let Some(error) = &taken.failed {
        output.failure_words(error);
        exit = Exit::of(error);
    }
    let mut report = None;
    match taken.report {
        None => {}
        Some(Ok(last)) => {
            if exit == Exit::Done {
                exit = sync::exit(&last);
            }
            report = Some(sync::shape(&last));
        }
        Some(Err(error)) => {
            // The recording is safe, and says so; only its way to the server failed.
            let error = Error::from(error);
            output.failure_words(&error);
            if exit == Exit::Done {
                exit = Exit::of(&error);
            }
        }
    }
    let (result, cancelled) = match &taken.became {
        Became::Kept(recorded) => (CaptureResult::one(CaptureEntry::of_recording(recorded, taken.interrupted)), None),
        Became::TakenBack(id) => (CaptureResult::default(), Some(*id)),
    };
    let result = CaptureResult { error: taken.failed.as_ref().map(ErrorShape::from), ..result };
    output.result(CAPTURE_SCHEMA, &Shape { result, cancelled, sync: report }, words)?;
    Ok(exit)
}

fn words(shape: &Shape) -> String {
    let mut lines = Vec::new();
    if let Some(recorded) = shape.result.captures.first() {
        lines.push(format!("{}\nended: {}", shape.result.words(), how_it_ended(&shape.result, recorded)));
    }
    lines.extend(shape.cancelled.map(|id| format!("{id} is taken back; nothing of it is on this device")));
    lines.extend(shape.sync.as_ref().map(sync::words));
    lines.join("\n")
}

fn how_it_ended(result: &CaptureResult, recorded: &CaptureEntry) -> &'static str {
    match recorded.ended_because {
        // The SDK was told to end it, as at the end of the input.
        Some(EndedBecause::InputEnded) if recorded.interrupted == Some(true) => sentences::ENDED_BY_SIGNAL,
        Some(EndedBecause::InputEnded) if result.error.is_some() => sentences::of_end(EndedBecause::Interrupted),
        Some(because) => sentences::of_end(because),
        None => sentences::of_end(EndedBecause::InputEnded),
    }
}

fn record_alone(sdk: &SnapTrak, arguments: &Arguments, output: &Output) -> Result<Taken, Error> {
    let (taken, _interrupt) = record(sdk, arguments, output, |_| {})?;
    Ok(taken)
}

fn record_and_sync(sdk: &SnapTrak, arguments: &Arguments, output: &Output) -> Result<Taken, Error> {
    // The passphrase was given: receipts go into their envelopes in this window.
    sdk.unlock()?;
    let cancel = CancelToken::new();
    thread::scope(|scope| {
        // One word is enough for whatever was finished since the last window began.
        let (tell, told) = mpsc::sync_channel::<()>(1);
        let courier = scope.spawn(|| carry(sdk, told, &cancel));
        let result = record(sdk, arguments, output, |pieces| {
            if !pieces.is_empty() {
                // Full: the courier has not taken the last word yet. Gone: it has failed, and says so at the end.
                let _ = tell.try_send(());
            }
        });
        if result.as_ref().map_or(true, |(taken, _)| taken.interrupted || taken.failed.is_some()) {
            // Whoever ends it does not want to wait for the network.
            cancel.cancel();
        }
        let taken = result.map(|(taken, interrupt)| {
            let cancel = cancel.clone();
            interrupt.then(move || cancel.cancel());
            taken
        });
        drop(tell);
        let report = courier.join().expect("a panic of the SDK ends the command as one of its own would");
        Ok(Taken { report: Some(report), ..taken? })
    })
}

/// A window each time that a piece was finished, and one for the rest when no more will be; the answer is what all of them
/// brought, and how the last one ended.
fn carry(sdk: &SnapTrak, told: mpsc::Receiver<()>, cancel: &CancelToken) -> Result<SyncReport, snaptrak::Error> {
    let window = || sdk.sync_until(Budget::default(), &Quiet, cancel);
    let mut before: Option<SyncReport> = None;
    while told.recv().is_ok() {
        // What failed now may work for the next piece, or at the end, which is what is answered.
        let Ok(report) = window() else { continue };
        before = Some(before.map_or(report, |earlier| with_counts_of(report, earlier)));
    }
    let last = window()?;
    Ok(before.map_or(last, |earlier| with_counts_of(last, earlier)))
}

fn with_counts_of(last: SyncReport, earlier: SyncReport) -> SyncReport {
    SyncReport {
        requests: last.requests + earlier.requests,
        bytes_sent: last.bytes_sent + earlier.bytes_sent,
        bytes_resent: last.bytes_resent + earlier.bytes_resent,
        received: last.received + earlier.received,
        verified: last.verified + earlier.verified,
        parked: last.parked + earlier.parked,
        ..last
    }
}

fn record(
    sdk: &SnapTrak,
    arguments: &Arguments,
    output: &Output,
    finished: impl Fn(&[PieceDone]),
) -> Result<(Taken, Interrupt), Error> {
    let interrupt = Interrupt::listen()?;
    // Not through `Stdin`, whose buffer could hold bytes of which the wait below knows nothing.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?);
    let mut recording = begin(sdk, arguments)?;
    let (interrupted, failed) = match take(&mut recording, &mut input, &interrupt, output, finished) {
        Ok(interrupted) => (interrupted, None),
        Err(error) => (false, Some(error)),
    };
    if interrupted && arguments.cancel_on_signal {
        let id = recording.capture_id();
        recording.cancel()?;
        let taken = Taken { became: Became::TakenBack(id), interrupted, failed, report: None };
        return Ok((taken, interrupt));
    }
    let recorded = match recording.finish() {
        Ok(recorded) => recorded,
        // There is nothing of it, or the next opening closes it: what broke it off is the answer.
        Err(error) => return Err(failed.unwrap_or_else(|| error.into())),
    };
    print_lines(&recorded.last_pieces, output)?;
    Ok((Taken { became: Became::Kept(recorded), interrupted, failed, report: None }, interrupt))
}

/// Takes the input until it or the recording has ended, or a signal came; whether it was that.
fn take(
    recording: &mut Recording,
    input: &mut File,
    interrupt: &Interrupt,
    output: &Output,
    finished: impl Fn(&[PieceDone]),
) -> Result<bool, Error> {
    let bar = Bar::of_bytes(output);
    let mut buffer = vec![0; READ_BYTES];
    while recording.ended_because().is_none() {
        let pieces = match interrupt.wait_for(input.as_fd(), recording.next_tick_ms()).map_err(unreadable)? {
            Woken::Asked => return Ok(true),
            Woken::TimeOver => recording.tick()?,
            Woken::Readable => match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    bar.advance(count as u64);
                    recording.write(&buffer[..count])?
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            },
        };
        print_lines(&pieces, output)?;
        finished(&pieces);
    }
    Ok(false)
}

fn unreadable(source: io::Error) -> Error {
    Error::Read { what: "standard input", source }
}

fn begin(sdk: &SnapTrak, arguments: &Arguments) -> Result<Recording, Error> {
    let options = CaptureOptions { note: arguments.note.clone(), ..arguments.labels.options() };
    let base = RecordOptions::default();
    let record_options = RecordOptions {
        max_bytes: arguments.max_bytes,
        max_ms: arguments.max_ms,
        piece_ms: arguments.piece_ms.unwrap_or(base.piece_ms),
        ..base
    };
    Ok(sdk.record_with(arguments.kind, options, record_options)?)
}

fn print_lines(pieces: &[PieceDone], output: &Output) -> Result<(), Error> {
    pieces
        .iter()
        .try_for_each(|piece| output.line("snaptrak.piece/1", &PieceLine { piece: piece.index, bytes: piece.bytes }))
}
