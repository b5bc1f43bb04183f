//! Taking evidence in: options are validated, the path is looked at before it is opened, the store does the rest.

use crate::{Error, ErrorCode, SnapTrak};
use snaptrak_domain::{CancelToken, Kind, Location, limits};
use snaptrak_store::{CaptureRequest, Captured};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// What the app says about a capture. Everything is optional; the kind is decided by content when it is not given.
#[derive(Debug, Clone, Default)]
pub struct CaptureOptions {
    /// What it is.
    pub kind: Option<Kind>,
    /// What a person wrote about it.
    pub note: Option<String>,
    /// Words for finding it again.
    pub tags: Vec<String>,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// Where it was taken.
    pub location: Option<Location>,
    /// The name that the file had; taken from the path when a path is captured.
    pub file_name: Option<String>,
}

impl CaptureOptions {
    pub(crate) fn validate(self) -> Result<CaptureRequest, Error> {
        let long = |text: &str, characters_max: usize| text.chars().count() > characters_max;
        let refused = |what: &str, characters_max: usize| {
            Error::new(ErrorCode::InvalidArgument, format!("{what} may have at most {characters_max} characters"))
        };
        if self.note.as_deref().is_some_and(|note| long(note, limits::NOTE_CHARACTERS_MAX)) {
            return Err(refused("a note", limits::NOTE_CHARACTERS_MAX));
        }
        if self.tags.iter().chain(&self.project).any(|label| long(label, limits::LABEL_CHARACTERS_MAX)) {
            return Err(refused("a tag or project", limits::LABEL_CHARACTERS_MAX));
        }
        if self.tags.len() > limits::TAGS_MAX {
            let message = format!("a capture may have at most {} tags", limits::TAGS_MAX);
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        if self.location.is_some_and(|location| !location.is_valid()) {
            let message = "a place has latitude -90 to 90, longitude -180 to 180 and an accuracy of at least 0 metres";
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        Ok(CaptureRequest {
            kind: self.kind,
            note: self.note,
            tags: self.tags,
            project: self.project,
            location: self.location,
            file_name: self.file_name,
        })
    }
}

impl SnapTrak {
    /// Captures a file. When this returns, the bytes are sealed and durable, and a power cut loses nothing.
    ///
    /// Empty files, folders, named pipes, devices and missing paths are refused; broken pictures and names that are not
    /// Unicode are captured. The file itself is left as it is.
    pub fn capture_file(&self, path: &Path, options: CaptureOptions) -> Result<Captured, Error> {
        self.capture_file_until(path, options, &CancelToken::new())
    }

    /// As [`SnapTrak::capture_file`], and ends early when another thread cancels the token, as
    /// [`SnapTrak::capture_reader_until`] does.
    pub fn capture_file_until(
        &self,
        path: &Path,
        options: CaptureOptions,
        cancel: &CancelToken,
    ) -> Result<Captured, Error> {
        let mut file = open_regular(path)?;
        self.require_room(file.metadata().map_or(0, |metadata| metadata.len()))?;
        let file_name =
            options.file_name.clone().or_else(|| path.file_name().map(|n| n.to_string_lossy().into_owned()));
        self.capture_reader_until(&mut file, CaptureOptions { file_name, ..options }, cancel)
    }

    /// Captures what a reader gives until its end, of any length, in memory that does not grow with it.
    pub fn capture_reader(&self, source: &mut dyn Read, options: CaptureOptions) -> Result<Captured, Error> {
        self.capture_reader_until(source, options, &CancelToken::new())
    }

    /// As [`SnapTrak::capture_reader`], and ends early when another thread cancels the token while there is still something to read:
    /// the answer is `cancelled`, and nothing of it is kept. Once all of it was read it is a capture, whatever the token says: it is
    /// either answered or gone, never both. Closing the instance does not cancel it.
    pub fn capture_reader_until(
        &self,
        source: &mut dyn Read,
        options: CaptureOptions,
        cancel: &CancelToken,
    ) -> Result<Captured, Error> {
        let mut source = Breakable { source, cancel, broken_off: false };
        let captured = self.inner.store.capture(options.validate()?, &mut source);
        if captured.is_err() && source.broken_off {
            return Err(Error::new(ErrorCode::Cancelled, "the capture was broken off, and nothing of it is kept"));
        }
        let captured = captured?;
        self.keep_quota_after_capture();
        Ok(captured)
    }

    /// Captures a text that a person wrote.
    pub fn note(&self, text: &str, options: CaptureOptions) -> Result<Captured, Error> {
        if text.is_empty() {
            return Err(Error::new(ErrorCode::EmptyFile, "the note is empty"));
        }
        let options = CaptureOptions { kind: Some(Kind::Note), ..options };
        let request = options.validate()?;
        if text.len() > limits::NOTE_INLINE_BYTES_MAX {
            return Ok(self.inner.store.capture(request, &mut text.as_bytes())?);
        }
        Ok(self.inner.store.note(request, text)?)
    }
}

/// A source that fails once its token is cancelled.
struct Breakable<'a> {
    source: &'a mut dyn Read,
    cancel: &'a CancelToken,
    broken_off: bool,
}

impl Read for Breakable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            self.broken_off = true;
            return Err(io::Error::other("broken off"));
        }
        self.source.read(buffer)
    }
}

/// Opens a path that must be a regular file. Looked at twice: before opening, since opening a device can move it, and
/// after, since the path may have changed in between.
fn open_regular(path: &Path) -> Result<File, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| refused_by_system(&error))?;
    refuse_irregular(&metadata)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A named pipe that took the file's place would otherwise block for ever.
        options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0));
    }
    let file = options.open(path).map_err(|error| refused_by_system(&error))?;
    refuse_irregular(&file.metadata().map_err(|error| refused_by_system(&error))?)?;
    Ok(file)
}

fn refused_by_system(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound || error.kind() == std::io::ErrorKind::NotADirectory {
        return Error::new(ErrorCode::MissingPath, "there is nothing at this path");
    }
    Error::new(ErrorCode::Unreadable, format!("the file cannot be read: {}", error.kind()))
}

fn refuse_irregular(metadata: &std::fs::Metadata) -> Result<(), Error> {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        return Ok(());
    }
    if file_type.is_dir() {
        return Err(Error::new(ErrorCode::IsAFolder, "a folder is not captured"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return Err(Error::new(ErrorCode::IsAFifo, "a named pipe is not captured; use record for streams"));
        }
    }
    Err(Error::new(ErrorCode::IsADevice, "a device or socket is not captured"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: CaptureOptions) -> bool {
        options.validate().is_err_and(|error| error.code() == ErrorCode::InvalidArgument)
    }

    #[test]
    fn options_out_of_range_are_refused() {
        assert!(CaptureOptions::default().validate().is_ok());
        assert!(refused(CaptureOptions { tags: vec![String::new(); limits::TAGS_MAX + 1], ..Default::default() }));
        assert!(refused(CaptureOptions { project: Some("x".repeat(201)), ..Default::default() }));
        let nowhere = Location { latitude: f64::NAN, longitude: 0.0, accuracy_m: None };
        assert!(refused(CaptureOptions { location: Some(nowhere), ..Default::default() }));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let code = |path: &str| open_regular(Path::new(path)).expect_err("refused").code();
        assert_eq!(code("/"), ErrorCode::IsAFolder);
        assert_eq!(code("/no/such/path"), ErrorCode::MissingPath);
        #[cfg(unix)]
        assert_eq!(code("/dev/null"), ErrorCode::IsADevice);
    }
}
