//! Activation on a disk that fails at every step, and everything that must leave the version in use alone.

use super::activation::{Activated, InUse, Registry, RegistryError, RegistryOptions, Release, Source};
use super::candidate::Candidate;
use super::disk::{DeviceDisk, Disk};
use super::self_test::{SelfTest, SelfTestFailure};
use super::state::{Accepted, Because};
use super::verify::VerifyError;
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
struct DyingDisk(Arc<AtomicUsize>);

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

struct Device {
    folder: TempDir,
}

fn shipped() -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/manifest.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn works(_: &Path, _: &Candidate) -> Result<(), SelfTestFailure> {
    Ok(())
}

fn fails(_: &Path, candidate: &Candidate) -> Result<(), SelfTestFailure> {
    let model_id = candidate.manifest.models[0].id.clone();
    Err(EngineError::Model { model_id, detail: "it is not a model".to_owned() }.into())
}

impl Device {
    /// With packaged models.
    fn new() -> Self {
        let device = Self { folder: tempfile::tempdir().unwrap() };
        let packaged = device.release(0).manifest;
        fs::rename(device.path("from-0"), device.path("packaged")).unwrap();
        fs::write(device.path("packaged/manifest.json"), packaged).unwrap();
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release and, in `from-VERSION`, its files.
    fn release(&self, version: u64) -> Release {
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

    fn options(&self) -> RegistryOptions {
        RegistryOptions {
            folder: self.path("models"),
            packaged: Some(self.path("packaged")),
            device_id: DeviceId::from_bytes([9; 16]),
            engines: vec!["ort".to_owned()],
            quota_bytes: QUOTA_BYTES,
        }
    }

    fn registry(&self) -> Registry {
        Registry::open(self.options()).unwrap()
    }

    fn activate(&self, version: u64) -> Activated {
        self.try_activate(version, &works).unwrap()
    }

    fn try_activate(&self, version: u64, test: &dyn SelfTest) -> Result<Activated, RegistryError> {
        let release = self.release(version);
        self.registry().activate(&release, &self.path(&format!("from-{version}")), test)
    }

    /// What a new process uses; `in_use` has compared every file.
    fn source(&self) -> Source {
        let in_use = self.registry().in_use().unwrap();
        self.assert_whole(&in_use);
        in_use.source
    }

    fn assert_whole(&self, in_use: &InUse) {
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

#[test]
fn the_packaged_models_are_in_use_until_a_version_is_confirmed() {
    let device = Device::new();
    assert_eq!(device.source(), Source::Packaged);
    assert!(!device.path("models").exists(), "looking makes nothing");
    assert!(matches!(device.activate(1), Activated::Confirmed));
    assert_eq!(device.source(), Source::Version(1));
    assert_eq!(device.registry().newest().unwrap().version, 1);
    assert_eq!(device.registry().signed(1).unwrap(), b"signed 1");
    let nothing = RegistryOptions { packaged: None, folder: device.path("other"), ..device.options() };
    assert!(matches!(Registry::open(nothing).unwrap().in_use(), Err(RegistryError::NoModels)));
}

#[test]
fn a_file_that_is_not_the_manifests_changes_nothing() {
    let device = Device::new();
    device.activate(1);
    let release = device.release(2);
    let file = device.path("from-2").join("blazeface_back.onnx");
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    let activate = || device.registry().activate(&release, &device.path("from-2"), &works);
    fs::write(&file, &good[1..]).unwrap();
    assert!(matches!(activate(), Err(RegistryError::File(VerifyError::WrongLength { .. }))));
    fs::write(&file, &flipped).unwrap();
    assert!(matches!(activate(), Err(RegistryError::File(VerifyError::WrongDigest { .. }))));
    fs::remove_file(&file).unwrap();
    assert!(matches!(activate(), Err(RegistryError::File(VerifyError::Missing { .. }))));
    assert_eq!(device.source(), Source::Version(1));
    assert_eq!(device.registry().newest().unwrap().version, 1, "what never was whole is not remembered");
    fs::write(&file, &good).unwrap();
    assert!(matches!(activate().unwrap(), Activated::Confirmed));
    assert_eq!(device.source(), Source::Version(2));
}

#[test]
fn a_failed_self_test_leaves_the_version_before_in_use_and_is_remembered() {
    let device = Device::new();
    device.activate(1);
    assert!(matches!(device.try_activate(2, &fails).unwrap(), Activated::RolledBack { .. }));
    let registry = device.registry();
    let refused = registry.refused().unwrap();
    assert_eq!((refused.version, refused.because), (2, Because::SelfTestFailed));
    assert_eq!(registry.newest().unwrap().version, 2, "an older one is not accepted after it");
    assert_eq!(device.source(), Source::Version(1));
    // A self-test that succeeds the second time may be used: it was asked for.
    device.activate(2);
    assert_eq!((device.source(), device.registry().refused()), (Source::Version(2), None));
}

#[test]
fn the_self_test_sees_the_files_in_their_place_and_the_old_version_still_in_use() {
    let device = Device::new();
    device.activate(1);
    let test = |folder: &Path, candidate: &Candidate| {
        assert_eq!(folder, device.path("models/2"));
        assert_eq!(candidate.manifest.version, 2);
        candidate.verify(folder).unwrap();
        let record = fs::read_to_string(device.path("models/active.json")).unwrap();
        assert!(record.contains("\"trial\":2") && record.contains("\"active\":{\"version\":1"), "{record}");
        Ok(())
    };
    device.try_activate(2, &test).unwrap();
}

#[test]
fn a_process_that_dies_in_the_self_test_leaves_the_version_before_in_use() {
    let device = Device::new();
    device.activate(1);
    let died = std::panic::catch_unwind(|| device.try_activate(2, &|_: &Path, _: &Candidate| panic!("the driver")));
    assert!(died.is_err());
    let registry = device.registry();
    assert_eq!(registry.refused().unwrap().because, Because::BrokeOff);
    assert_eq!(device.source(), Source::Version(1));
}

#[test]
fn rolling_back_leads_to_the_version_before_and_then_to_the_package() {
    let device = Device::new();
    device.activate(1);
    device.activate(2);
    assert_eq!(device.registry().rollback().unwrap().source, Source::Version(1));
    assert_eq!(device.source(), Source::Version(1));
    assert_eq!(device.registry().refused().unwrap().because, Because::RolledBack);
    assert_eq!(device.registry().rollback().unwrap().source, Source::Packaged);
    assert_eq!(device.registry().rollback().unwrap().source, Source::Packaged, "there is nothing before the package");
    device.activate(2);
    assert_eq!(device.source(), Source::Version(2));
    // A version before that is not whole is no way back.
    device.activate(3);
    fs::write(device.path("models/2/blazeface_back.onnx"), "other weights").unwrap();
    assert_eq!(device.registry().rollback().unwrap().source, Source::Packaged);
}

#[test]
fn damage_after_the_activation_falls_back_and_is_repaired_by_the_next_one() {
    let device = Device::new();
    device.activate(1);
    device.activate(2);
    for name in ["blazeface_back.onnx", "manifest.json"] {
        fs::write(device.path("models/2").join(name), "{}").unwrap();
        assert!(device.registry().verify(2).is_err());
        assert_eq!(device.source(), Source::Version(1));
        device.activate(2);
        assert_eq!(device.source(), Source::Version(2));
        device.registry().verify(1).unwrap();
    }
    // Nothing but a damaged record: the package is in use, and the record is kept for whoever wants to know.
    fs::write(device.path("models/active.json"), "\0\0\0").unwrap();
    assert_eq!(device.source(), Source::Packaged);
    assert!(device.path("models/active.json.damaged").exists());
    fs::write(device.path("models/active.json"), "{\"format\":\"snaptrak.models-active/2\"}").unwrap();
    assert!(matches!(Registry::open(device.options()), Err(RegistryError::Newer)));
}

/// What is in use before: the package, or version 1; what is done; what may be in use after it, whole or broken off.
type Trial = (&'static str, fn(&Device), fn(&Device, &mut Registry), &'static [Source]);

#[test]
fn wherever_the_process_dies_what_is_in_use_is_whole() {
    let activate_2 = |device: &Device, registry: &mut Registry| {
        let release = device.release(2);
        drop(registry.activate(&release, &device.path("from-2"), &works));
    };
    let trials: [Trial; 5] = [
        ("2 over the package", |_| {}, activate_2, &[Source::Packaged, Source::Version(2)]),
        ("2 over 1", |device| drop(device.activate(1)), activate_2, &[Source::Version(1), Source::Version(2)]),
        (
            "2 again, damaged, over 1",
            |device| {
                device.activate(1);
                device.activate(2);
                fs::write(device.path("models/2/blazeface_back.onnx"), "other weights").unwrap();
            },
            activate_2,
            &[Source::Version(1), Source::Version(2)],
        ),
        (
            "2 that fails, over 1",
            |device| drop(device.activate(1)),
            |device, registry| {
                let release = device.release(2);
                drop(registry.activate(&release, &device.path("from-2"), &fails));
            },
            &[Source::Version(1)],
        ),
        (
            "back from 2 to 1",
            |device| {
                device.activate(1);
                device.activate(2);
            },
            |_, registry| drop(registry.rollback()),
            &[Source::Version(1), Source::Version(2)],
        ),
    ];
    for (name, before, act, allowed) in trials {
        let mut seen = Vec::new();
        for steps in 1.. {
            assert!(steps < 100, "{name} never ends");
            let device = Device::new();
            before(&device);
            let left = Arc::new(AtomicUsize::new(steps));
            let mut registry = Registry::open_on(device.options(), Box::new(DyingDisk(Arc::clone(&left)))).unwrap();
            act(&device, &mut registry);
            drop(registry);
            let source = device.source();
            assert!(allowed.contains(&source), "{name}, dead after {steps} steps: {source:?}");
            seen.push(source);
            let died = left.load(Ordering::Relaxed) == 0;
            // And the next process gets through.
            device.activate(2);
            assert_eq!(device.source(), Source::Version(2), "{name}, dead after {steps} steps");
            if !died {
                break;
            }
        }
        assert!(seen.len() >= 4, "{name} has steps");
        assert!(allowed.iter().all(|source| seen.contains(source)), "{name}: {seen:?}");
    }
}

#[test]
fn old_versions_make_room_but_never_the_active_one_or_the_one_before() {
    let device = Device::new();
    let bytes = {
        device.activate(1);
        device.registry().versions().unwrap()[0].bytes
    };
    // Room for three and a little.
    let options = RegistryOptions { quota_bytes: bytes * 3 + 64, ..device.options() };
    for version in 2..=6 {
        let release = device.release(version);
        let mut registry = Registry::open(options.clone()).unwrap();
        registry.activate(&release, &device.path(&format!("from-{version}")), &works).unwrap();
    }
    let registry = Registry::open(options.clone()).unwrap();
    let versions = registry.versions().unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [4, 5, 6]);
    assert!(versions[2].active && versions[1].previous && !versions[0].active && !versions[0].previous);
    assert!(versions.iter().map(|version| version.bytes).sum::<u64>() <= options.quota_bytes);
    // Less room than the two that must stay take with a third: refused, and nothing was removed.
    let tight = RegistryOptions { quota_bytes: bytes * 2 + 64, ..device.options() };
    let release = device.release(7);
    let refused = Registry::open(tight).unwrap().activate(&release, &device.path("from-7"), &works);
    assert!(matches!(refused, Err(RegistryError::OverQuota { .. })));
    assert_eq!(device.registry().versions().unwrap(), versions);
    assert_eq!(device.source(), Source::Version(6));
    for stranger in ["007", "notes", "-1", "1e3"] {
        fs::create_dir_all(device.path("models").join(stranger)).unwrap();
    }
    assert_eq!(device.registry().versions().unwrap(), versions, "folders of others are not ours");
}

#[test]
fn a_manifest_that_this_device_has_no_engine_for_is_refused() {
    let device = Device::new();
    let release = device.release(1);
    let options = RegistryOptions { engines: vec!["tflite".to_owned()], ..device.options() };
    let refused = Registry::open(options).unwrap().activate(&release, &device.path("from-1"), &works);
    assert!(matches!(refused, Err(RegistryError::Manifest(_))), "{refused:?}");
}
