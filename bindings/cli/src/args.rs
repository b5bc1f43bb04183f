//! The command line as clap reads it: the list of commands, and the readers of values that several of them share.

use crate::{commands, globals::Globals, output::Form};
use clap::{Parser, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use snaptrak::{Accelerator, AssetState, Kind, Location, Rendition, Thermal};
use std::ops::Range;

/// Takes evidence offline, seals it, understands it on this machine, and brings it to the SnapTrak API.
#[derive(Debug, Parser)]
#[command(
    name = "snaptrak",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command, one module.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store in an empty or new folder
    Init,
    /// Make an account at an organisation's server and enrol this device
    SignUp(commands::enrol::Arguments),
    /// Sign in to an account and enrol this device
    SignIn(commands::enrol::Arguments),
    /// End the session; captures stay and wait
    SignOut,
    /// Take in files, each durable and sealed when it is reported
    Capture(commands::capture::Arguments),
    /// Take in a note
    Note(commands::note::Arguments),
    /// Take in standard input until it ends, piece by piece
    Record(commands::record::Arguments),
    /// List captures
    List(commands::list::Arguments),
    /// Show one capture: assets, findings, steps
    Show(commands::show::Arguments),
    /// Write a capture's original, byte for byte
    View(commands::view::Arguments),
    /// Write a capture's picture with what was found drawn on it
    Annotate(commands::annotate::Arguments),
    /// Say what people wrote about a capture later, field by field, or write it
    Annotations(commands::annotations::Arguments),
    /// Bring purged originals back from the server
    Fetch(commands::fetch::Arguments),
    /// Write a capture's small picture, or give it one
    Thumbnail(commands::thumbnail::Arguments),
    /// Say what is here and what waits
    Status,
    /// Say why a capture is where it is
    Why(commands::why::Arguments),
    /// Understand what waits for analysis
    Analyse(commands::analyse::Arguments),
    /// Say what this device's accelerators are good for, and why
    Accelerators(commands::accelerators::Arguments),
    /// Say which models are in use, check them, and use the organisation's newer ones
    Models(commands::models::Arguments),
    /// Bring what waits to the server, and fetch its receipts
    Sync(commands::sync::Arguments),
    /// Remove bytes that the server signed for, to make room
    Purge(commands::purge::Arguments),
    /// Keep a capture's bytes on this device
    Pin(commands::pin::Arguments),
    /// Let a capture's bytes go again when room is needed
    Unpin(commands::pin::Arguments),
    /// Check every receipt and the chain of receipts, offline
    Verify,
    /// Export one asset's data key to a file, for its owner
    ExportKey(commands::export_key::Arguments),
    /// Give the store new keys; captures stay readable and no sealed byte of them is written again
    RotateKeys(commands::rotate_keys::Arguments),
    /// Bring back what the folder of a store still holds: without its database, its keyset, or half of itself
    Recover(commands::recover::Arguments),
    /// Export a store for the organisation's recovery key, or import what was exported
    Bundle(commands::bundle::Arguments),
    /// Print a completion script for a shell
    Completions(commands::completions::Arguments),
}

impl Command {
    /// Whether it may load inference libraries, which print what they like.
    pub(crate) fn loads_engines(&self) -> bool {
        matches!(self, Self::Analyse(_) | Self::Models(_) | Self::Accelerators(_))
    }
}

impl Arguments {
    /// How results are wanted.
    pub(crate) fn form(&self) -> Form {
        let lines = match &self.command {
            Command::Capture(arguments) => arguments.jsonl,
            Command::Record(arguments) => arguments.jsonl,
            Command::Init
            | Command::SignUp(_)
            | Command::SignIn(_)
            | Command::SignOut
            | Command::Note(_)
            | Command::List(_)
            | Command::Show(_)
            | Command::View(_)
            | Command::Annotate(_)
            | Command::Annotations(_)
            | Command::Fetch(_)
            | Command::Thumbnail(_)
            | Command::Status
            | Command::Why(_)
            | Command::Analyse(_)
            | Command::Accelerators(_)
            | Command::Models(_)
            | Command::Sync(_)
            | Command::Purge(_)
            | Command::Pin(_)
            | Command::Unpin(_)
            | Command::Verify
            | Command::ExportKey(_)
            | Command::RotateKeys(_)
            | Command::Recover(_)
            | Command::Bundle(_)
            | Command::Completions(_) => false,
        };
        match (lines, self.globals.json) {
            (true, _) => Form::JsonLines,
            (false, true) => Form::Json,
            (false, false) => Form::Words,
        }
    }
}

/// Reads a word of a vocabulary; help and completions list the words.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|value| word(*value))).map(move |text| {
        let found = all.iter().copied().find(|value| word(*value) == text);
        found.expect("the parser accepts only these words")
    })
}

/// Reads a kind.
pub(crate) fn kind() -> impl TypedValueParser<Value = Kind> {
    one_of(&Kind::ALL, Kind::as_str)
}

