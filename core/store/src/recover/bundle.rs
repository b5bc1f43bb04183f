//! A bundle: everything of a store's folder that the organisation's recovery key can open, in one tar file.
//!
//! Making one needs no key: `store.json`, the journal, envelopes and pieces go in as they lie, all of them sealed. Database,
//! keyset and lock stay out. Unpacking one takes nothing for granted: only names that a store could have, only plain files, each
//! no longer than its kind can be, none twice; what is longer than the file itself cannot come out of it.

use super::{
    report::{Findings, Unreadable, UnreadableCode},
    source::Source,
    tar,
};
use crate::{
    StoreError,
    journal::Line,
    layout::{self, Layout},
};
use snaptrak_domain::{AssetId, CaptureId};
use snaptrak_seal::{UntrustedEnvelope, envelope::ENVELOPE_BYTES_MAX, piece::PIECE_SEALED_BYTES_MAX};
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

const STORE_FILE_BYTES_MAX: u64 = 4096;
/// As recovery reads it.
const JOURNAL_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What may follow a hyphen in the name of a sibling folder that an import unpacks into.
const UNPACKED: &str = "unpacked";
/// Stands in a folder that an import has made, so that another import may remove it.
const UNPACKING: &str = "unpacking";

/// What went into a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleReport {
    /// Captures whose envelope is in it.
    pub captures: u64,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// What could not be read and is not in it.
    pub unreadable: Vec<Unreadable>,
}

/// Writes a bundle of the store in `from`, which is left as it is.
pub fn export_bundle(from: &Path, writer: &mut dyn Write) -> Result<BundleReport, StoreError> {
    let source = Source::open(from)?;
    let mut found = Findings::default();
    let mut bundle = Bundle { source: &source, writer, captures: BTreeSet::new(), bytes: 0 };
    bundle.add(&source.layout().store_file(), STORE_FILE_BYTES_MAX, &mut found)?;
    for file in source.journal_files(&mut found) {
        if let Some(content) = bundle.add(&file, JOURNAL_FILE_BYTES_MAX, &mut found)? {
            bundle.count_notes(&content);
        }
    }
    for asset in source.assets(&mut found) {
        let envelope = asset.path.join(layout::ENVELOPE_NAME);
        if let Some(content) = bundle.add(&envelope, ENVELOPE_BYTES_MAX as u64, &mut found)? {
            bundle.count(&content);
        }
        for piece in pieces(&asset.path) {
            bundle.add(&piece, PIECE_SEALED_BYTES_MAX, &mut found)?;
        }
    }
    let (captures, bytes) = (bundle.captures.len() as u64, bundle.bytes);
    tar::end(writer).map_err(write_failed)?;
    Ok(BundleReport { captures, bytes, unreadable: found.take_unreadable() })
}

struct Bundle<'a> {
    source: &'a Source,
    writer: &'a mut dyn Write,
    captures: BTreeSet<CaptureId>,
    bytes: u64,
}

impl Bundle<'_> {
    /// Adds a file, and hands out its content; nothing where it is not there or cannot be read.
    fn add(&mut self, path: &Path, bytes_max: u64, found: &mut Findings) -> Result<Option<Vec<u8>>, StoreError> {
        let name = self.source.relative(path);
        let plain = path.symlink_metadata().is_ok_and(|file| file.is_file());
        match layout::read_small(path, bytes_max, "file of a bundle") {
            Ok(Some(content)) if plain && kind_of(&name).is_some() => {
                tar::write(self.writer, &name, &content).map_err(write_failed)?;
                self.bytes += content.len() as u64;
                Ok(Some(content))
            }
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(_) => {
                found.unreadable(name, UnreadableCode::Unreadable);
                Ok(None)
            }
        }
    }

    /// Nobody vouches for what an envelope claims; it is good enough for a count.
    fn count(&mut self, envelope: &[u8]) {
        self.captures.extend(UntrustedEnvelope::parse(envelope).ok().map(|envelope| envelope.claims().capture_id));
    }

    fn count_notes(&mut self, journal: &[u8]) {
        for line in journal.split(|byte| *byte == b'\n') {
            if let Some(Line::Note { envelope, .. }) = Line::parse(line) {
                self.count(envelope.as_bytes());
            }
        }
    }
}

