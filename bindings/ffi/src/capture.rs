//! Taking evidence in.

use crate::{AssetState, Cancellation, Kind, SnapTrak, SnapTrakError};
use std::{path::PathBuf, sync::Arc};

/// A place, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, uniffi::Record)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Radius of uncertainty in metres, if known.
    #[uniffi(default = None)]
    pub accuracy_m: Option<f64>,
}

/// What the app says about a capture. Everything is optional; the kind is decided by content when it is not given.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct CaptureOptions {
    /// What it is.
    #[uniffi(default = None)]
    pub kind: Option<Kind>,
    /// What a person wrote about it.
    #[uniffi(default = None)]
    pub note: Option<String>,
    /// Words for finding it again.
    #[uniffi(default = [])]
    pub tags: Vec<String>,
    /// The project that it belongs to.
    #[uniffi(default = None)]
    pub project: Option<String>,
    /// Where it was taken.
    #[uniffi(default = None)]
    pub location: Option<Location>,
    /// The name that the file had; taken from the path when a path is captured.
    #[uniffi(default = None)]
    pub file_name: Option<String>,
}

/// A capture that is durable.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Captured {
    /// The capture, a UUID.
    pub id: String,
    /// Its original, a UUID.
    pub asset_id: String,
    /// What it is.
    pub kind: Kind,
    /// Media type by content.
    pub content_type: String,
    /// When it was taken in, Unix time in milliseconds.
    pub created_ms: i64,
    /// Plaintext bytes.
    pub bytes: u64,
    /// SHA-256 of the plaintext, hexadecimal.
    pub sha256: String,
    /// Where it stands.
    pub state: AssetState,
}

#[uniffi::export]
impl SnapTrak {
    /// Captures a file. When this returns, the bytes are sealed and durable, and a power cut loses nothing. The file itself is
    /// left as it is.
    ///
    /// A capture that has begun goes on when nobody waits for it any more, so that no photo is lost with the screen that took it: a
    /// cancelled coroutine or task does not take it back. What shall end early, a film of some gigabytes, is given a cancellation:
    /// while there is still something to read that makes it `cancelled`, and nothing of it is kept; afterwards it is a capture.
    #[uniffi::method(default(options = None, cancellation = None))]
    pub async fn capture_file(
        &self,
        path: String,
        options: Option<CaptureOptions>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Captured, SnapTrakError> {
        let options = options.unwrap_or_default().into();
        let path = PathBuf::from(path);
        self.run_unless(cancellation, move |core, cancel| Ok(core.capture_file_until(&path, options, cancel)?.into()))
            .await
    }

    /// Captures bytes that are in memory: a camera's JPEG of some megabytes. What is larger is a file or a recording. It is cancelled as
    /// the capture of a file is.
    #[uniffi::method(default(options = None, cancellation = None))]
    pub async fn capture_bytes(
        &self,
        bytes: Vec<u8>,
        options: Option<CaptureOptions>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Captured, SnapTrakError> {
        let options = options.unwrap_or_default().into();
        self.run_unless(cancellation, move |core, cancel| {
            Ok(core.capture_reader_until(&mut bytes.as_slice(), options, cancel)?.into())
        })
        .await
    }

    /// Captures a text that a person wrote.
    #[uniffi::method(default(options = None))]
    pub async fn note(&self, text: String, options: Option<CaptureOptions>) -> Result<Captured, SnapTrakError> {
        let options = options.unwrap_or_default().into();
        self.run(move |core| Ok(core.note(&text, options)?.into())).await
    }
}

impl From<CaptureOptions> for snaptrak::CaptureOptions {
    fn from(options: CaptureOptions) -> Self {
        let CaptureOptions { kind, note, tags, project, location, file_name } = options;
        Self { kind: kind.map(Into::into), note, tags, project, location: location.map(Into::into), file_name }
    }
}

impl From<Location> for snaptrak::Location {
    fn from(location: Location) -> Self {
        let Location { latitude, longitude, accuracy_m } = location;
        Self { latitude, longitude, accuracy_m }
    }
}

impl From<snaptrak::Location> for Location {
    fn from(location: snaptrak::Location) -> Self {
        let snaptrak::Location { latitude, longitude, accuracy_m } = location;
        Self { latitude, longitude, accuracy_m }
    }
}

impl From<snaptrak::Captured> for Captured {
    fn from(captured: snaptrak::Captured) -> Self {
        Self {
            id: captured.capture_id.to_string(),
            asset_id: captured.asset_id.to_string(),
            kind: captured.kind.into(),
            content_type: captured.content_type,
            created_ms: captured.created.0,
            bytes: captured.bytes,
            sha256: captured.sha256.to_string(),
            state: captured.state.into(),
        }
    }
}
