//! Looking at what is there: lists, one capture in full, its bytes, its picture with what was found.

use crate::{Error, ErrorCode, SnapTrak};
use snaptrak_domain::{AssetState, CancelToken, CaptureId, Rendition, Sha256Digest, queue_store::QueueStore};
use snaptrak_store::{CaptureDetail, Cursor, Page, StoreStatus, Why};
use snaptrak_vision::annotate::{ANNOTATED_PIXELS_MAX, annotate};
use std::{io::Write, ops::Range};

pub use snaptrak_vision::annotate::AnnotatedFormat as PictureFormat;

/// Captures of one page: more would only fill memory that nobody looks at.
const PAGE_MAX: usize = 1_000;
/// One read of an original: 16 segments, so that each is opened once.
const READ_BYTES: usize = 1 << 20;
/// The largest original that is drawn upon; the vision crate bounds the pixels.
const PICTURE_BYTES_MAX: u64 = 256 << 20;

impl SnapTrak {
    /// Captures in order of arrival, oldest first; `after` is the `next` of the page before, or any capture's id.
    pub fn list(&self, state: Option<AssetState>, limit: usize, after: Option<Cursor>) -> Result<Page, Error> {
        if limit == 0 || limit > PAGE_MAX {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("a page has 1 to {PAGE_MAX} captures")));
        }
        Ok(self.inner.store.list(state, after, limit)?)
    }

    /// Everything that is known of one capture.
    pub fn show(&self, id: CaptureId) -> Result<CaptureDetail, Error> {
        Ok(self.inner.store.show(id)?)
    }

    /// Writes the original, byte for byte, and answers its digest, which was compared with the one taken at capture.
    pub fn view(&self, id: CaptureId, out: &mut dyn Write) -> Result<Sha256Digest, Error> {
        self.view_until(id, out, &CancelToken::new())
    }

    /// As [`SnapTrak::view`], and ends within a mebibyte when another thread cancels the token; what was written by then is not proven.
    pub fn view_until(&self, id: CaptureId, out: &mut dyn Write, cancel: &CancelToken) -> Result<Sha256Digest, Error> {
        let call = self.inner.calls.begin(cancel)?;
        let asset_id = self.inner.store.asset_of(id, Rendition::Original)?;
        let expected = self.inner.store.expected_receipt(asset_id)?.sha256;
        let mut reader = self.inner.store.reader(asset_id)?;
        self.inner.store.viewed(id);
        let mut buffer = vec![0_u8; READ_BYTES];
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let mut offset = 0;
        while offset < reader.bytes() {
            call.go_on()?;
            let count = reader.read_at(offset, &mut buffer).map_err(|error| Error::from_reason(&error.reason))?;
            if count == 0 {
                return Err(Error::new(ErrorCode::Damaged, "the sealed bytes end too early"));
            }
            digest.update(&buffer[..count]);
            out.write_all(&buffer[..count]).map_err(|error| write_failed(&error))?;
            offset += count as u64;
        }
        if digest.finish().as_ref() != expected.as_bytes() {
            return Err(Error::new(ErrorCode::Damaged, "the bytes are not those that were captured"));
        }
        Ok(expected)
    }

    /// Writes the bytes of the original from `range.start` up to `range.end` (or the end, if that comes first), and answers the
    /// digest of what was written. Pieces outside the range are not touched.
    pub fn view_range(&self, id: CaptureId, range: Range<u64>, out: &mut dyn Write) -> Result<Sha256Digest, Error> {
        let mut reader = self.reader(id)?;
        let end = range.end.min(reader.length_bytes());
        if range.start > end {
            let message =
                format!("the range begins at {}, the original has {} bytes", range.start, reader.length_bytes());
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        let mut buffer = vec![0_u8; READ_BYTES];
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let mut offset = range.start;
        while offset < end {
            let room = usize::try_from(end - offset).unwrap_or(READ_BYTES).min(READ_BYTES);
            let count = reader.read_at(offset, &mut buffer[..room])?;
            if count == 0 {
                return Err(Error::new(ErrorCode::Damaged, "the sealed bytes end too early"));
            }
            digest.update(&buffer[..count]);
            out.write_all(&buffer[..count]).map_err(|error| write_failed(&error))?;
            offset += count as u64;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest.finish().as_ref());
        Ok(Sha256Digest(sha256))
    }

    /// The upright picture with boxes and labels drawn on it, as an encoded picture.
    pub fn annotate(&self, id: CaptureId, format: PictureFormat) -> Result<Vec<u8>, Error> {
        let detail = self.inner.store.show(id)?;
        let asset_id = self.inner.store.asset_of(id, Rendition::Original)?;
        let mut reader = self.inner.store.reader(asset_id)?;
        self.inner.store.viewed(id);
        let bytes = reader.read_all(PICTURE_BYTES_MAX).map_err(|error| Error::from_reason(&error.reason))?;
        annotate(&bytes, &detail.findings, format, ANNOTATED_PIXELS_MAX)
            .map_err(|error| Error::from_reason(&error.reason))
    }

    /// How much is where, what waits and what is parked.
    pub fn status(&self) -> Result<StoreStatus, Error> {
        Ok(self.inner.store.status()?)
    }

    /// Why a capture is where it is. There is always an answer.
    pub fn why(&self, id: CaptureId) -> Result<Why, Error> {
        Ok(self.inner.store.why(id, self.inner.platform.clock.now())?)
    }
}

fn write_failed(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Error::new(ErrorCode::StorageFull, "no room for the opened file");
    }
    Error::new(ErrorCode::Unreadable, format!("the opened file cannot be written: {}", error.kind()))
}
