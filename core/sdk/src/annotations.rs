//! What people say of a capture after it was taken.

use crate::{Error, ErrorCode, SnapTrak};
use snaptrak_domain::{
    CaptureId, FieldName,
    annotation::{FIELD_VALUE_BYTES_MAX, FIELDS_MAX},
};
use snaptrak_store::StoreError;

impl SnapTrak {
    /// Writes fields of a capture (a value), or removes them (none): all of them or none. They stand in [`SnapTrak::show`], are
    /// durable when the call returns and come back from a recovery; the capture itself stays what it was. Names are the app's.
    ///
    /// `InvalidArgument` for more than 64 fields of one capture, removed ones counted, and for a value of more than 16 KiB.
    /// They stay on this device: no server is told of them yet.
    pub fn set_annotations(&self, id: CaptureId, fields: Vec<(FieldName, Option<String>)>) -> Result<(), Error> {
        let refused = |message| Error::new(ErrorCode::InvalidArgument, message);
        self.inner.store.annotate(id, fields).map_err(|error| {
            if matches!(error, StoreError::Refused { code: "too_large" }) {
                return refused(format!(
                    "a field's value has {FIELD_VALUE_BYTES_MAX} bytes at most; a longer text is a note"
                ));
            }
            if matches!(error, StoreError::Refused { code: "too_many_fields" }) {
                return refused(format!("a capture has {FIELDS_MAX} fields at most, removed ones counted"));
            }
            error.into()
        })
    }
}
