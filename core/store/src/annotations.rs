//! What people say of captures after they were taken. Each field is a row and a line of the journal; the later one of a field stands.

use crate::{Store, StoreError, journal::Entry, rows, writer::WriteTransaction};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{
    Annotation, CaptureId, EventKind, FieldName, HybridTime, Rendition, StoreEvent,
    annotation::{FIELD_VALUE_BYTES_MAX, FIELDS_MAX},
};

impl Store {
    /// Writes fields of a capture, or removes those without a value; all of them or none. Durable when the call returns. A field
    /// that says so already is not written again.
    pub fn annotate(&self, capture_id: CaptureId, fields: Vec<(FieldName, Option<String>)>) -> Result<(), StoreError> {
        if fields.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.len() > FIELD_VALUE_BYTES_MAX)) {
            return Err(StoreError::Refused { code: "too_large" });
        }
        let (now, device_id) = (self.clock().now(), self.device_id());
        self.write_with_lines(move |transaction, lines| {
            let original = original(transaction, capture_id)?;
            let mut changed = false;
            for (field, value) in fields {
                let before = rows::first(transaction, ONE, params![capture_id.as_bytes(), field.as_str()], read)?;
                if before.as_ref().map_or(value.is_none(), |before| before.value == value) {
                    continue;
                }
                let at = HybridTime::after(before.map(|before| before.at), now, device_id);
                let annotation = Annotation { field, value, at };
                write(transaction, capture_id, &annotation)?;
                lines.entry(&Entry::Annotation { capture_id, annotation });
                changed = true;
            }
            let sql = "SELECT count(*) FROM annotation WHERE capture_id = ?1";
            let count = rows::only(transaction, sql, [capture_id.as_bytes()], |row| rows::count(row, 0))?;
            if count > FIELDS_MAX as u64 {
                return Err(StoreError::Refused { code: "too_many_fields" });
            }
            if changed {
                transaction.announce(original);
            }
            Ok(())
        })
    }
}

/// The fields of a capture that say something, by name.
pub(crate) fn of_capture(connection: &Connection, capture_id: CaptureId) -> Result<Vec<Annotation>, StoreError> {
    let mut fields = all_of_capture(connection, capture_id)?;
    fields.retain(|annotation| annotation.value.is_some());
    Ok(fields)
}

/// The same with those that were removed.
pub(crate) fn all_of_capture(connection: &Connection, capture_id: CaptureId) -> Result<Vec<Annotation>, StoreError> {
    let sql = "SELECT field, value, at_ms, at_count, device_id FROM annotation WHERE capture_id = ?1 ORDER BY field";
    rows::all(connection, sql, [capture_id.as_bytes()], read)
}

/// Keeps an annotation that was written before, here or elsewhere, unless a later one is there. Of a capture that is not there:
/// nothing.
pub(crate) fn keep(connection: &Connection, capture_id: CaptureId, annotation: &Annotation) -> Result<(), StoreError> {
    let before = rows::first(connection, ONE, params![capture_id.as_bytes(), annotation.field.as_str()], read)?;
    if before.is_none_or(|before| annotation.replaces(&before.at)) {
        write(connection, capture_id, annotation)?;
    }
    Ok(())
}

const ONE: &str =
    "SELECT field, value, at_ms, at_count, device_id FROM annotation WHERE capture_id = ?1 AND field = ?2";

fn write(connection: &Connection, capture_id: CaptureId, annotation: &Annotation) -> Result<(), StoreError> {
    let Annotation { field, value, at } = annotation;
    rows::change(
        connection,
        "INSERT INTO annotation (capture_id, field, value, at_ms, at_count, device_id)
         SELECT id, ?2, ?3, ?4, ?5, ?6 FROM capture WHERE id = ?1
         ON CONFLICT (capture_id, field) DO UPDATE SET value = excluded.value, at_ms = excluded.at_ms,
             at_count = excluded.at_count, device_id = excluded.device_id",
        params![capture_id.as_bytes(), field.as_str(), value, at.unix_ms.0, at.count, at.device_id.as_bytes()],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Annotation, StoreError> {
    let at = HybridTime {
        unix_ms: rows::unix_ms(row, 2)?,
        count: rows::small(row, 3)?,
        device_id: snaptrak_domain::DeviceId::from_bytes(row.get(4)?),
    };
    Ok(Annotation { field: rows::word(row, 0, "field")?, value: row.get(1)?, at })
}

/// What is told of the capture, which has to be there.
fn original(transaction: &WriteTransaction<'_>, capture_id: CaptureId) -> Result<StoreEvent, StoreError> {
    let sql = "SELECT id, state FROM asset WHERE capture_id = ?1 AND rendition = 'original'";
    rows::first(transaction, sql, [capture_id.as_bytes()], |row| {
        Ok(StoreEvent {
            kind: EventKind::Annotated,
            capture_id,
            asset_id: rows::asset_id(row, 0)?,
            rendition: Rendition::Original,
            state: rows::word(row, 1, "asset state")?,
        })
    })?
    .ok_or(StoreError::Missing { what: "capture" })
}
