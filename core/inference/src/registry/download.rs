//! The files of a version that have to come from the server, while they arrive in `downloads/`.
//!
//! Each has its digest for a name: `SHA256.part` while it arrives, `SHA256` once it is whole. So what has arrived is still of use
//! after a kill, to another version too, and no name of a manifest's is ever made before its bytes are known. Refuses to know who
//! fetches them. What no version wants any more is removed when the next one is asked for.

use super::activation::{Registry, RegistryError, Release};
use super::candidate::{Candidate, WantedFile};
use super::manifest::Manifest;
use super::staging::room;
use super::verify::check_file;
use snaptrak_domain::Sha256Digest;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

const DOWNLOADS: &str = "downloads";

/// A file that is nowhere on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingModel {
    /// By which it is asked for.
    pub sha256: Sha256Digest,
    /// Its length.
    pub bytes: u64,
    model_id: String,
}

/// The place of a file that arrives.
#[derive(Debug, Clone)]
pub struct ArrivingModel {
    folder: PathBuf,
    file: MissingModel,
}

impl Registry {
    /// The files of a release that are nowhere on this device, each once. Makes room for the release, and refuses one that this
    /// device cannot use or that does not fit: nothing of such a one is worth its download.
    pub fn missing(&self, release: &Release) -> Result<Vec<MissingModel>, RegistryError> {
        let candidate = self.candidate(release)?;
        if self.is_staged(release, &candidate) {
            return Ok(Vec::new());
        }
        self.make_room(room(release, &candidate))?;
        self.clear_downloads_but(&candidate);
        let mut missing: Vec<MissingModel> = Vec::new();
        for file in &candidate.files {
            let WantedFile { model_id, bytes, sha256, .. } = file;
            let is_here = check_file(&self.downloaded(sha256), model_id, *bytes, *sha256).is_ok();
            if is_here || missing.iter().any(|other| other.sha256 == *sha256) || self.elsewhere(file)?.is_some() {
                continue;
            }
            missing.push(MissingModel { sha256: *sha256, bytes: *bytes, model_id: model_id.clone() });
        }
        Ok(missing)
    }

    /// The place of a file of [`Registry::missing`].
    pub fn arriving(&self, file: &MissingModel) -> ArrivingModel {
        ArrivingModel { folder: self.downloads(), file: file.clone() }
    }

    /// Where a file lies that was downloaded whole.
    pub(super) fn downloaded(&self, sha256: &Sha256Digest) -> PathBuf {
        self.downloads().join(sha256.to_string())
    }

    /// Where another version or the app's package has the same bytes. What their manifests say is a hint; the digest decides.
    pub(super) fn elsewhere(&self, wanted: &WantedFile) -> Result<Option<PathBuf>, RegistryError> {
        let versions = self.versions()?.into_iter().map(|version| self.version_folder(version.version));
        let found = versions.chain(self.options().packaged.clone()).find_map(|folder| {
            let manifest = Manifest::read_bytes(&folder).ok()?;
            let has = Candidate::read(&manifest, self.options().device_id, &self.options().engines).ok()?;
            let same = |file: &&WantedFile| (file.bytes, file.sha256) == (wanted.bytes, wanted.sha256);
            let paths = has.files.iter().filter(same).map(|file| folder.join(&file.file));
            let is_it = |path: &PathBuf| check_file(path, &wanted.model_id, wanted.bytes, wanted.sha256).is_ok();
            paths.into_iter().find(is_it)
        });
        Ok(found)
    }

    /// Removes what was downloaded: the version has it.
    pub(super) fn clear_downloads(&self) {
        if let Err(error) = self.disk().remove_folder(&self.downloads()) {
            // Nothing depends on it: the next update tries again.
            tracing::warn!(%error, "downloaded models could not be cleared away");
        }
    }

    fn clear_downloads_but(&self, candidate: &Candidate) {
        let wanted = |name: &str| {
            let sha256 = name.strip_suffix(PART).unwrap_or(name).parse::<Sha256Digest>();
            sha256.is_ok_and(|sha256| candidate.files.iter().any(|file| file.sha256 == sha256))
        };
        for entry in fs::read_dir(self.downloads()).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(wanted) && fs::remove_file(entry.path()).is_err() {
                tracing::warn!("what was downloaded of other models could not be removed");
            }
        }
    }

    fn downloads(&self) -> PathBuf {
        self.options().folder.join(DOWNLOADS)
    }
}

/// What a file is called while it arrives, behind its digest.
const PART: &str = ".part";

impl ArrivingModel {
    /// Where to write it, and how many bytes an earlier attempt left there, always fewer than it has; `None` if it is whole
    /// already.
    pub fn target(&self) -> io::Result<Option<(PathBuf, u64)>> {
        if self.is_it(&self.whole()) || (held(&self.part())? == self.file.bytes && self.accept()?) {
            return Ok(None);
        }
        fs::create_dir_all(&self.folder)?;
        let part = OpenOptions::new().write(true).create(true).truncate(false).open(self.part())?;
        if part.metadata()?.len() >= self.file.bytes {
            part.set_len(0)?;
        }
        Ok(Some((self.part(), part.metadata()?.len())))
    }

    /// Bytes that have arrived.
    pub fn held_bytes(&self) -> u64 {
        let bytes = |path: &Path| held(path).unwrap_or(0);
        bytes(&self.whole()).max(bytes(&self.part()))
    }

    /// Whether what has arrived is the file. If so it is durable and stays; if not it is removed.
    pub fn accept(&self) -> io::Result<bool> {
        if !self.is_it(&self.part()) {
            self.discard()?;
            return Ok(false);
        }
        File::open(self.part())?.sync_all()?;
        fs::rename(self.part(), self.whole())?;
        File::open(&self.folder)?.sync_all()?;
        Ok(true)
    }

    /// Removes what has arrived so far.
    pub fn discard(&self) -> io::Result<()> {
        match fs::remove_file(self.part()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn is_it(&self, path: &Path) -> bool {
        check_file(path, &self.file.model_id, self.file.bytes, self.file.sha256).is_ok()
    }

    fn whole(&self) -> PathBuf {
        self.folder.join(self.file.sha256.to_string())
    }

    fn part(&self) -> PathBuf {
        self.folder.join(format!("{}{PART}", self.file.sha256))
    }
}

fn held(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        other => Ok(other?.len()),
    }
}
