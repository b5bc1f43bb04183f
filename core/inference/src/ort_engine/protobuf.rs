//! Protocol buffers on the wire: fields one after another, each of which must end within what holds it.
//!
//! Refuses to know what a field means. Reads nothing twice and takes no memory.

/// The longest number: seven bits a byte, of 64.
const NUMBER_BYTES_MAX: usize = 10;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    /// Eight or four bytes, whatever they mean.
    Fixed,
    /// A text, bytes, a message, or numbers side by side.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], &'static str> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Fixed => Err("a field is of another kind than it should be"),
        }
    }

    pub(super) fn number(self) -> Result<u64, &'static str> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) | Self::Fixed => Err("a field is of another kind than it should be"),
        }
    }
}

/// The fields of a message, with their numbers. Ends after the first error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), &'static str> {
        let key = number(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut self.0)?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = number(&mut self.0)?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| "a field ends outside the file")?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err("a field is of a kind that there is not"),
        };
        match key >> 3 {
            0 => Err("a field has no number"),
            number => Ok((number, value)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("a field ends outside the file")?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Numbers side by side.
pub(super) fn numbers(mut bytes: &[u8]) -> impl Iterator<Item = Result<u64, &'static str>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let number = number(&mut bytes);
        if number.is_err() {
            bytes = &[];
        }
        Some(number)
    })
}

fn number(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(NUMBER_BYTES_MAX) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Ok(number);
        }
    }
    Err("a number does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_what_is_cut_off_is_an_error() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4];
        let read: Vec<_> = Fields(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [(1, Value::Number(150)), (2, Value::Bytes(b"hi")), (3, Value::Fixed)]);
        for length in [1, 2, 4, 5, 6, 8, 11] {
            assert!(Fields(&bytes[..length]).any(|field| field.is_err()), "{length}");
        }
    }

    #[test]
    fn numbers_without_an_end_groups_and_absurd_lengths_are_errors() {
        for bytes in
            [&[0xff; 11][..], &[0x0b], &[0x00, 0x01], &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert!(Fields(bytes).next().unwrap().is_err());
        }
    }
}