/// The pieces in an asset's folder, in order.
fn pieces(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut pieces: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pieces.retain(|path| path.extension().is_some_and(|extension| extension == "piece"));
    pieces.sort();
    pieces
}

fn write_failed(error: std::io::Error) -> StoreError {
    StoreError::io("write a bundle", error)
}

/// A bundle that was unpacked beside the store that is to be made of it.
pub struct Unpacked {
    folder: PathBuf,
    /// The file ended before the archive did: the end of it is missing.
    pub torn: bool,
}

impl Unpacked {
    /// Where it lies: what recovery reads.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes it once it was recovered.
    pub fn remove(self) -> Result<(), StoreError> {
        fs::remove_dir_all(&self.folder).map_err(|error| StoreError::io("remove what was unpacked", error))
    }
}

/// Unpacks a bundle into a folder beside `into`, in place of what an interrupted import left there.
pub fn unpack_bundle(reader: &mut dyn Read, into: &Path) -> Result<Unpacked, StoreError> {
    let mut name = into.file_name().ok_or(StoreError::NotAStore)?.to_owned();
    name.push(format!(".{UNPACKED}"));
    let folder = into.with_file_name(name);
    // Looked at before gigabytes are unpacked for nothing; recovery looks again under the lock.
    refuse_taken(into)?;
    if folder.join(UNPACKING).exists() {
        fs::remove_dir_all(&folder).map_err(|error| StoreError::io("remove what was unpacked", error))?;
    } else if folder.exists() {
        return Err(StoreError::NotEmpty);
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| StoreError::io("make a folder", error))?;
    }
    layout::create_folder(&folder)?;
    layout::replace_file(&folder.join(UNPACKING), b"")?;
    match unpack(reader, &folder) {
        Ok(torn) => Ok(Unpacked { folder, torn }),
        Err(error) => {
            // What was unpacked of it serves nobody, and the bundle is still there.
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(%error, "a part of a bundle could not be removed");
            }
            Err(error)
        }
    }
}

