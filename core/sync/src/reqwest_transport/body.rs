//! A range of a file as a request body: read in chunks on a blocking thread, at most two of them in memory, the length known
//! beforehand so that it stands in the header.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use snaptrak_domain::transport::{TransferEvent, TransferEvents, TransferId};
use tokio::sync::mpsc;

use super::failure::SourceFailure;

/// One read, one frame and one progress event. A whole file in memory is five times slower, and small chunks cost a
/// system call each.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait for the network while the next is read.
const CHUNKS_AHEAD: usize = 1;

type Chunk = Result<Bytes, SourceFailure>;

/// The body.
pub(super) struct FileBody {
    chunks: mpsc::Receiver<Chunk>,
    left_bytes: u64,
    sent_bytes: u64,
    id: TransferId,
    events: Arc<dyn TransferEvents>,
}

impl FileBody {
    /// Opens the file and begins to read. A file that is shorter than the range is an error, never a shorter body.
    pub(super) async fn open(
        path: std::path::PathBuf,
        offset: u64,
        length: u64,
        id: TransferId,
        events: Arc<dyn TransferEvents>,
    ) -> Result<Self, SourceFailure> {
        let file = tokio::task::spawn_blocking(move || open_at(&path, offset))
            .await
            .map_err(|_| SourceFailure(ErrorKind::Interrupted.into()))??;
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || read_chunks(file, length, &sender));
        Ok(Self { chunks, left_bytes: length, sent_bytes: 0, id, events })
    }
}

fn open_at(path: &Path, offset: u64) -> Result<File, SourceFailure> {
    let mut file = File::open(path).map_err(SourceFailure)?;
    file.seek(SeekFrom::Start(offset)).map_err(SourceFailure)?;
    Ok(file)
}

fn read_chunks(mut file: File, length: u64, sender: &mpsc::Sender<Chunk>) {
    let mut left_bytes = length;
    while left_bytes > 0 {
        let chunk_bytes = usize::try_from(left_bytes).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let mut chunk = vec![0; chunk_bytes];
        let read = file.read_exact(&mut chunk).map(|()| Bytes::from(chunk)).map_err(SourceFailure);
        let failed = read.is_err();
        // A receiver that is gone belongs to a transfer that has ended.
        if sender.blocking_send(read).is_err() || failed {
            return;
        }
        left_bytes -= chunk_bytes as u64;
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = SourceFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceFailure>>> {
        // The connection asks for the next chunk when it has taken the last one: that one is counted now.
        if self.sent_bytes > 0 {
            let event = TransferEvent::Progress { id: self.id, sent_bytes: self.sent_bytes };
            if self.left_bytes > 0 {
                self.events.on_event(event);
            }
        }
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        match self.chunks.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => {
                let chunk_bytes = chunk.len() as u64;
                self.left_bytes = self.left_bytes.saturating_sub(chunk_bytes);
                self.sent_bytes += chunk_bytes;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => Poll::Ready(Some(Err(SourceFailure(ErrorKind::UnexpectedEof.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
