//! The body of an answer into a file, as it arrives: memory holds one chunk of the network's.
//!
//! What arrived before a failure stays in the file, for the attempt that goes on from there. Nothing is synced: whoever asked
//! checks the bytes first.

use std::io::{ErrorKind, SeekFrom};

use reqwest::StatusCode;
use snaptrak_domain::transport::{IntoFile, TransferError};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::failure::classify;

/// Whether the answer is one whose body the file takes.
pub(super) fn is_content(status: StatusCode) -> bool {
    status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT
}

/// Writes the body into the file.
pub(super) async fn write(answer: &mut reqwest::Response, into: &IntoFile) -> Result<(), TransferError> {
    let begin = begin(answer, into)?;
    let mut file = OpenOptions::new().write(true).open(&into.path).await.map_err(|error| failed(&error))?;
    // Also what an earlier attempt wrote beyond the place at which this answer goes on.
    file.set_len(begin).await.map_err(|error| failed(&error))?;
    file.seek(SeekFrom::Start(begin)).await.map_err(|error| failed(&error))?;
    let received = copy(answer, &mut file, into.bytes_max.saturating_sub(begin)).await;
    // What has arrived counts even if the rest did not.
    let flushed = file.flush().await.map_err(|error| failed(&error));
    received.and(flushed)
}

async fn copy(answer: &mut reqwest::Response, file: &mut File, bytes_max: u64) -> Result<(), TransferError> {
    let mut left = bytes_max;
    while let Some(chunk) = answer.chunk().await.map_err(|error| broke(&error))? {
        left = left.checked_sub(chunk.len() as u64).ok_or(TransferError::Malformed)?;
        file.write_all(&chunk).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The bytes are taken as they are, so that nothing in them can be malformed: what ends early is a connection that broke.
fn broke(error: &reqwest::Error) -> TransferError {
    let failure = classify(error);
    if failure == TransferError::Malformed { TransferError::Offline } else { failure }
}

/// Where the body begins in the file.
fn begin(answer: &reqwest::Response, into: &IntoFile) -> Result<u64, TransferError> {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(0);
    }
    let range = answer.headers().get("content-range").and_then(|value| value.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    begin.filter(|begin| *begin == into.held_bytes).ok_or(TransferError::Malformed)
}

fn failed(error: &std::io::Error) -> TransferError {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    if full { TransferError::Full } else { TransferError::Destination }
}
