//! Which of the few words of [`TransferError`] a failure is. The errors themselves hold URLs, and so stay out of logs.

use std::error::Error;

use snaptrak_domain::transport::TransferError;

/// The file to send could not be read; travels through reqwest as the body's error.
#[derive(Debug, thiserror::Error)]
#[error("the file to send cannot be read")]
pub(super) struct SourceFailure(#[source] pub(super) std::io::Error);

/// Reads the chain of causes.
pub(super) fn classify(error: &reqwest::Error) -> TransferError {
    if has_cause::<SourceFailure>(error) {
        return TransferError::Source;
    }
    if has_cause::<rustls::Error>(error) {
        return TransferError::Tls;
    }
    if error.is_timeout() {
        return TransferError::TimedOut;
    }
    if error.is_builder() || error.is_decode() {
        return TransferError::Malformed;
    }
    // What is left is a connection that could not be made or that broke.
    TransferError::Offline
}

fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.is::<T>() {
            return true;
        }
        // An I/O error hides what it wraps from `source`.
        let hidden = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if hidden.is_some_and(|hidden| has_cause::<T>(hidden)) {
            return true;
        }
        next = cause.source();
    }
    false
}
