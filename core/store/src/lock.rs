//! One owner a store: an exclusive lock on a file, which the operating system frees when its holder dies.

use crate::{StoreError, layout};
use rustix::fs::{FlockOperation, flock};
use std::{fs::File, path::Path};

/// Held while the store is open.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says at once that another process, or another instance in this one, has it.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let file = layout::open_or_create(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse),
            Err(error) => Err(StoreError::io("lock the store", error.into())),
        }
    }
}
