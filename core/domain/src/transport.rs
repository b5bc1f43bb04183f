//! Transfers as data. The core plans a request; a transport performs it: reqwest inside the process, or the operating
//! system long after the process is gone. No async in the trait, so that both fit.

use std::{fmt, path::PathBuf, sync::Arc};

/// HTTP methods that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// The token of the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Names one transfer within a process; drawn by the planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// What a request carries.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// A range of a sealed file, streamed.
    File {
        /// The file as it lies on disk.
        path: PathBuf,
        /// First byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// A file that takes the body of a success instead of memory. It exists already, with its owner's permissions.
#[derive(Clone, PartialEq, Eq)]
pub struct IntoFile {
    /// The file.
    pub path: PathBuf,
    /// Bytes in it from an earlier attempt: a 206 that begins there is added behind them, a 200 is written from the beginning
    /// and replaces them. The request's `Range` header is the planner's.
    pub held_bytes: u64,
    /// A file that would become longer fails as malformed.
    pub bytes_max: u64,
}

/// One HTTP transfer. `Debug` leaves out headers and bodies: they hold tokens and contents.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name in events.
    pub id: TransferId,
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: Body,
    /// Whole transfer, from start to the last byte of the answer.
    pub timeout_ms: u64,
    /// Longer answers are cut off and fail.
    pub response_bytes_max: u64,
    /// Where the body of a 200 or 206 goes; `None`: into [`Response::body`]. What arrived before a failure stays in the file.
    pub into_file: Option<IntoFile>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer with its whole body.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header names in lowercase, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (lowercase).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// No connection could be made, or it broke.
    #[error("the server cannot be reached")]
    Offline,
    /// The time ran out.
    #[error("the transfer took too long")]
    TimedOut,
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("the secure connection failed")]
    Tls,
    /// The planner cancelled it.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// The file that was to be sent cannot be read.
    #[error("the file to send cannot be read")]
    Source,
    /// The file that was to take the answer cannot be written.
    #[error("the file for the answer cannot be written")]
    Destination,
    /// There is no room on this disk for the answer.
    #[error("no room on the disk for the answer")]
    Full,
    /// Plain HTTP to a host that is not this machine; nothing was sent.
    #[error("plain HTTP is refused beyond this machine")]
    PlainHttp,
    /// The answer is longer than allowed, or no HTTP.
    #[error("the answer is not what was expected")]
    Malformed,
}

/// What a transport tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEvent {
    /// Bytes of the body that went out so far.
    Progress {
        /// Which transfer.
        id: TransferId,
        /// Body bytes handed to the network.
        sent_bytes: u64,
    },
    /// The transfer ended; the last event of its id.
    Finished {
        /// Which transfer.
        id: TransferId,
        /// The answer, of whatever status, or why there is none.
        result: Result<Response, TransferError>,
    },
}

/// Where events go. Called from the transport's own threads.
pub trait TransferEvents: Send + Sync {
    /// Takes one event; must not block.
    fn on_event(&self, event: TransferEvent);
}

/// What a transport can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Sends a part of a file.
    pub ranges: bool,
    /// Refuses redirects.
    pub redirect_control: bool,
    /// Performs requests without a body.
    pub bodyless_requests: bool,
}

/// Performs plans.
pub trait Transport: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Begins a transfer; exactly one `Finished` follows, even if it cannot begin.
    fn start(&self, plan: Plan, events: Arc<dyn TransferEvents>);
    /// Ends a transfer early; its `Finished` says `Cancelled` unless it had ended.
    fn cancel(&self, id: TransferId);
}
