//! A file as a response body, read a part at a time so that memory does not grow with it.

use axum::body::{Bytes, HttpBody};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf, Take};

/// Sends what a reader has until it ends. A file that is shorter than was announced ends the connection, which is how HTTP
/// tells a reader that something is missing.
pub(crate) struct FileBody {
    file: Take<File>,
    buffer: Box<[u8]>,
}

impl FileBody {
    pub(crate) fn new(file: Take<File>, part_bytes: usize) -> Self {
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
