//! FlatBuffers as they lie in a file: tables, vectors and texts, each of which must lie within it.
//!
//! Refuses to know what a table means. The libraries check as much, and then follow what they have read: the meaning is
//! `file_check.rs`'s. Takes no memory; a file that leads to the same tables again and again ends at [`TABLES_MAX`].

use std::cell::Cell;

/// Tables that are visited at most, as the format's own verifier has it.
const TABLES_MAX: usize = 1_000_000;
/// Of an offset, a length, and a table's way to its description.
const WORD: usize = 4;

pub(super) type Read<T> = Result<T, &'static str>;

const OUTSIDE: &str = "something lies outside the file";

/// A file with the number of tables that were visited in it.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: &'a [u8],
    visited: Cell<usize>,
}

impl<'a> Buffer<'a> {
    /// A file with this identifier behind its first offset.
    pub(super) fn new(bytes: &'a [u8], identifier: &[u8; 4]) -> Read<Self> {
        if bytes.get(WORD..2 * WORD) != Some(identifier) {
            return Err("it does not begin as such a file does");
        }
        Ok(Self { bytes, visited: Cell::new(0) })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn root(&self) -> Read<Table<'_>> {
        self.table(self.target(0)?)
    }

    /// Where the offset that stands at `at` leads.
    fn target(&self, at: usize) -> Read<usize> {
        let offset = u32::from_le_bytes(self.array(at)?);
        // One of zero would lead to itself.
        let target =
            usize::try_from(offset).ok().filter(|offset| *offset > 0).and_then(|offset| at.checked_add(offset));
        target.filter(|target| target % WORD == 0 && *target < self.bytes.len()).ok_or(OUTSIDE)
    }

    fn array<const N: usize>(&self, at: usize) -> Read<[u8; N]> {
        let end = at.checked_add(N).ok_or(OUTSIDE)?;
        self.bytes.get(at..end).and_then(|bytes| bytes.try_into().ok()).ok_or(OUTSIDE)
    }

    fn table(&self, at: usize) -> Read<Table<'_>> {
        self.visited.set(self.visited.get() + 1);
        if self.visited.get() > TABLES_MAX {
            return Err("it holds too many tables");
        }
        let back = i32::from_le_bytes(self.array(at)?);
        let description = i64::try_from(at).ok().and_then(|at| usize::try_from(at - i64::from(back)).ok());
        let description = description.filter(|place| place % 2 == 0).ok_or(OUTSIDE)?;
        let described = usize::from(u16::from_le_bytes(self.array(description)?));
        let length = usize::from(u16::from_le_bytes(self.array(description.checked_add(2).ok_or(OUTSIDE)?)?));
        let is_within =
            |from: usize, length: usize| from.checked_add(length).is_some_and(|end| end <= self.bytes.len());
        if described < WORD || described % 2 != 0 || length < WORD {
            return Err("a table is too short");
        }
        if !is_within(description, described) || !is_within(at, length) {
            return Err(OUTSIDE);
        }
        Ok(Table { buffer: self, at, length, description, described })
    }
}

/// A table that lies within the file, and so does its description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a Buffer<'a>,
    at: usize,
    length: usize,
    description: usize,
    described: usize,
}

impl<'a> Table<'a> {
    /// Where a field of `bytes` bytes lies; `None` if it has its default.
    fn place(&self, field: usize, bytes: usize) -> Read<Option<usize>> {
        let slot = WORD + 2 * field;
        if slot + 2 > self.described {
            return Ok(None);
        }
        let offset = usize::from(u16::from_le_bytes(self.buffer.array(self.description + slot)?));
        match offset {
            0 => Ok(None),
            _ if offset < WORD || offset + bytes > self.length => Err("a field lies outside its table"),
            _ => Ok(Some(self.at + offset)),
        }
    }

    fn number<const N: usize>(&self, field: usize) -> Read<Option<[u8; N]>> {
        self.place(field, N)?.map(|place| self.buffer.array(place)).transpose()
    }

    pub(super) fn u8(&self, field: usize) -> Read<u8> {
        Ok(self.number(field)?.map_or(0, u8::from_le_bytes))
    }

    pub(super) fn i8(&self, field: usize) -> Read<i8> {
        Ok(self.number(field)?.map_or(0, i8::from_le_bytes))
    }

    pub(super) fn i32(&self, field: usize) -> Read<i32> {
        Ok(self.number(field)?.map_or(0, i32::from_le_bytes))
    }

    pub(super) fn u32(&self, field: usize) -> Read<u32> {
        Ok(self.number(field)?.map_or(0, u32::from_le_bytes))
    }

    pub(super) fn u64(&self, field: usize) -> Read<u64> {
        Ok(self.number(field)?.map_or(0, u64::from_le_bytes))
    }