/// Reads a state.
pub(crate) fn state() -> impl TypedValueParser<Value = AssetState> {
    one_of(&AssetState::ALL, AssetState::as_str)
}

/// Reads a rendition.
pub(crate) fn rendition() -> impl TypedValueParser<Value = Rendition> {
    one_of(&Rendition::ALL, Rendition::as_str)
}

/// Where an analysis should run; `None` where it is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedAccelerator(pub(crate) Option<Accelerator>);

/// The word for where it is best.
pub(crate) const AUTO: &str = "auto";

/// Reads an accelerator, or `auto`.
pub(crate) fn accelerator() -> impl TypedValueParser<Value = AskedAccelerator> {
    const ALL: [AskedAccelerator; 4] = [
        AskedAccelerator(None),
        AskedAccelerator(Some(Accelerator::Cpu)),
        AskedAccelerator(Some(Accelerator::Gpu)),
        AskedAccelerator(Some(Accelerator::Npu)),
    ];
    one_of(&ALL, |asked| asked.0.map_or(AUTO, Accelerator::as_str))
}

/// Reads how warm a device is.
pub(crate) fn thermal() -> impl TypedValueParser<Value = Thermal> {
    one_of(&[Thermal::Nominal, Thermal::Fair, Thermal::Serious, Thermal::Critical], |thermal| match thermal {
        Thermal::Nominal => "nominal",
        Thermal::Fair => "fair",
        Thermal::Serious => "serious",
        Thermal::Critical => "critical",
    })
}

/// Reads `LAT,LON` or `LAT,LON,ACCURACY_M`.
pub(crate) fn location(text: &str) -> Result<Location, String> {
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.trim().parse().map_err(|_| format!("`{part}` is not a number")))
        .collect::<Result<_, _>>()?;
    let location = match numbers[..] {
        [latitude, longitude] => Location { latitude, longitude, accuracy_m: None },
        [latitude, longitude, accuracy_m] => Location { latitude, longitude, accuracy_m: Some(accuracy_m) },
        _ => return Err("expected LAT,LON or LAT,LON,ACCURACY_M".to_owned()),
    };
    if location.is_valid() {
        Ok(location)
    } else {
        Err("latitude is -90 to 90, longitude -180 to 180, accuracy is not negative".to_owned())
    }
}

/// Bytes from a place up to another, the second not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteRange(pub(crate) Range<u64>);

/// Reads `START-END` or `START-`.
pub(crate) fn range(text: &str) -> Result<ByteRange, String> {
    let number = |part: &str| part.parse::<u64>().map_err(|_| format!("`{part}` is not a number of bytes"));
    let (start, end) = text.split_once('-').ok_or("expected START-END or START-")?;
    let end = if end.is_empty() { u64::MAX } else { number(end)? };
    let range = number(start)?..end;
    if range.start <= range.end { Ok(ByteRange(range)) } else { Err("the end comes before the start".to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once(&"snaptrak").chain(words))
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        for words in [["--store", "S", "--json", "status"], ["status", "--store", "S", "--json"]] {
            let arguments = parse(&words).unwrap();
            assert_eq!(arguments.globals.store.as_deref(), Some(std::path::Path::new("S")));
            assert_eq!(arguments.form(), Form::Json);
        }
    }

    #[test]
    fn json_lines_take_precedence() {
        assert_eq!(parse(&["--json", "capture", "--jsonl", "a"]).unwrap().form(), Form::JsonLines);
        assert_eq!(parse(&["record", "--kind", "audio", "--jsonl"]).unwrap().form(), Form::JsonLines);
    }

    #[test]
    fn places_are_checked() {
        assert_eq!(location("-33.8,151.2").unwrap().accuracy_m, None);
        assert_eq!(location("47.37, 8.54, 12.5").unwrap().accuracy_m, Some(12.5));
        for wrong in ["", "1", "1,2,3,4", "91,0", "0,181", "NaN,0", "0,inf", "1,2,-3", "1,2,NaN", "north,west"] {
            assert!(location(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&["capture", "--location", "-33.8,-70.6", "a"]).is_ok(), "a negative number is no option");
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(range("5-10").unwrap(), ByteRange(5..10));
        assert_eq!(range("5-").unwrap(), ByteRange(5..u64::MAX));
        assert_eq!(range("5-5").unwrap(), ByteRange(5..5));
        for wrong in ["", "5", "-5", "10-5", "a-b", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["capture"][..],
            &["capture", "--kind", "picture", "a"],
            &["show", "not-an-id"],
            &["view", "0193e6f6-0000-7000-8000-000000000000"],
            &["list", "--limit", "0"],
            &["record"],
            &["purge", "--to-free", "some"],
            &["pin"],
            &["sync", "--budget-ms", "-1"],
            &["sign-in", "--server", "https://a"],
            &["completions", "powershell"],
        ] {
            let error = parse(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
