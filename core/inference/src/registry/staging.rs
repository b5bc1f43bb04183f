//! Putting a version together in `incoming/`, and giving it its name once it is whole.

use super::activation::{MANIFEST_FILE, Registry, RegistryError, Release, SIGNED_FILE};
use super::candidate::{Candidate, WantedFile};
use super::verify::{VerifyError, check_file};
use std::{fs, path::Path};

const INCOMING: &str = "incoming";

/// Where a version's files come from.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    /// A folder that has them under their names.
    In(&'a Path),
    /// What was downloaded, and what other versions and the app's package have.
    OnThisDevice,
}

impl Registry {
    pub(super) fn is_staged(&self, release: &Release, candidate: &Candidate) -> bool {
        let folder = self.version_folder(release.accepted.version);
        let same = |name: &str, bytes: &[u8]| fs::read(folder.join(name)).is_ok_and(|found| found == bytes);
        same(MANIFEST_FILE, &release.manifest)
            && same(SIGNED_FILE, &release.signed)
            && candidate.verify(&folder).is_ok()
    }

    pub(super) fn stage(
        &self,
        release: &Release,
        candidate: &Candidate,
        files: Files<'_>,
    ) -> Result<(), RegistryError> {
        if let Files::In(from) = files {
            // Before anything is copied: what is damaged at its source costs no room.
            candidate.verify(from)?;
        }
        let version = release.accepted.version;
        self.make_room(room(release, candidate))?;
        let (root, incoming) = (&self.options().folder, self.options().folder.join(INCOMING));
        let (disk, copying) = (self.disk(), RegistryError::io("copy the models"));
        disk.remove_folder(&incoming).map_err(&copying)?;
        disk.create_folder(&incoming).map_err(&copying)?;
        for file in &candidate.files {
            self.go_on()?;
            let to = incoming.join(&file.file);
            match files {
                Files::In(from) => disk.copy(&from.join(&file.file), &to, file.bytes).map_err(&copying)?,
                Files::OnThisDevice => self.take_in(file, &to)?,
            }
        }
        disk.write(&incoming.join(MANIFEST_FILE), &release.manifest).map_err(&copying)?;
        disk.write(&incoming.join(SIGNED_FILE), &release.signed).map_err(&copying)?;
        disk.sync_folder(&incoming).map_err(&copying)?;
        // Again, on what will be used: the source may have changed meanwhile.
        candidate.verify(&incoming)?;
        let target = self.version_folder(version);
        // What lies there is not whole, or it would not be staged.
        disk.remove_folder(&target).map_err(&copying)?;
        disk.rename(&incoming, &target).map_err(&copying)?;
        disk.sync_folder(root).map_err(&copying)
    }

    /// A download gets a second name, so that it takes its room once and is still there after a kill; what another version has
    /// is copied, so that damage to the one is no damage to the other.
    fn take_in(&self, file: &WantedFile, to: &Path) -> Result<(), RegistryError> {
        let copying = RegistryError::io("copy the models");
        let downloaded = self.downloaded(&file.sha256);
        if check_file(&downloaded, &file.model_id, file.bytes, file.sha256).is_ok() {
            return self.disk().link(&downloaded, to, file.bytes).map_err(copying);
        }
        let missing = || VerifyError::Missing { model_id: file.model_id.clone() };
        let found = self.elsewhere(file)?.ok_or_else(missing)?;
        self.disk().copy(&found, to, file.bytes).map_err(copying)
    }
}

/// What a version takes on the disk.
pub(super) fn room(release: &Release, candidate: &Candidate) -> u64 {
    let texts = [&release.manifest, &release.signed];
    texts.iter().fold(candidate.bytes(), |sum, file| sum.saturating_add(file.len() as u64))
}