    pub(super) fn table(&self, field: usize) -> Read<Option<Table<'a>>> {
        let Some(place) = self.place(field, WORD)? else { return Ok(None) };
        self.buffer.table(self.buffer.target(place)?).map(Some)
    }

    /// The bytes of a vector of `N`-byte elements; none where there is no vector.
    fn vector<const N: usize>(&self, field: usize) -> Read<Option<&'a [[u8; N]]>> {
        let Some(place) = self.place(field, WORD)? else { return Ok(None) };
        let (elements, _) = self.buffer.elements(self.buffer.target(place)?)?;
        Ok(Some(elements))
    }

    /// Bytes side by side; `None` where there is no vector.
    pub(super) fn bytes(&self, field: usize) -> Read<Option<&'a [u8]>> {
        Ok(self.vector::<1>(field)?.map(<[[u8; 1]]>::as_flattened))
    }

    pub(super) fn i32s(&self, field: usize) -> Read<impl ExactSizeIterator<Item = i32> + Clone + use<'a>> {
        Ok(self.vector(field)?.unwrap_or_default().iter().copied().map(i32::from_le_bytes))
    }

    /// How many elements a vector has.
    pub(super) fn count<const N: usize>(&self, field: usize) -> Read<usize> {
        Ok(self.vector::<N>(field)?.unwrap_or_default().len())
    }

    /// Whether there is a text, which must end with a zero as the libraries rely on.
    pub(super) fn has_text(&self, field: usize) -> Read<bool> {
        let Some(place) = self.place(field, WORD)? else { return Ok(false) };
        let (_, end) = self.buffer.elements::<1>(self.buffer.target(place)?)?;
        if self.buffer.array(end)? == [0] { Ok(true) } else { Err("a text has no end") }
    }

    pub(super) fn tables(&self, field: usize) -> Read<Tables<'a>> {
        let Some(place) = self.place(field, WORD)? else {
            return Ok(Tables { buffer: self.buffer, first: 0, count: 0 });
        };
        let target = self.buffer.target(place)?;
        let (offsets, _) = self.buffer.elements::<WORD>(target)?;
        Ok(Tables { buffer: self.buffer, first: target + WORD, count: offsets.len() })
    }
}

impl<'a> Buffer<'a> {
    /// The elements of the vector at `at`, and where they end.
    fn elements<const N: usize>(&self, at: usize) -> Read<(&[[u8; N]], usize)> {
        let count = u32::from_le_bytes(self.array(at)?);
        let first = at + WORD;
        let end =
            usize::try_from(count).ok().and_then(|count| count.checked_mul(N)?.checked_add(first)).ok_or(OUTSIDE)?;
        let (elements, _) = self.bytes.get(first..end).ok_or(OUTSIDE)?.as_chunks();
        Ok((elements, end))
    }
}

/// A vector of tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    buffer: &'a Buffer<'a>,
    first: usize,
    count: usize,
}

impl<'a> Tables<'a> {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The table with this number.
    pub(super) fn get(self, index: usize) -> Option<Read<Table<'a>>> {
        let table = || self.buffer.table(self.buffer.target(self.first + index * WORD)?);
        (index < self.count).then(table)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Read<Table<'a>>> {
        (0..self.count).map_while(move |index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root whose field 0 is a vector with so many offsets, all of them to one empty table.
    fn one_table_many_times(count: usize) -> Vec<u8> {
        let short = |number: u16| number.to_le_bytes().to_vec();
        let word = |number: usize| (number as u32).to_le_bytes().to_vec();
        let leaf = 28 + WORD * count + WORD;
        let head = [word(16), b"TFL3".to_vec(), short(6), short(8), short(4), short(0), word(8), word(4), word(count)];
        let offsets = (0..count).flat_map(|index| word(leaf - (28 + WORD * index)));
        head.concat().into_iter().chain(offsets).chain(short(4)).chain(short(4)).chain(word(4)).collect()
    }

    fn visit(bytes: &[u8]) -> Read<usize> {
        let buffer = Buffer::new(bytes, b"TFL3")?;
        let tables = buffer.root()?.tables(0)?;
        tables.iter().try_fold(0, |count, table| table.map(|_| count + 1))
    }

    #[test]
    fn a_file_that_leads_to_the_same_table_again_and_again_ends() {
        assert_eq!(visit(&one_table_many_times(1_000)), Ok(1_000));
        visit(&one_table_many_times(TABLES_MAX)).unwrap_err();
    }

    #[test]
    fn what_is_cut_off_or_leads_outside_is_an_error() {
        let good = one_table_many_times(2);
        for length in 0..good.len() {
            visit(&good[..length]).unwrap_err();
        }
        // The root, its description, its field, the vector's length, an offset: each far outside.
        for at in [0, 8, 12, 16, 20, 24, 28] {
            let mut bad = good.clone();
            bad[at..at + 2].fill(0x7f);
            bad[at + 3] = 0x7f;
            visit(&bad).unwrap_err();
        }
    }
}
