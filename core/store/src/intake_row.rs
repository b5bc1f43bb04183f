//! A note as its row of `intake` holds it until it is settled.
//!
//! Owns the two forms of it: the journal's entry as it is, and a short one for the usual note, a JSON list without names, which
//! is less than half as long. Eight callers' notes then mostly fit into the page that is being filled, and every page more is
//! encrypted, written and synced by their commit.

use crate::{
    capture_rows::Witness,
    intake::{Content, NewNote},
    journal::{Base64, Entry},
};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{
    AssetId, BootId, CaptureId, CaptureMetadata, DeviceId, Instant, Kind, Location, MonotonicMs, UnixMs, WallTime,
};

/// The short form, in its order. What a note has beside this is in the long one. A version that needs more adds to the end.
#[derive(Serialize, Deserialize)]
struct Short(
    /// The ids of capture and asset.
    Base64,
    UnixMs,
    /// Offset of local time in minutes, and its zone.
    i32,
    Option<String>,
    /// Media type.
    String,
    /// What the note says.
    String,
    /// Tags, project, location.
    Vec<String>,
    Option<String>,
    Option<Location>,
    /// What the receipt will say of the moment.
    BootId,
    MonotonicMs,
    bool,
);

const ID_BYTES: usize = 16;

/// The short form of a note of this device; `None`: it has none, and its row is the journal's entry.
pub(crate) fn short(note: &NewNote, of_device: DeviceId) -> Option<Vec<u8>> {
    let short = shortened(note, of_device)?;
    Some(serde_json::to_vec(&short).expect("texts, numbers and lists always have JSON"))
}

/// The note in a row; `None`: no version can have written it.
pub(crate) fn read(number: u64, row: &[u8], device_id: DeviceId) -> Option<NewNote> {
    if row.first() == Some(&b'[') {
        return long(number, serde_json::from_slice(row).ok()?, device_id);
    }
    if let Entry::Note(note) = Entry::from_json(row)? { Some(note) } else { None }
}

fn shortened(note: &NewNote, of_device: DeviceId) -> Option<Short> {
    let NewNote { number: _, asset_id, metadata, content: Content::Text(text), witness } = note else { return None };
    let CaptureMetadata {
        capture_id,
        kind: Kind::Note,
        device_id,
        created,
        content_type,
        file_name: None,
        note: None,
        tags,
        project,
        location,
        embedded,
        interrupted: false,
        interrupted_at_bytes: None,
        interrupted_at_ms: None,
        ended_because: None,
    } = metadata
    else {
        return None;
    };
    if *device_id != of_device || *embedded != Default::default() {
        return None;
    }
    Some(Short(
        Base64([*capture_id.as_bytes(), *asset_id.as_bytes()].concat()),
        created.unix_ms,
        created.offset_minutes,
        created.zone.clone(),
        content_type.clone(),
        text.clone(),
        tags.clone(),
        project.clone(),
        *location,
        witness.instant.boot_id.clone(),
        witness.instant.monotonic_ms,
        witness.hardware,
    ))
}

fn long(number: u64, short: Short, device_id: DeviceId) -> Option<NewNote> {
    let Short(
        ids,
        unix_ms,
        offset_minutes,
        zone,
        content_type,
        text,
        tags,
        project,
        location,
        boot_id,
        monotonic_ms,
        hardware,
    ) = short;
    let (capture, asset) = ids.0.split_at_checked(ID_BYTES)?;
    Some(NewNote {
        number,
        asset_id: AssetId::from_bytes(asset.try_into().ok()?),
        metadata: CaptureMetadata {
            capture_id: CaptureId::from_bytes(capture.try_into().ok()?),
            kind: Kind::Note,
            device_id,
            created: WallTime { unix_ms, offset_minutes, zone },
            content_type,
            file_name: None,
            note: None,
            tags,
            project,
            location,
            embedded: Default::default(),
            interrupted: false,
            interrupted_at_bytes: None,
            interrupted_at_ms: None,
            ended_because: None,
        },
        content: Content::Text(text),
        witness: Witness { instant: Instant { boot_id, monotonic_ms }, hardware },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> NewNote {
        NewNote {
            number: 7,
            asset_id: AssetId::from_bytes([1; 16]),
            metadata: CaptureMetadata {
                capture_id: CaptureId::from_bytes([2; 16]),
                kind: Kind::Note,
                device_id: DeviceId::from_bytes([3; 16]),
                created: WallTime { unix_ms: UnixMs(5), offset_minutes: -60, zone: Some("Europe/Berlin".to_owned()) },
                content_type: "text/plain".to_owned(),
                file_name: None,
                note: None,
                tags: vec!["wet \"wall\"".to_owned()],
                project: Some("Harbour Street 12".to_owned()),
                location: Some(Location { latitude: 53.5, longitude: 10.0, accuracy_m: None }),
                embedded: Default::default(),
                interrupted: false,
                interrupted_at_bytes: None,
                interrupted_at_ms: None,
                ended_because: None,
            },
            content: Content::Text("Riß, [2 m]".to_owned()),
            witness: Witness {
                instant: Instant { boot_id: BootId("boot".to_owned()), monotonic_ms: MonotonicMs(9) },
                hardware: true,
            },
        }
    }

    fn row(note: &NewNote) -> Vec<u8> {
        short(note, DeviceId::from_bytes([3; 16])).unwrap_or_else(|| Entry::Note(note.clone()).to_json())
    }

    #[test]
    fn the_usual_note_is_short_and_comes_back_equal() {
        let note = note();
        let row = row(&note);
        assert!(2 * row.len() < Entry::Note(note.clone()).to_json().len(), "{}", String::from_utf8_lossy(&row));
        assert_eq!(read(7, &row, DeviceId::from_bytes([3; 16])), Some(note));
    }

    #[test]
    fn whatever_the_short_form_cannot_say_is_written_long_and_comes_back_equal() {
        let changes: [fn(&mut NewNote); 7] = [
            |note| note.content = Content::Bytes(Base64(vec![0xff])),
            |note| note.metadata.kind = Kind::File,
            |note| note.metadata.device_id = DeviceId::from_bytes([4; 16]),
            |note| note.metadata.file_name = Some("note.txt".to_owned()),
            |note| note.metadata.note = Some("of a note".to_owned()),
            |note| note.metadata.embedded.taken_offset_minutes = Some(60),
            |note| note.metadata.interrupted = true,
        ];
        for change in changes {
            let mut note = note();
            change(&mut note);
            let row = row(&note);
            assert_eq!(row.first(), Some(&b'{'));
            assert_eq!(read(7, &row, DeviceId::from_bytes([3; 16])), Some(note));
        }
    }

    #[test]
    fn a_row_that_no_version_wrote_is_told() {
        for row in ["", "[", "[]", "{}", "{\"entry\":\"newer\"}", "null"] {
            assert_eq!(read(7, row.as_bytes(), DeviceId::from_bytes([3; 16])), None, "{row}");
        }
    }
}
