//! `record` with a source of known bytes: started, watched, killed, and what a store kept of it.
//!
//! Owns how the files of a recording that goes on are laid out, so far as lengths tell what is complete in them. Refuses to
//! know why the recording breaks off.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use snaptrak_driver::{Client, patience};

use super::check::Listed;
use super::ground::Chance;
use super::job::{self, Running};
use super::stream::{AtEnd, Feeding, Stream};
use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// A sealed segment, and the plaintext of a full one that is not the first in its file (core/seal/README.md).
const SEGMENT_BYTES: u64 = 65_536;
pub(super) const LATER_SEGMENT_PLAIN_BYTES: u64 = SEGMENT_BYTES - TAG_BYTES;
const HEADER_BYTES: u64 = 40;
const TAG_BYTES: u64 = 16;
/// Between two looks at how far the source has come.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Pieces of some recordings are finished after so many milliseconds at most.
const SHORT_PIECE_MS_MAX: u64 = 1_500;

/// A recording that goes on.
pub(super) struct Recorder {
    source: Source,
    feeding: Feeding,
    running: Running,
}

/// What flows into a recording.
pub(super) struct Source {
    stream: Stream,
    /// As long as it can be at most.
    pub(super) bytes: u64,
}

/// What a recording told before it broke off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Bytes of the pieces that were told as durable.
    pub(super) bytes: u64,
    /// It was acknowledged as a whole.
    pub(super) whole: bool,
}

impl Told {
    pub(super) fn of(lines: &[String]) -> Self {
        let answers = || lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let pieces = answers().filter(|line| line["piece"].is_u64());
        Self {
            bytes: pieces.filter_map(|line| line["bytes"].as_u64()).sum(),
            whole: answers().any(|line| line["captures"].is_array()),
        }
    }
}

impl Recorder {
    /// Starts a recording of so many bytes; one of three finishes its pieces after a short time.
    pub(super) fn start(client: &Client, bytes: u64, at_end: AtEnd, chance: &mut Chance) -> Result<Self> {
        let stream = Stream::draw(chance);
        let mut arguments: Vec<OsString> = ["record", "--kind", "video", "--jsonl"].map(OsString::from).to_vec();
        if chance.below(3) == 0 {
            let piece_ms = 50 + chance.below(SHORT_PIECE_MS_MAX);
            arguments.extend(["--piece-ms".into(), piece_ms.to_string().into()]);
        }
        let failed = |source| Error::Start { program: "snaptrak record".to_owned(), source };
        let mut child = client.command(&arguments).stdin(Stdio::piped()).spawn().map_err(failed)?;
        let feeding = child.stdin.take().map(|pipe| stream.feed(pipe, bytes, at_end));
        let feeding = feeding.ok_or_else(|| broken("a recording has no standard input"))?;
        Ok(Self { source: Source { stream, bytes }, feeding, running: Running::of("record", child) })
    }

    /// Bytes that the pipe has taken.
    pub(super) fn given_bytes(&self) -> u64 {
        self.feeding.bytes()
    }

    /// What it has printed until now.
    pub(super) fn lines(&self) -> Vec<String> {
        self.running.lines()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.running.has_ended()
    }

    /// Lets the source give so many bytes, or the recording end before.
    pub(super) fn wait_until_given(&mut self, bytes: u64) -> Result<()> {
        while self.given_bytes() < bytes && !self.has_ended()? {
            job::wait(LOOK_EVERY);
        }
        Ok(())
    }

    /// Lets the source give everything.
    pub(super) fn wait_until_given_whole(&mut self) -> Result<()> {
        self.wait_until_given(self.source.bytes)
    }

    /// Waits until all that a resting source gave lies in the files, but for the open segment; how much that is.
    pub(super) fn wait_until_taken(&self, complete_bytes: impl Fn() -> Result<u64>) -> Result<u64> {
        let given = self.given_bytes();
        if patience::until(|| complete_bytes().unwrap_or(0) + LATER_SEGMENT_PLAIN_BYTES >= given) {
            Ok(given)
        } else {
            Err(broken("complete segments do not reach their file"))
        }
    }

    /// Kills it with SIGKILL: its source, all lines that it printed, and whether it was still running.
    pub(super) fn kill(mut self) -> Result<(Source, Vec<String>, bool)> {
        let was_running = self.running.kill()?;
        let lines = self.running.end()?.lines;
        Ok((self.source, lines, was_running))
    }
}

/// What a store has of a recording.
pub(super) struct Kept {
    pub(super) asset_id: String,
    /// How many bytes of the source it has; `None` where it has others, or tells them wrongly.
    pub(super) bytes: Option<u64>,
    /// It says that it broke off.
    pub(super) interrupted: bool,
}

