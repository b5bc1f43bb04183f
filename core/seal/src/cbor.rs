//! Deterministic CBOR (RFC 8949, section 4.2.1) for payloads that are signed and hashed: maps with text keys only.
//!
//! The same claims give the same bytes everywhere, and a reader refuses every other spelling of them, so that a payload's
//! digest is the name of its claims.

use ciborium::Value;

/// One map being read; every field is taken exactly once and none may be left.
pub(crate) struct MapReader {
    fields: Vec<(String, Value)>,
}

/// Encodes a map with its keys in bytewise order of their encoding: shorter keys first, then alphabetical.
pub(crate) fn encode_map(mut fields: Vec<(&str, Value)>) -> Vec<u8> {
    fields.sort_by(|(one, _), (other, _)| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    let map = fields.into_iter().map(|(key, value)| (Value::Text(key.to_owned()), value)).collect();
    let mut bytes = Vec::new();
    ciborium::into_writer(&Value::Map(map), &mut bytes).expect("writing to memory does not fail");
    bytes
}

impl MapReader {
    /// `None` where the bytes are not one map with text keys, or more than that.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value: Value = ciborium::from_reader(&mut rest).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let fields = value.into_map().ok()?;
        let fields =
            fields.into_iter().map(|(key, value)| Some((key.into_text().ok()?, value))).collect::<Option<_>>()?;
        Some(Self { fields })
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        let place = self.fields.iter().position(|(known, _)| known == key)?;
        Some(self.fields.swap_remove(place).1)
    }

    pub(crate) fn bytes<const N: usize>(&mut self, key: &str) -> Option<[u8; N]> {
        self.take(key)?.into_bytes().ok()?.try_into().ok()
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key)?.into_text().ok()
    }

    pub(crate) fn unsigned(&mut self, key: &str) -> Option<u64> {
        unsigned(self.take(key)?)
    }

    pub(crate) fn signed(&mut self, key: &str) -> Option<i64> {
        signed(self.take(key)?)
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key)?.into_bool().ok()
    }

    /// The outer `None` is a missing or ill-typed field, the inner one is CBOR's null.
    pub(crate) fn nullable<T>(&mut self, key: &str, read: impl FnOnce(Value) -> Option<T>) -> Option<Option<T>> {
        let value = self.take(key)?;
        if value.is_null() { Some(None) } else { read(value).map(Some) }
    }
}

pub(crate) fn unsigned(value: Value) -> Option<u64> {
    value.into_integer().ok()?.try_into().ok()
}

pub(crate) fn signed(value: Value) -> Option<i64> {
    value.into_integer().ok()?.try_into().ok()
}

pub(crate) fn array<const N: usize>(value: Value) -> Option<[Value; N]> {
    value.into_array().ok()?.try_into().ok()
}

pub(crate) fn digest(value: Value) -> Option<snaptrak_domain::Sha256Digest> {
    Some(snaptrak_domain::Sha256Digest(value.into_bytes().ok()?.try_into().ok()?))
}
