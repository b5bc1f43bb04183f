//! The one place that prints.
//!
//! Owns: what goes to standard output (a command's result, and with `--json` exactly one object) and what goes to standard
//! error (everything said on the way). Refuses to know what the results mean. A reader that goes away ends the command, it
//! does not make it panic; a word to standard error that cannot be written is dropped.
//!
//! Inference libraries print lines of their own to standard output (LiteRT's for GPUs does where there is no OpenCL), among
//! which an object is none. A command that loads them keeps the real standard output for itself.

use crate::{error::Error, human::printable};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    sync::Arc,
};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Words and tables for a person.
    Words,
    /// One JSON object.
    Json,
    /// One JSON object a line, each the moment it is true.
    JsonLines,
}

/// Standard output and standard error, as the options want them.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    form: Form,
    quiet: bool,
    /// Where results go, if what others print to standard output must not be among them.
    apart: Option<Arc<File>>,
}

/// A result with the name of its shape.
#[derive(Serialize)]
struct Named<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    result: &'a T,
}

/// An error as scripts read it.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorShape {
    code: &'static str,
    message: String,
    next: String,
}

impl From<&Error> for ErrorShape {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), message: error.message(), next: error.next() }
    }
}

impl Output {
    pub(crate) fn new(form: Form, quiet: bool) -> Self {
        Self { form, quiet, apart: None }
    }

    /// As [`Output::new`]; what anyone else prints to standard output goes to standard error from here on, until the process
    /// ends.
    pub(crate) fn apart(form: Form, quiet: bool) -> Result<Self, Error> {
        let moved = || {
            let results = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
            rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
            Ok(File::from(results))
        };
        let results = moved().map_err(|error: rustix::io::Errno| Error::write("standard output", error.into()))?;
        Ok(Self { form, quiet, apart: Some(Arc::new(results)) })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// A command's result, once: as an object of this schema, or in the words that `words` makes of it.
    pub(crate) fn result<T: Serialize>(
        &self,
        schema: &'static str,
        result: &T,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(), Error> {
        match self.form {
            Form::Words => self.put(&words(result)),
            Form::Json | Form::JsonLines => self.put(&json(schema, result)),
        }
    }

    /// One line of a result that grows, flushed at once; only with `--jsonl`.
    pub(crate) fn line<T: Serialize>(&self, schema: &'static str, line: &T) -> Result<(), Error> {
        match self.form {
            Form::Words | Form::Json => Ok(()),
            Form::JsonLines => self.put(&json(schema, line)),
        }
    }

    /// Bytes for whoever reads standard output, when the result itself goes there.
    pub(crate) fn bytes(&self) -> impl Write + use<> {
        io::stdout().lock()
    }

    fn put(&self, text: &str) -> Result<(), Error> {
        let written = match &self.apart {
            Some(results) => put_into(&mut results.as_ref(), text),
            None => put_into(&mut io::stdout().lock(), text),
        };
        written.map_err(|source| Error::write("standard output", source))
    }

    /// Something worth knowing on the way; `--quiet` leaves it out.
    pub(crate) fn say(&self, words: &str) {
        if !self.quiet {
            put_aside(&printable(words));
        }
    }

    /// Something that a person must not miss.
    pub(crate) fn warn(&self, words: &str) {
        put_aside(&format!("warning: {}", printable(words)));
    }

    /// Why the command failed: words on standard error, and the object where objects are wanted. A reader that went away is
    /// told nothing.
    pub(crate) fn failure(&self, error: &Error) {
        if matches!(error, Error::ClosedPipe) {
            return;
        }
        match self.form {
            Form::Words => self.failure_words(error),
            // The exit code is already that of a failure; there is no second place to complain about the first.
            Form::Json | Form::JsonLines => drop(self.put(&json("snaptrak.error/1", &ErrorShape::from(error)))),
        }
    }

    /// Why the command stopped, beside a result that says the same.
    pub(crate) fn failure_words(&self, error: &Error) {
        put_aside(&format!("error: {}\nnext: {}", printable(&error.message()), printable(&error.next())));
    }

    /// Words of the argument parser, which has already laid them out.
    pub(crate) fn parser_words(error: &clap::Error) {
        drop(error.print());
    }

    /// A bar of progress on a terminal; hidden elsewhere and with `--quiet`.
    pub(crate) fn bar(&self) -> ProgressBar {
        let target = if self.quiet || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        ProgressBar::with_draw_target(None, target)
    }
}

fn json<T: Serialize>(schema: &'static str, result: &T) -> String {
    serde_json::to_string(&Named { schema, result }).expect("results are structs of plain values with text keys")
}

fn put_into(place: &mut impl Write, text: &str) -> io::Result<()> {
    if !text.is_empty() {
        place.write_all(format!("{}\n", text.trim_end_matches('\n')).as_bytes())?;
    }
    place.flush()
}

fn put_aside(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_error_is_one_object_with_its_four_fields() {
        let error = Error::usage("no such thing", "ask for another");
        let object: serde_json::Value =
            serde_json::from_str(&json("snaptrak.error/1", &ErrorShape::from(&error))).unwrap();
        assert_eq!(
            object,
            serde_json::json!({
                "schema": "snaptrak.error/1", "code": "usage", "message": "no such thing", "next": "ask for another"
            })
        );
    }
}
