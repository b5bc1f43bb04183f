//! Bringing one sealed piece over: checked against its envelope, linked where that is possible, copied and synced elsewhere.

use crate::{StoreError, error::is_full, layout};
use ring::digest::{Context, SHA256};
use snaptrak_seal::PieceEntry;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 18;

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is there, every byte as it was sealed.
    Whole,
    /// There is no such file.
    Missing,
    /// Its bytes are not those that were sealed; they were brought over as they are.
    Damaged,
    /// The disk does not give it.
    Unreadable,
}

/// Checks a piece's sealed bytes and puts them into the new folder.
pub(super) fn piece(from: &Path, to: &Path, entry: &PieceEntry) -> Result<Placed, StoreError> {
    // An earlier run may have brought it.
    if is_sealed_as(to, entry).unwrap_or(false) {
        return Ok(Placed::Whole);
    }
    match from.symlink_metadata() {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Ok(Placed::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Placed::Missing),
        Err(_) => return Ok(Placed::Unreadable),
    }
    let Ok(whole) = is_sealed_as(from, entry) else { return Ok(Placed::Unreadable) };
    if link_or_copy(from, to)? {
        Ok(if whole { Placed::Whole } else { Placed::Damaged })
    } else {
        Ok(Placed::Unreadable)
    }
}

/// Copies a file that someone may write to later; whether the old one could be read.
pub(super) fn copy(from: &Path, to: &Path) -> Result<bool, StoreError> {
    remove(to)?;
    let Ok(mut source) = File::open(from) else { return Ok(false) };
    let mut target = layout::create_file(to)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                target.write_all(&buffer[..count]).map_err(|error| StoreError::io("write a piece", error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                remove(to)?;
                return Ok(false);
            }
        }
    }
    target.sync_all().map_err(|error| StoreError::io("sync a piece", error))?;
    Ok(true)
}

fn link_or_copy(from: &Path, to: &Path) -> Result<bool, StoreError> {
    remove(to)?;
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => Err(StoreError::Full),
        // Another file system, one without links, or a file of another owner.
        Err(_) => copy(from, to),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("replace a file", error)),
    }
}

/// Whether a file has the length and digest that the envelope says.
fn is_sealed_as(path: &Path, entry: &PieceEntry) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != entry.sealed_bytes {
        return Ok(false);
    }
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => digest.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digest.finish().as_ref() == entry.sealed_sha256.as_bytes())
}
