//! The folders of versions on this device, and the room that they may take.

use super::activation::{Registry, RegistryError};
use super::state::Because;
use std::{fs, io, path::Path};

/// Room for all versions together where the app does not say: some thirty versions of today's models.
pub const QUOTA_BYTES: u64 = 1 << 30;

/// Folders that are looked at; more than these are nothing that this registry made.
const FOLDERS_MAX: usize = 1_000;

/// A version on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// In use.
    pub active: bool,
    /// In use before the active one.
    pub previous: bool,
    /// Why it was refused, if it was the last that was.
    pub refused: Option<Because>,
}

impl Registry {
    /// The versions on this device, oldest first.
    pub fn versions(&self) -> Result<Vec<Version>, RegistryError> {
        let state = self.state();
        let is = |confirmed: Option<super::state::Confirmed>, version| {
            confirmed.is_some_and(|confirmed| confirmed.version == version)
        };
        let mut versions = Vec::new();
        for (version, bytes) in folders(&self.options().folder).map_err(RegistryError::io("list the versions"))? {
            versions.push(Version {
                version,
                bytes,
                active: is(state.active, version),
                previous: is(state.previous, version),
                refused: state.refused.filter(|refused| refused.version == version).map(|refused| refused.because),
            });
        }
        Ok(versions)
    }

    /// Removes the oldest versions until `bytes` more fit into the quota; never the active one or the one before.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), RegistryError> {
        let versions = self.versions()?;
        let stays = |version: &Version| self.state().keeps(version.version);
        let sum = |bytes: u64, version: &Version| bytes.saturating_add(version.bytes);
        let quota_bytes = self.options().quota_bytes;
        let kept_bytes = versions.iter().filter(|version| stays(version)).fold(bytes, sum);
        if kept_bytes > quota_bytes && bytes > 0 {
            return Err(RegistryError::OverQuota { bytes, quota_bytes });
        }
        let mut total = versions.iter().fold(bytes, sum);
        for version in versions.iter().filter(|version| !stays(version)) {
            if total <= quota_bytes {
                break;
            }
            self.disk()
                .remove_folder(&self.version_folder(version.version))
                .map_err(RegistryError::io("remove an old version"))?;
            total -= version.bytes;
        }
        Ok(())
    }
}

fn folders(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries.take(FOLDERS_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| Some((name, name.parse::<u64>().ok()?)));
        // A number has one spelling: `007` is no version's folder.
        let Some((_, version)) = number.filter(|(name, version)| *name == version.to_string()) else { continue };
        found.push((version, bytes_of(&entry.path())?));
    }
    found.sort_unstable();
    Ok(found)
}

fn bytes_of(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0_u64, |sum, entry| Ok(sum.saturating_add(entry?.metadata()?.len())))
}
