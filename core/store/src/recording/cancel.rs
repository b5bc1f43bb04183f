//! Taking a recording back.
//!
//! Order of events. One rename takes the folder out of every place where an asset is looked for; then one transaction settles
//! the rows; then the folder goes. Killed in between, the next opening finds the renamed folder and does the rest. A capture of
//! which something may have reached the server keeps its rows, all cancelled, so that `why` can say so; any other leaves none.

use crate::{Store, StoreError, capture, layout, queue::recorded};
use snaptrak_domain::AssetId;
use std::{fs, io};

impl Store {
    /// Takes back a recording that nobody writes any more.
    pub(crate) fn cancel_recording(&self, asset_id: AssetId) -> Result<(), StoreError> {
        let folder = self.layout().incoming_asset(asset_id);
        {
            let _changing = self.inner.files.change();
            match fs::rename(&folder, self.layout().cancelled_asset(asset_id)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("take a recording back", error)),
            }
        }
        layout::sync_folder(&self.layout().incoming())?;
        self.finish_cancelling(asset_id)
    }

    /// Settles the rows of a recording whose folder was renamed, and removes it.
    pub(crate) fn finish_cancelling(&self, asset_id: AssetId) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(move |transaction| recorded::cancelled(transaction, asset_id, now))?;
        capture::remove_unfinished(&self.layout().cancelled_asset(asset_id));
        Ok(())
    }
}
