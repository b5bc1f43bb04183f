//! `capture`: takes in files.
//!
//! A few callers work side by side, since the store shares one sync of the disk between them; results keep the order of the
//! command line. A file that is refused holds up none of the others. An error that is not about one file (a full disk, say)
//! ends the command, and what was captured until then is still reported.

use crate::{
    args,
    error::Error,
    exit::Exit,
    globals::Globals,
    interrupt::Interrupt,
    output::{ErrorShape, Form, Output},
    progress::Bar,
    session,
    shapes::{CAPTURE_SCHEMA, CaptureEntry, CaptureResult, Refusal},
};
use snaptrak::{CaptureOptions, Captured, ErrorCode, Kind, Location, SnapTrak};
use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// More callers than this only queue for the same disk.
const CALLERS_MAX: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Files to take in
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they are; decided by their content when not given
    #[arg(long, value_parser = args::kind())]
    kind: Option<Kind>,
    /// What you want to say about them
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    labels: Labels,
    /// Print one JSON object a line, each the moment its capture is durable
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// What every kind of capture can be given.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Labels {
    /// A word for finding it again; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The project it belongs to
    #[arg(long)]
    project: Option<String>,
    /// Where it was taken: degrees north, degrees east, and metres of uncertainty
    #[arg(long, value_name = "LAT,LON[,ACCURACY_M]", value_parser = args::location, allow_hyphen_values = true)]
    location: Option<Location>,
}

impl Labels {
    /// As the SDK takes them.
    pub(crate) fn options(&self) -> CaptureOptions {
        CaptureOptions {
            tags: self.tags.clone(),
            project: self.project.clone(),
            location: self.location,
            ..CaptureOptions::default()
        }
    }
}

/// What became of the files.
struct Taken {
    result: CaptureResult,
    /// Why the command ended before it had seen every file.
    ended: Option<Error>,
    /// Somebody asked it to end.
    interrupted: bool,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let Taken { mut result, ended, interrupted } =
        session::with_store(globals, output, |sdk| take_all(sdk, arguments, output))?;
    for refusal in &result.refused {
        output.warn(&refusal.words());
    }
    let exit = match ended {
        // Lines were printed as they came, and an object of nothing but an error is the error itself.
        Some(error) if output.form() == Form::JsonLines || result.is_empty() => return Err(error),
        Some(error) => {
            result.error = Some(ErrorShape::from(&error));
            output.failure_words(&error);
            Exit::of(&error)
        }
        None if interrupted => Exit::Interrupted,
        None if !result.refused.is_empty() => Exit::Other,
        None => Exit::Done,
    };
    if output.form() != Form::JsonLines {
        output.result(CAPTURE_SCHEMA, &result, CaptureResult::words)?;
    }
    Ok(exit)
}

fn take_all(sdk: &SnapTrak, arguments: &Arguments, output: &Output) -> Result<Taken, Error> {
    let work = Work {
        sdk,
        files: &arguments.files,
        options: CaptureOptions { kind: arguments.kind, note: arguments.note.clone(), ..arguments.labels.options() },
        interrupt: Interrupt::listen()?,
        next: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
    };
    let bar = Bar::of_files(output, arguments.files.len() as u64);
    let mut outcomes: Vec<Option<Outcome>> = arguments.files.iter().map(|_| None).collect();
    let mut unprinted = None;
    thread::scope(|scope| {
        let callers = thread::available_parallelism().map_or(1, usize::from).clamp(1, CALLERS_MAX);
        // One place for each caller: none runs further ahead of what was printed.
        let (tell, told) = mpsc::sync_channel(callers);
        for _ in 0..callers.min(arguments.files.len()) {
            let tell = tell.clone();
            let work = &work;
            scope.spawn(move || work.run(&tell));
        }
        drop(tell);
        for (index, outcome) in told {
            bar.advance(1);
            if let Err(error) = print_line(&arguments.files[index], &outcome, output) {
                work.ended.store(true, Ordering::Relaxed);
                unprinted.get_or_insert(error);
            }
            outcomes[index] = Some(outcome);
        }
    });
    let mut taken = gather(&arguments.files, outcomes);
    taken.interrupted &= work.interrupt.asked();
    taken.ended = unprinted.or(taken.ended);
    Ok(taken)
}

type Outcome = Result<Captured, snaptrak::Error>;

/// The files, shared by the callers.
struct Work<'a> {
    sdk: &'a SnapTrak,
    files: &'a [PathBuf],
    options: CaptureOptions,
    interrupt: Interrupt,
    next: AtomicUsize,
    /// No caller begins another file.
    ended: AtomicBool,
}

impl Work<'_> {
    fn run(&self, tell: &mpsc::SyncSender<(usize, Outcome)>) {
        while !self.ended.load(Ordering::Relaxed) && !self.interrupt.asked() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.files.get(index) else { break };
            let outcome = self.sdk.capture_file(file, self.options.clone());
            if outcome.as_ref().is_err_and(|error| !refuses_one_file(error.code())) {
                self.ended.store(true, Ordering::Relaxed);
            }
            if tell.send((index, outcome)).is_err() {
                break;
            }
        }
    }
}

/// Whether an error speaks of the file alone, so that the next file may well be captured.
fn refuses_one_file(code: ErrorCode) -> bool {
    use ErrorCode as C;
    matches!(
        code,
        C::EmptyFile | C::IsAFolder | C::IsAFifo | C::IsADevice | C::MissingPath | C::Unreadable | C::TooLarge
    )
}

fn refusal(file: &Path, error: &snaptrak::Error) -> Refusal {
    Refusal { path: file.to_string_lossy().into_owned(), code: error.code().as_str() }
}

fn print_line(file: &Path, outcome: &Outcome, output: &Output) -> Result<(), Error> {
    let line = match outcome {
        Ok(captured) => CaptureResult::one(CaptureEntry::of_file(captured, file)),
        Err(error) if refuses_one_file(error.code()) => {
            CaptureResult { refused: vec![refusal(file, error)], ..CaptureResult::default() }
        }
        // The last line, once the callers have ended.
        Err(_) => return Ok(()),
    };
    output.line(CAPTURE_SCHEMA, &line)
}

fn gather(files: &[PathBuf], outcomes: Vec<Option<Outcome>>) -> Taken {
    let mut taken = Taken { result: CaptureResult::default(), ended: None, interrupted: false };
    for (file, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Some(Ok(captured)) => taken.result.captures.push(CaptureEntry::of_file(&captured, file)),
            Some(Err(error)) if refuses_one_file(error.code()) => taken.result.refused.push(refusal(file, &error)),
            Some(Err(error)) => taken.ended = taken.ended.or(Some(error.into())),
            None => taken.interrupted = true,
        }
    }
    taken
}
