//! What the SDK says of itself, given to the app's own log. Ids and codes, never contents of a capture.

use crate::SnapTrakError;
use snaptrak::ErrorCode;
use std::{
    fmt::{self, Write},
    sync::Arc,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

/// From the most to the least important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// A defect, or something that is lost.
    Error,
    /// Something that a developer should look at.
    Warn,
    /// What happens.
    Info,
    /// In detail.
    Debug,
}

/// The app's log. Called on any thread; what it throws is dropped.
#[uniffi::export(with_foreign)]
pub trait LogSink: Send + Sync {
    /// One line: where it comes from, and words with fields.
    fn on_log(&self, level: LogLevel, target: String, message: String) -> Result<(), SnapTrakError>;
}

/// Gives the log of every instance in this process to the app, from `level` up. Once a process: the log is the only thing that
/// instances share.
#[uniffi::export]
pub fn set_log_sink(sink: Arc<dyn LogSink>, level: LogLevel) -> Result<(), SnapTrakError> {
    let layer = ToSink(sink).with_filter(match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    });
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(|_| SnapTrakError::new(ErrorCode::InvalidArgument, "this process has a log sink already"))
}

struct ToSink(Arc<dyn LogSink>);

impl<S: Subscriber> Layer<S> for ToSink {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = match *metadata.level() {
            tracing::Level::ERROR => LogLevel::Error,
            tracing::Level::WARN => LogLevel::Warn,
            tracing::Level::INFO => LogLevel::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => LogLevel::Debug,
        };
        // An app whose log throws must not be told so through its log.
        let _ = self.0.on_log(level, metadata.target().to_owned(), line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        // Writing to a text cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{separator}{value:?}")
        } else {
            write!(self.0, "{separator}{}={value:?}", field.name())
        };
    }
}
