//! Asks a person on the controlling terminal and shows nothing of what is typed.
//!
//! Talks to `/dev/tty`, since standard input may be a recording. Signals from the keyboard are read as keys meanwhile: a
//! process that dies here would leave the terminal without echo.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use snaptrak::Secret;
use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
};
use zeroize::Zeroizing;

/// Bytes of a line; what follows is not taken.
const LINE_BYTES_MAX: usize = 4096;

const CONTROL_C: u8 = 3;
const CONTROL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CONTROL_U: u8 = 21;
const DELETE: u8 = 127;

/// One line as it was typed, without its end. `None`: there is no terminal to ask on, or the person ended the question.
pub(crate) fn hidden_line(question: &str) -> Option<Secret> {
    // Someone who sends even standard error elsewhere is not sitting there.
    if !io::stderr().is_terminal() {
        return None;
    }
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    terminal.write_all(question.as_bytes()).ok()?;
    let hidden = Hidden::begin(&terminal).ok()?;
    let line = read_line(&mut terminal);
    drop(hidden);
    drop(terminal.write_all(b"\n"));
    line
}

/// A word to the person at the terminal.
pub(crate) fn remark(words: &str) {
    if let Ok(mut terminal) = OpenOptions::new().write(true).open("/dev/tty") {
        drop(writeln!(terminal, "{words}"));
    }
}

fn read_line(keys: &mut impl Read) -> Option<Secret> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let mut key = Zeroizing::new([0_u8; 1]);
    loop {
        if keys.read(&mut key[..]).ok()? == 0 {
            return None;
        }
        match key[0] {
            b'\n' | b'\r' => return Some(Secret::new(line.to_vec())),
            CONTROL_C | CONTROL_D => return None,
            CONTROL_U => line.clear(),
            BACKSPACE | DELETE => remove_character(&mut line),
            byte if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => {}
        }
    }
}

/// Takes back one character, which may be several bytes of UTF-8.
fn remove_character(line: &mut Vec<u8>) {
    const CONTINUATION_MASK: u8 = 0b1100_0000;
    const CONTINUATION: u8 = 0b1000_0000;
    while line.pop().is_some_and(|byte| byte & CONTINUATION_MASK == CONTINUATION) {}
}

/// The terminal without echo, until dropped.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn begin(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Flush: what was typed before the question is not the answer.
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal: terminal.try_clone()?, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_that_edit_the_line() {
        assert_eq!(read_line(&mut &b"ab\x7fc\n"[..]).unwrap().expose(), b"ac");
        assert_eq!(read_line(&mut "aé\x08b\r".as_bytes()).unwrap().expose(), b"ab");
        assert_eq!(read_line(&mut &b"wrong\x15right\n"[..]).unwrap().expose(), b"right");
        assert_eq!(read_line(&mut &b"\x7f\x7f\n"[..]).unwrap().expose(), b"");
    }

    #[test]
    fn a_question_that_is_ended_has_no_answer() {
        assert_eq!(read_line(&mut &b"half\x03"[..]), None);
        assert_eq!(read_line(&mut &b"half\x04"[..]), None);
        assert_eq!(read_line(&mut &b"half"[..]), None);
    }
}
