//! A file as a response body, read a part at a time so that memory does not grow with it.

use super::error::ApiError;
use crate::error::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use snaptrak_domain::Sha256Digest;
use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncSeekExt as _, ReadBuf, Take};

/// Bytes of a file that are read at a time while it is sent.
const SEND_BYTES: usize = 256 * 1024;

/// A file of so many bytes with this digest, or the rest of it that was asked for.
pub(crate) async fn answer(
    path: &Path,
    bytes: u64,
    sha256: &Sha256Digest,
    asked: &HeaderMap,
) -> Result<Response, ApiError> {
    let etag = format!("\"{sha256}\"");
    let mut file = File::open(path).await.map_err(Error::file("open", path))?;
    let begin = range_begin(asked, &etag).unwrap_or(0);
    if begin > 0 && begin >= bytes {
        let message = "the file is not that long";
        return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message));
    }
    file.seek(SeekFrom::Start(begin)).await.map_err(Error::file("seek", path))?;
    let left = bytes - begin;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, left.to_string()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, etag),
    ];
    let body = Body::new(FileBody::new(file.take(left), SEND_BYTES));
    if begin == 0 {
        return Ok((headers, body).into_response());
    }
    let range = format!("bytes {begin}-{}/{bytes}", bytes - 1);
    Ok((StatusCode::PARTIAL_CONTENT, headers, [(CONTENT_RANGE, range)], body).into_response())
}

/// Where an open range begins; any other range, and one of another file, is answered with the whole, as RFC 9110 has it.
fn range_begin(asked: &HeaderMap, etag: &str) -> Option<u64> {
    if asked.get(IF_RANGE).is_some_and(|of| of.as_bytes() != etag.as_bytes()) {
        return None;
    }
    asked.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Sends what a reader has until it ends. A file that is shorter than was announced ends the connection, which is how HTTP
/// tells a reader that something is missing.
struct FileBody {
    file: Take<File>,
    buffer: Box<[u8]>,
}

impl FileBody {
    fn new(file: Take<File>, part_bytes: usize) -> Self {
        Self { file, buffer: vec![0; part_bytes].into_boxed_slice() }
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        let mut buffer = ReadBuf::new(&mut body.buffer);
        match ready!(Pin::new(&mut body.file).poll_read(context, &mut buffer)) {
            Err(error) => Poll::Ready(Some(Err(error))),
            Ok(()) if buffer.filled().is_empty() => Poll::Ready(None),
            Ok(()) => Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::copy_from_slice(buffer.filled()))))),
        }
    }
}