impl Source {
    /// Opens a capture and compares it with this source.
    pub(super) fn kept(&self, client: &Client, capture: &Listed) -> Result<Kept> {
        let Listed { id, sha256, .. } = capture;
        let shown = client.tell(&["show", id])?;
        let file = client.scratch("viewed");
        let viewed = client.tell(&["view", id, "-o", &file.to_string_lossy()])?;
        let bytes = self.stream.prefix_bytes(&file, self.bytes)?;
        fs::remove_file(&file).at(&file)?;
        let metadata = &shown["metadata"];
        let interrupted = metadata["interrupted"] == true;
        let says_where = !interrupted || metadata["interrupted_at_bytes"].as_u64() == bytes;
        let original = shown["assets"].as_array().into_iter().flatten().find(|asset| asset["rendition"] == "original");
        let original = original.ok_or_else(|| broken("a recording has no original"))?;
        let is_it = viewed["sha256"] == *sha256 && original["bytes"].as_u64() == bytes && metadata["kind"] == "video";
        if bytes.is_none() || !says_where || !is_it {
            terminal::progress(&format!("   {id}: {viewed} {metadata}"));
        }
        let asset_id = original["asset_id"].as_str().unwrap_or_default().to_owned();
        Ok(Kept { asset_id, bytes: bytes.filter(|_| says_where && is_it), interrupted })
    }
}

/// Plaintext bytes of the complete segments of the one recording in `incoming` that goes on or broke off. What is `known`
/// there is a closed one that lies there until somebody has time to move it.
pub(super) fn complete_bytes(incoming: &Path, known: &BTreeSet<String>) -> Result<u64> {
    let new = folders(incoming)?.into_iter().filter(|name| !known.contains(name));
    new.map(|name| complete_bytes_in(&incoming.join(name))).sum()
}

/// The names of the assets in `incoming`.
pub(super) fn folders(incoming: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(incoming).at(incoming)?.flatten();
    Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// What the files of an asset's folder hold complete: all of a file that another follows, whole segments of the last one.
fn complete_bytes_in(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).at(folder)?.flatten().map(|entry| entry.path());
    let mut pieces: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "piece")).collect();
    pieces.sort();
    let lengths = pieces.iter().map(|path| Ok(fs::metadata(path).at(path)?.len())).collect::<Result<Vec<u64>>>()?;
    let Some((last, finished)) = lengths.split_last() else { return Ok(0) };
    let finished: u64 = finished.iter().map(|length| plain_bytes(*length)).sum();
    Ok(finished + plain_bytes(last / SEGMENT_BYTES * SEGMENT_BYTES))
}

/// Plaintext of a sealed file of this length.
fn plain_bytes(sealed_bytes: u64) -> u64 {
    sealed_bytes.saturating_sub(HEADER_BYTES + sealed_bytes.div_ceil(SEGMENT_BYTES) * TAG_BYTES)
}

pub(super) fn broken(words: &str) -> Error {
    Error::Missing { what: words.to_owned(), next: "read core/store/src/recording/mod.rs".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FIRST_SEGMENT_PLAIN_BYTES: u64 = LATER_SEGMENT_PLAIN_BYTES - HEADER_BYTES;

    #[test]
    fn complete_segments_are_counted_as_the_format_lays_them_out() {
        assert_eq!(plain_bytes(SEGMENT_BYTES), FIRST_SEGMENT_PLAIN_BYTES);
        assert_eq!(plain_bytes(2 * SEGMENT_BYTES), FIRST_SEGMENT_PLAIN_BYTES + LATER_SEGMENT_PLAIN_BYTES);
        assert_eq!((plain_bytes(0), plain_bytes(57)), (0, 1));
        let incoming = tempfile::tempdir().unwrap();
        let folder = incoming.path().join("recording");
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, bytes: u64| fs::write(folder.join(name), vec![0; bytes as usize]).unwrap();
        let complete = || complete_bytes(incoming.path(), &BTreeSet::new()).unwrap();
        assert_eq!(complete(), 0);
        write("00000000.piece", 57);
        assert_eq!(complete(), 0, "the last one may be open");
        write("00000001.piece", SEGMENT_BYTES + 10);
        write("envelope.json", 500);
        assert_eq!(complete(), 1 + FIRST_SEGMENT_PLAIN_BYTES);
        assert_eq!(complete_bytes(incoming.path(), &["recording".to_owned()].into()).unwrap(), 0);
    }

    #[test]
    fn lines_that_acknowledge_are_told_from_others() {
        let lines = [r#"{"piece":0,"bytes":5}"#, r#"{"piece":1,"bytes":7}"#, r#"{"piece":2,"byt"#].map(str::to_owned);
        assert_eq!(Told::of(&lines), Told { bytes: 12, whole: false });
        assert_eq!(Told::of(&[r#"{"captures":[{"bytes":3}]}"#.to_owned()]), Told { bytes: 0, whole: true });
    }
}
