//! `snaptrak record` under way: fed as slowly as it takes the bytes, and heard as it tells its pieces.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A recording under way in its own process.
#[derive(Debug)]
pub struct Recorder {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    lines: Vec<Value>,
    fed_bytes: u64,
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Every line of standard output.
    pub lines: Vec<Value>,
    /// Standard error.
    pub words: String,
}

impl Recorder {
    /// Starts the command, which must have `--jsonl`.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, lines: Vec::new(), fed_bytes: 0 }
    }

    /// Gives it bytes; whether it took them all, or has ended and reads no more.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.fed_bytes += bytes.len() as u64;
        self.input.as_mut().unwrap().write_all(bytes).is_ok()
    }

    /// Waits until the pieces that it told have all the bytes that it was given; false where it told its end first.
    pub fn has_told_everything(&mut self) -> bool {
        while pieces_bytes(&self.lines) < self.fed_bytes {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            let Ok(line) = serde_json::from_str::<Value>(&line) else { return false };
            let is_piece = line["piece"].is_u64();
            self.lines.push(line);
            if !is_piece {
                return false;
            }
        }
        true
    }

    /// Bytes of the pieces that it has told.
    pub fn told_bytes(&self) -> u64 {
        pieces_bytes(&self.lines)
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, which something else than the end of its input must bring: that comes only afterwards.
    pub fn end(mut self) -> Ended {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.lines.extend(rest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        let input = self.input.take();
        let output = self.child.wait_with_output().unwrap();
        drop(input);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), lines: self.lines, words }
    }
}

impl Ended {
    /// The last line.
    pub fn result(&self) -> &Value {
        self.lines.last().unwrap()
    }

    /// Bytes of the pieces that were told.
    pub fn told_bytes(&self) -> u64 {
        pieces_bytes(&self.lines)
    }
}

fn pieces_bytes(lines: &[Value]) -> u64 {
    lines.iter().filter(|line| line["piece"].is_u64()).filter_map(|line| line["bytes"].as_u64()).sum()
}
