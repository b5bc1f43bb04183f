//! Closing a connection on which the client still sends: an early answer must reach it.
//!
//! A server that closes with bytes unread makes TCP reset the connection, and the reset can overtake the answer: a client
//! that sends a large body would see a broken connection instead of 401, 409 or 413. So after the answer our side is closed
//! and what still arrives is discarded, until the client has seen the answer and closes too, or a short time is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

/// An answer crosses the slowest mobile network in that time, and a client that ignores it costs no more.
const LINGERS_FOR: Duration = Duration::from_secs(2);

/// Discarded at a time.
const DISCARD_BYTES: usize = 16 * 1024;

/// A connection that lingers when it is shut down.
pub(crate) struct Lingering {
    stream: TcpStream,
    /// A server that stops does not wait for anyone.
    stop: watch::Receiver<bool>,
    lingers: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream, stop: watch::Receiver<bool>) -> Self {
        Self { stream, stop, lingers: None }
    }

    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; DISCARD_BYTES];
        loop {
            let lingers = self.lingers.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGERS_FOR)));
            if *self.stop.borrow() || lingers.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                // The client has closed too; how does not matter any more.
                Err(_) => return Poll::Ready(Ok(())),
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Ok(()) => {}
            }
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        self.poll_discard(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
