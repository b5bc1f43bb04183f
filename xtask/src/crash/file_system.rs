//! A model of a file system that keeps its promises and no more: what was synced is there after a power cut, of the rest any
//! part may be.
//!
//! Owns: names and contents, what of them is durable, and what a cut leaves. A sync of a file makes its bytes durable, not its
//! name; a sync of a folder makes the names in it durable. A rename is never seen half done. Whatever was not synced is there
//! or not, each operation by itself, in any mixture; a write can also be there in part, sector by sector. Real file systems
//! keep more (ext4 in its usual mode brings names in order); a program that is right here is right on all of them.
//! The source of the rules: POSIX.1-2024 fsync and rename; Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::ground::Chance;
use crate::error::{AtPath, Result};

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// One thing that a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// Bytes at an offset of a file.
    Write { path: String, offset: usize, bytes: Vec<u8> },
    /// Another length.
    Truncate { path: String, bytes: usize },
    /// A new file.
    Create { path: String },
    /// A new folder.
    MakeFolder { path: String },
    /// Another name.
    Rename { from: String, to: String },
    /// A name that goes.
    Remove { path: String },
    /// A file or a folder is synced.
    Sync { path: String },
}

type Id = usize;

/// The root folder.
const ROOT: Id = 0;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { bytes: usize },
}

/// A change of names, and the folders whose sync makes it durable.
#[derive(Debug, Clone)]
struct Renaming {
    /// The name that goes.
    from: Option<(Id, String)>,
    /// The name that comes, and what it names.
    to: Option<(Id, String, Id)>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    is_folder: bool,
    /// Names as programs see them.
    names: BTreeMap<String, Id>,
    durable_names: BTreeMap<String, Id>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// The model.
#[derive(Debug, Clone)]
pub(super) struct FileSystem {
    nodes: Vec<Node>,
    renamings: Vec<Renaming>,
}

impl FileSystem {
    /// A folder with nothing in it, itself durable.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node { is_folder: true, ..Node::default() }], renamings: Vec::new() }
    }

    /// Does what the program did. What it did to something that has no name any more is of no interest.
    pub(super) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { path, offset, bytes } => {
                self.change(path, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Operation::Truncate { path, bytes } => self.change(path, Change::Truncate { bytes: *bytes }),
            Operation::Create { path } => self.add(path, false),
            Operation::MakeFolder { path } => self.add(path, true),
            Operation::Rename { from, to } => {
                if let (Some(from), Some((to_folder, to_name))) = (self.place(from), self.place(to))
                    && let Some(id) = self.nodes[from.0].names.remove(&from.1)
                {
                    self.nodes[to_folder].names.insert(to_name.clone(), id);
                    self.renamings.push(Renaming { from: Some(from), to: Some((to_folder, to_name, id)) });
                }
            }
            Operation::Remove { path } => {
                if let Some((folder, name)) = self.place(path) {
                    self.nodes[folder].names.remove(&name);
                    self.renamings.push(Renaming { from: Some((folder, name)), to: None });
                }
            }
            Operation::Sync { path } => {
                if let Some(id) = self.find(path) {
                    self.sync(id);
                }
            }
        }
    }

    fn find(&self, path: &str) -> Option<Id> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |folder, name| self.nodes[folder].names.get(name).copied())
    }

    /// The folder and the name of a path.
    fn place(&self, path: &str) -> Option<(Id, String)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.find(folder)?, name.to_owned()))
    }

    fn add(&mut self, path: &str, is_folder: bool) {
        let Some((folder, name)) = self.place(path) else { return };
        let id = self.nodes.len();
        self.nodes.push(Node { is_folder, ..Node::default() });
        self.nodes[folder].names.insert(name.clone(), id);
        self.renamings.push(Renaming { from: None, to: Some((folder, name, id)) });
    }

    fn change(&mut self, path: &str, change: Change) {
        if let Some(id) = self.find(path) {
            self.nodes[id].unsynced.push(change);
        }
    }

    fn sync(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        for change in std::mem::take(&mut node.unsynced) {
            change.apply(&mut node.durable);
        }
        let (durable, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.renamings).into_iter().partition(|renaming| renaming.concerns(id));
        self.renamings = left;
        for renaming in durable {
            self.make_durable(renaming);
        }
    }

    fn make_durable(&mut self, renaming: Renaming) {
        if let Some((folder, name)) = renaming.from {
            self.nodes[folder].durable_names.remove(&name);
        }
        if let Some((folder, name, id)) = renaming.to {
            self.nodes[folder].durable_names.insert(name, id);
        }
    }

    /// What is there when the power comes back: each unsynced operation with one chance in `one_of`, none for 0.
    pub(super) fn cut(&self, chance: &mut Chance, one_of: u64) -> Self {
        let mut left = self.clone();
        for renaming in std::mem::take(&mut left.renamings) {
            if one_of > 0 && chance.below(one_of) == 0 {
                left.make_durable(renaming);
            }
        }
        for node in &mut left.nodes {
            for change in std::mem::take(&mut node.unsynced) {
                if one_of > 0 && chance.below(one_of) == 0 {
                    change.apply_torn(&mut node.durable, chance);
                }
            }
        }
        left
    }

    /// Writes what is durable into an empty folder.
    pub(super) fn write_to(&self, folder: &Path) -> Result<()> {
        self.write_folder(ROOT, folder)
    }

    fn write_folder(&self, id: Id, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).at(folder)?;
        for (name, id) in &self.nodes[id].durable_names {
            let path = folder.join(name);
            if self.nodes[*id].is_folder {
                self.write_folder(*id, &path)?;
            } else {
                fs::write(&path, &self.nodes[*id].durable).at(&path)?;
            }
        }
        Ok(())
    }
}

