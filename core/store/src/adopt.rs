use crate::{Store, StoreError};

impl Store {
    pub(crate) fn adopt_incoming(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
