//! Several small secrets as one, to be sealed in one cell: each field with its length (u32, big-endian) before it.

use crate::StoreError;
use snaptrak_domain::{Secret, UnixMs};

const DAMAGED: StoreError = StoreError::Damaged { what: "sealed cell" };

/// Joins fields.
pub(crate) fn join(fields: &[&[u8]]) -> Result<Secret, StoreError> {
    let length = fields.iter().map(|field| field.len() + 4).sum::<usize>();
    // With its full capacity from the start: a buffer that grows leaves copies behind.
    let mut joined = Vec::with_capacity(length);
    for field in fields {
        let field_bytes = u32::try_from(field.len()).map_err(|_| StoreError::Refused { code: "too_large" })?;
        joined.extend_from_slice(&field_bytes.to_be_bytes());
        joined.extend_from_slice(field);
    }
    Ok(Secret::new(joined))
}

/// Takes exactly `COUNT` fields apart.
pub(crate) fn split<const COUNT: usize>(joined: &Secret) -> Result<[Secret; COUNT], StoreError> {
    let mut rest = joined.expose();
    let mut fields = Vec::with_capacity(COUNT);
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
        let (field, tail) = tail.split_at_checked(length).ok_or(DAMAGED)?;
        fields.push(Secret::new(field.to_vec()));
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(DAMAGED);
    }
    fields.try_into().map_err(|_| DAMAGED)
}

/// A wall time as a field.
pub(crate) fn time_field(at: UnixMs) -> [u8; 8] {
    at.0.to_be_bytes()
}

/// The wall time in a field.
pub(crate) fn time_of(field: &Secret) -> Result<UnixMs, StoreError> {
    field.expose().try_into().map(|bytes| UnixMs(i64::from_be_bytes(bytes))).map_err(|_| DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_and_nothing_else_is_taken_for_fields() {
        let joined = join(&[b"first", b"", b"third"]).unwrap();
        let fields: [Secret; 3] = split(&joined).unwrap();
        assert_eq!(fields.map(|field| field.expose().to_vec()), [b"first".to_vec(), vec![], b"third".to_vec()]);
        assert!(split::<2>(&joined).is_err());
        for length in 1..joined.expose().len() {
            assert!(split::<3>(&Secret::new(joined.expose()[..length].to_vec())).is_err());
        }
    }
}
