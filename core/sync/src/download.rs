//! Bringing one file from the server into its place on this device.
//!
//! A connection that breaks after it has brought something is made again at once and goes on where it broke off; one that brings
//! nothing ends the download, and what has arrived waits for the next. What turns out to be other bytes is fetched once more from
//! the beginning, if a part of it had arrived earlier: the fault may lie in that part. Knows nothing of what the file is.

use snaptrak_domain::fetch_store::{ArrivingFile, FetchTarget};
use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::transport::{IntoFile, Plan, Response, TransferError};

use crate::api::{ApiError, Call};
use crate::errand::Errand;
use crate::error::SyncError;

/// The file is not that long: what was kept of it cannot be a part of it.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// What is downloaded.
pub(crate) struct Download<'a> {
    pub(crate) file: &'a dyn ArrivingFile,
    /// What it must have; not one byte more is written.
    pub(crate) bytes: u64,
    pub(crate) plan: &'a dyn Fn(&Call<'_>, IntoFile) -> Plan,
    pub(crate) read: fn(&Response) -> Result<(), ApiError>,
    /// What a refusal of the server means.
    pub(crate) refused: &'a dyn Fn(ApiError) -> SyncError,
}

enum Brought {
    InPlace { bytes: u64 },
    OtherBytes,
}

impl Download<'_> {
    /// Brings the file into its place; the bytes that it took, `None` if it was there.
    pub(crate) fn bring(&self, errand: &mut Errand<'_>) -> Result<Option<u64>, SyncError> {
        let Some(target) = self.file.target()? else { return Ok(None) };
        let resumed = target.held_bytes > 0;
        match self.attempt(errand, target)? {
            Brought::InPlace { bytes } => return Ok(Some(bytes)),
            Brought::OtherBytes if resumed => {}
            Brought::OtherBytes => return Err(SyncError::OtherBytes),
        }
        let Some(again) = self.file.target()? else { return Ok(None) };
        match self.attempt(errand, again)? {
            Brought::InPlace { bytes } => Ok(Some(bytes)),
            Brought::OtherBytes => Err(SyncError::OtherBytes),
        }
    }

    /// Goes on as long as each connection brings something.
    fn attempt(&self, errand: &mut Errand<'_>, mut target: FetchTarget) -> Result<Brought, SyncError> {
        let begun = target.held_bytes;
        loop {
            let before = target.held_bytes;
            let into = IntoFile { path: target.path.clone(), held_bytes: before, bytes_max: self.bytes };
            match errand.request(&|call| (self.plan)(call, into.clone())) {
                Ok(response) => match (self.read)(&response) {
                    Ok(()) => {
                        let bytes = self.bytes.saturating_sub(begun);
                        return Ok(if self.file.accept()? { Brought::InPlace { bytes } } else { Brought::OtherBytes });
                    }
                    Err(error) if error.status == RANGE_NOT_SATISFIABLE && before > 0 => {
                        self.file.discard()?;
                        return Ok(Brought::OtherBytes);
                    }
                    Err(error) => return Err((self.refused)(error)),
                },
                Err(SyncError::Transfer(TransferError::Offline | TransferError::TimedOut))
                    if !errand.line.is_cancelled() =>
                {
                    let Some(again) = self.file.target()? else { return Ok(Brought::InPlace { bytes: 0 }) };
                    if again.held_bytes <= before {
                        return Err(TransferError::Offline.into());
                    }
                    target = again;
                }
                // Longer than the file, or not what was asked for: what arrived of it is of no use.
                Err(SyncError::Transfer(TransferError::Malformed)) => {
                    self.file.discard()?;
                    return if begun > 0 { Ok(Brought::OtherBytes) } else { Err(TransferError::Malformed.into()) };
                }
                // The room is needed for captures.
                Err(SyncError::Transfer(TransferError::Full)) => {
                    self.file.discard()?;
                    return Err(QueueError::Full.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
