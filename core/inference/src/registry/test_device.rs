//! What tests of the registry share: a device with a folder, its releases, and a disk that dies.

use super::activation::{Activated, InUse, Registry, RegistryError, RegistryOptions, Release, Source};
use super::candidate::Candidate;
use super::disk::{DeviceDisk, Disk};
use super::self_test::{SelfTest, SelfTestFailure};
use super::state::Accepted;
use super::versions::QUOTA_BYTES;
use serde_json::json;
use snaptrak_domain::{DeviceId, Sha256Digest, engine::EngineError};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

/// Does so many things and then nothing any more, as a process that was killed; the last one is half done.
pub(super) struct DyingDisk(pub(super) Arc<AtomicUsize>);

impl DyingDisk {
    /// Whether this step is the one in which it dies.
    fn dies(&self) -> io::Result<bool> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Err(io::Error::other("killed")) } else { Ok(left == 1) }
    }

    fn step(&self, whole: impl FnOnce() -> io::Result<()>, half: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.dies()? {
            half()?;
            return Err(io::Error::other("killed"));
        }
        whole()
    }
}

impl Disk for DyingDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| DeviceDisk.create_folder(path), || Ok(()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(|| DeviceDisk.write(path, bytes), || fs::write(path, &bytes[..bytes.len() / 2]))
    }

    fn copy(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()> {
        self.step(|| DeviceDisk.copy(from, to, bytes_max), || DeviceDisk.copy(from, to, bytes_max / 2))
    }

    fn link(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()> {
        self.step(|| DeviceDisk.link(from, to, bytes_max), || Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Atomic: it happened, and the process never knew.
        self.step(|| DeviceDisk.rename(from, to), || DeviceDisk.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| DeviceDisk.sync_folder(path), || Ok(()))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let one_file = || {
            let first = fs::read_dir(path).ok().and_then(|mut entries| entries.next());
            first.map_or(Ok(()), |entry| fs::remove_file(entry?.path()))
        };
        self.step(|| DeviceDisk.remove_folder(path), one_file)
    }
}

pub(super) struct Device {
    pub(super) folder: TempDir,
}

pub(super) fn shipped() -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/manifest.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn works(_: &Path, _: &Candidate) -> Result<(), SelfTestFailure> {
    Ok(())
}

pub(super) fn fails(_: &Path, candidate: &Candidate) -> Result<(), SelfTestFailure> {
    let model_id = candidate.manifest.models[0].id.clone();
    Err(EngineError::Model { model_id, detail: "it is not a model".to_owned() }.into())
}

impl Device {
    /// With packaged models.
    pub(super) fn new() -> Self {
        let device = Self { folder: tempfile::tempdir().unwrap() };
        device.package(0);
        device
    }

    /// Comes with other models from now on, as an app that was updated.
    pub(super) fn package(&self, version: u64) {
        let packaged = self.release(version).manifest;
        drop(fs::remove_dir_all(self.path("packaged")));
        fs::rename(self.path(&format!("from-{version}")), self.path("packaged")).unwrap();
        fs::write(self.path("packaged/manifest.json"), packaged).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release and, in `from-VERSION`, its files.
    pub(super) fn release(&self, version: u64) -> Release {
        let from = self.path(&format!("from-{version}"));
        fs::create_dir_all(&from).unwrap();
        let mut manifest = shipped();
        manifest["version"] = json!(version);
        for model in manifest["models"].as_array_mut().unwrap() {
            model["version"] = json!(version.to_string());
            model["variants"].as_array_mut().unwrap().truncate(1);
            let variant = &mut model["variants"][0];
            let bytes = format!("weights of {} in version {version}", variant["file"]).into_bytes();
            fs::write(from.join(variant["file"].as_str().unwrap()), &bytes).unwrap();
            variant["bytes"] = json!(bytes.len());
            variant["sha256"] = json!(hex(&bytes));
        }
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let accepted = Accepted { version, sha256: Sha256Digest([version as u8; 32]) };
        Release { accepted, manifest, signed: format!("signed {version}").into_bytes() }
    }

    pub(super) fn options(&self) -> RegistryOptions {
        RegistryOptions {
            folder: self.path("models"),
            packaged: Some(self.path("packaged")),
            device_id: DeviceId::from_bytes([9; 16]),
            engines: vec!["ort".to_owned()],
            quota_bytes: QUOTA_BYTES,
        }
    }

    pub(super) fn registry(&self) -> Registry {
        Registry::open(self.options()).unwrap()
    }

    pub(super) fn activate(&self, version: u64) -> Activated {
        self.try_activate(version, &works).unwrap()
    }

    pub(super) fn try_activate(&self, version: u64, test: &dyn SelfTest) -> Result<Activated, RegistryError> {
        let release = self.release(version);
        self.registry().activate(&release, &self.path(&format!("from-{version}")), test)
    }

    /// What a new process uses; `in_use` has compared every file.
    pub(super) fn source(&self) -> Source {
        let in_use = self.registry().in_use().unwrap();
        self.assert_whole(&in_use);
        in_use.source
    }

    pub(super) fn assert_whole(&self, in_use: &InUse) {
        let version = in_use.manifest.version;
        let wanted = match in_use.source {
            Source::Version(version) => version,
            Source::Packaged => 0,
        };
        assert_eq!(version, wanted);
        for model in &in_use.manifest.models {
            let file = fs::read_to_string(in_use.folder.join(&model.variants[0].file)).unwrap();
            assert!(file.ends_with(&format!(" in version {version}")), "{file}");
        }
    }
}