impl Renaming {
    fn concerns(&self, folder: Id) -> bool {
        self.from.as_ref().is_some_and(|(id, _)| *id == folder)
            || self.to.as_ref().is_some_and(|(id, ..)| *id == folder)
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Truncate { bytes } => content.resize(*bytes, 0),
        }
    }

    /// The same, or a write of which only some sectors came to the medium.
    fn apply_torn(&self, content: &mut Vec<u8>, chance: &mut Chance) {
        let Self::Write { offset, bytes } = self else { return self.apply(content) };
        if chance.below(4) > 0 {
            return self.apply(content);
        }
        let mut at = 0;
        while at < bytes.len() {
            let end = ((offset + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
            let end = end.min(bytes.len());
            if chance.below(2) == 0 {
                put(content, offset + at, &bytes[at..end]);
            }
            at = end;
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn path(name: &str) -> String {
        name.to_owned()
    }

    fn write(name: &str, offset: usize, bytes: &[u8]) -> Operation {
        Operation::Write { path: path(name), offset, bytes: bytes.to_vec() }
    }

    fn after(operations: &[Operation], one_of: u64) -> tempfile::TempDir {
        let mut model = FileSystem::new();
        operations.iter().for_each(|operation| model.apply(operation));
        let folder = tempfile::tempdir().unwrap();
        model.cut(&mut Chance::new(1), one_of).write_to(folder.path()).unwrap();
        folder
    }

    /// A file that is replaced as a careful program does it.
    fn replaced() -> Vec<Operation> {
        vec![
            Operation::Create { path: path("a") },
            write("a", 0, b"old"),
            Operation::Sync { path: path("a") },
            Operation::Sync { path: path("") },
            Operation::Create { path: path("a.new") },
            write("a.new", 0, b"newer"),
            Operation::Sync { path: path("a.new") },
            Operation::Rename { from: path("a.new"), to: path("a") },
        ]
    }

    #[test]
    fn what_was_synced_is_there_and_the_rest_may_be_gone() {
        let folder = after(&replaced(), 0);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
        assert!(!folder.path().join("a.new").exists());
        let folder = after(&replaced(), 1);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"newer");
        let mut whole = replaced();
        whole.push(Operation::Sync { path: path("") });
        assert_eq!(fs::read(after(&whole, 0).path().join("a")).unwrap(), b"newer");
    }

    #[test]
    fn a_file_without_a_durable_name_is_gone_whatever_was_synced_of_it() {
        let unnamed =
            [Operation::Create { path: path("a") }, write("a", 0, b"bytes"), Operation::Sync { path: path("a") }];
        assert!(!after(&unnamed, 0).path().join("a").exists());
    }

    #[test]
    fn a_folder_that_moves_takes_its_files_along() {
        let moved = [
            Operation::MakeFolder { path: path("in") },
            Operation::MakeFolder { path: path("out") },
            Operation::MakeFolder { path: path("in/x") },
            Operation::Create { path: path("in/x/a") },
            write("in/x/a", 2, b"z"),
            Operation::Sync { path: path("in/x/a") },
            Operation::Sync { path: path("in/x") },
            Operation::Sync { path: path("in") },
            Operation::Sync { path: path("") },
            Operation::Rename { from: path("in/x"), to: path("out/x") },
        ];
        assert_eq!(fs::read(after(&moved, 0).path().join("in/x/a")).unwrap(), b"\0\0z");
        let synced: Vec<_> = moved.into_iter().chain([Operation::Sync { path: path("out") }]).collect();
        let folder = after(&synced, 0);
        assert!(!folder.path().join("in/x").exists());
        assert_eq!(fs::read(folder.path().join("out/x/a")).unwrap(), b"\0\0z");
    }
}
