//! What people say of a capture after it was taken: named fields, of which each is merged by itself. The capture stays what it was.
//!
//! Owns the order of two writers: a field's later time wins, whoever's clock it is from, and a device that has seen a value always
//! writes a later time than that value's, however wrong its clock is (a hybrid logical clock, Kulkarni et al. 2014, one a field).

use crate::{DeviceId, UnixMs};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Characters of a field's name.
pub const FIELD_NAME_CHARACTERS_MAX: usize = 64;

/// Bytes of a field's value: some pages of text; more is a note of its own.
pub const FIELD_VALUE_BYTES_MAX: usize = 16_384;

/// Fields of one capture, removed ones too.
pub const FIELDS_MAX: usize = 64;

/// The name of a field: a lowercase letter, then lowercase letters, digits and `_`, `.`, `-`; 64 characters at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

/// A text that is no field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a field: a lowercase letter, then lowercase letters, digits, '_', '.' and '-', {FIELD_NAME_CHARACTERS_MAX} characters at most"
)]
pub struct FieldNameError;

impl FieldName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(text: &str) -> Result<Self, FieldNameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for FieldName {
    type Error = FieldNameError;

    fn try_from(text: String) -> Result<Self, FieldNameError> {
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        let follows = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || b"_.-".contains(&one);
        if begins && text.len() <= FIELD_NAME_CHARACTERS_MAX && text.bytes().all(follows) {
            return Ok(Self(text));
        }
        Err(FieldNameError)
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a field was written, as all devices order it: by wall time, then by how often it was written at that time, then by device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HybridTime {
    /// The writer's wall time, or that of the value which it replaced where that was later.
    pub unix_ms: UnixMs,
    /// Writes of the field at that same time, before this one.
    pub count: u32,
    /// Who wrote.
    pub device_id: DeviceId,
}

impl HybridTime {
    /// The time of a write: now, or just after what it replaces where `now` is not later.
    pub fn after(replaced: Option<Self>, now: UnixMs, device_id: DeviceId) -> Self {
        let Some(replaced) = replaced.filter(|replaced| replaced.unix_ms >= now) else {
            return Self { unix_ms: now, count: 0, device_id };
        };
        match replaced.count.checked_add(1) {
            Some(count) => Self { unix_ms: replaced.unix_ms, count, device_id },
            None => Self { unix_ms: UnixMs(replaced.unix_ms.0.saturating_add(1)), count: 0, device_id },
        }
    }
}

/// A field of a capture as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// Which field.
    pub field: FieldName,
    /// What it says; nothing: it was removed, which has to be remembered so that an older value does not come back.
    pub value: Option<String>,
    /// When it was written.
    pub at: HybridTime,
}

impl Annotation {
    /// Whether this one stands where the other is known too.
    pub fn replaces(&self, other: &HybridTime) -> bool {
        self.at > *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(byte: u8) -> DeviceId {
        DeviceId::from_bytes([byte; 16])
    }

    #[test]
    fn a_name_is_a_word_that_is_the_same_everywhere() {
        for name in ["a", "room", "room.number_2-b", &"x".repeat(FIELD_NAME_CHARACTERS_MAX)] {
            assert_eq!(name.parse::<FieldName>().map(String::from).as_deref(), Ok(name));
        }
        let long = "x".repeat(FIELD_NAME_CHARACTERS_MAX + 1);
        for name in ["", "Room", "2nd", ".a", "ro om", "größe", "a=b", "a\n", &long] {
            assert_eq!(name.parse::<FieldName>(), Err(FieldNameError), "{name:?}");
            assert!(serde_json::from_value::<FieldName>(name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn whoever_has_seen_a_value_writes_later_than_it_with_any_clock() {
        let (mine, theirs) = (device(1), device(2));
        let first = HybridTime::after(None, UnixMs(1_000), theirs);
        for now in [UnixMs(2_000), UnixMs(1_000), UnixMs(10), UnixMs(-5)] {
            let next = HybridTime::after(Some(first), now, mine);
            assert!(next > first, "{now:?}");
            assert!(next.unix_ms == now.max(first.unix_ms));
        }
        let full = HybridTime { count: u32::MAX, ..first };
        assert!(HybridTime::after(Some(full), UnixMs(0), mine) > full);
    }

    #[test]
    fn two_devices_agree_on_who_was_last() {
        let (one, other) = (
            HybridTime { unix_ms: UnixMs(5), count: 1, device_id: device(1) },
            HybridTime { unix_ms: UnixMs(5), count: 1, device_id: device(2) },
        );
        let written = |at| Annotation { field: "room".parse().unwrap(), value: None, at };
        assert!(written(other).replaces(&one));
        assert!(!written(one).replaces(&other));
        assert!(!written(one).replaces(&one), "the same write twice changes nothing");
        assert!(written(HybridTime { count: 2, ..one }).replaces(&other));
    }
}