/// A folder that holds anything but what an interrupted import left there.
fn refuse_taken(into: &Path) -> Result<(), StoreError> {
    let layout = Layout::new(into);
    let is_ours = layout.recovering().exists() || layout.recovered().exists();
    match fs::read_dir(into) {
        Ok(mut entries) => {
            let taken = entries.next().is_some() && !is_ours;
            if taken { Err(StoreError::NotEmpty) } else { Ok(()) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(StoreError::NotEmpty),
        Err(error) => Err(StoreError::io("list the folder", error)),
    }
}

/// Unpacks every file; whether the archive is cut short.
fn unpack(reader: &mut dyn Read, folder: &Path) -> Result<bool, StoreError> {
    let refused = || StoreError::Refused { code: "not_a_bundle" };
    let mut first = true;
    loop {
        let (name, bytes) = match tar::next(reader)? {
            tar::Next::File { name, bytes } => (name, bytes),
            tar::Next::End => return Ok(false),
            // Not one whole header: not half a bundle, but something else.
            tar::Next::Torn if first => return Err(refused()),
            tar::Next::Torn => return Ok(true),
        };
        first = false;
        let kind = kind_of(&name).ok_or_else(refused)?;
        if bytes > kind.bytes_max() {
            return Err(refused());
        }
        let Some(content) = tar::content(reader, bytes)? else { return Ok(true) };
        let path = folder.join(&name);
        let mut parents: Vec<&Path> = path.ancestors().skip(1).take_while(|parent| *parent != folder).collect();
        parents.reverse();
        parents.into_iter().try_for_each(layout::create_folder)?;
        // A second file of the same name is refused, not merged.
        if path.exists() {
            return Err(refused());
        }
        layout::create_file(&path)?.write_all(&content).map_err(|error| StoreError::io("unpack a bundle", error))?;
    }
}

/// What a file of a bundle is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Store,
    Journal,
    Envelope,
    Piece,
}

impl FileKind {
    fn bytes_max(self) -> u64 {
        match self {
            Self::Store => STORE_FILE_BYTES_MAX,
            Self::Journal => JOURNAL_FILE_BYTES_MAX,
            Self::Envelope => ENVELOPE_BYTES_MAX as u64,
            Self::Piece => PIECE_SEALED_BYTES_MAX,
        }
    }
}

/// The kind of a name, spelled exactly as a store would; `None`: no store has such a file.
fn kind_of(name: &str) -> Option<FileKind> {
    let layout = Layout::new(Path::new(""));
    let parts: Vec<&str> = name.split('/').collect();
    let digits = |text: &str, ending: &str| {
        text.strip_suffix(ending).is_some_and(|number| number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let in_asset = |file: &str| match file {
        layout::ENVELOPE_NAME => Some(FileKind::Envelope),
        file if digits(file, ".piece") => Some(FileKind::Piece),
        _ => None,
    };
    match parts.as_slice() {
        ["store.json"] => Some(FileKind::Store),
        ["journal", file] if digits(file, ".jsonl") => Some(FileKind::Journal),
        ["incoming", asset, file] => {
            let asset_id: AssetId = asset.parse().ok()?;
            in_asset(file).filter(|_| asset_id.to_string() == *asset)
        }
        ["assets", _, asset, file] => {
            let asset_id: AssetId = asset.parse().ok()?;
            let place = layout.settled_asset(asset_id).join(file);
            in_asset(file).filter(|_| place.to_str() == Some(name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_store_are_taken() {
        let id = "0193e6f6-0000-7000-8000-0000000000ab";
        for name in [
            "store.json".to_owned(),
            "journal/00000001.jsonl".to_owned(),
            format!("assets/ab/{id}/envelope.json"),
            format!("assets/ab/{id}/00000012.piece"),
            format!("incoming/{id}/00000000.piece"),
        ] {
            assert!(kind_of(&name).is_some(), "{name}");
        }
        for name in [
            "",
            "/store.json",
            "../store.json",
            "./store.json",
            "journal/../store.json",
            "journal/1.jsonl",
            "journal//00000001.jsonl",
            "keyset/background.json",
            "database/store.sqlite3",
            "lock",
            &format!("assets/ac/{id}/envelope.json"),
            &format!("assets/ab/{}/envelope.json", id.to_uppercase()),
            &format!("assets/ab/{id}/../envelope.json"),
            &format!("assets/ab/{id}/envelope.json/"),
            "assets/ab/../envelope.json",
        ] {
            assert_eq!(kind_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_hostile_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let unpack = |bytes: &[u8]| unpack_bundle(&mut &*bytes, &folder.path().join("store"));
        let refused =
            |bytes: &[u8]| matches!(unpack(bytes).map(|_| ()), Err(StoreError::Refused { code: "not_a_bundle" }));
        let archive = |name: &str, content: &[u8]| {
            let mut bytes = Vec::new();
            tar::write(&mut bytes, name, content).unwrap();
            tar::end(&mut bytes).unwrap();
            bytes
        };
        assert!(refused(b""));
        assert!(refused(&[b'x'; 2048]));
        assert!(refused(&archive("../outside", b"x")));
        assert!(refused(&archive("/absolute", b"x")));
        assert!(refused(&archive("store.json", &[0; 5000])), "longer than such a file can be");
        let twice = [&archive("store.json", b"{}")[..1024], &archive("store.json", b"{}")].concat();
        assert!(refused(&twice));
        // A link, whose header is otherwise in order.
        let mut link = archive("store.json", b"");
        link[156] = b'2';
        let sum: u64 =
            link[..512].iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
        link[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(refused(&link));
        assert!(!folder.path().join("outside").exists());
        let whole = unpack(&archive("store.json", b"{}")).unwrap();
        assert!(!whole.torn && whole.folder().join("store.json").exists());
        whole.remove().unwrap();
        assert!(unpack(&archive("store.json", b"{}")[..600]).unwrap().torn);
    }
}
