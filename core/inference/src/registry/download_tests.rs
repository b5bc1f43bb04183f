//! Versions whose files come one by one: what is here is not asked for, and what arrived is of use after a kill.

use super::activation::{Activated, Registry, RegistryError, RegistryOptions, Release, Source};
use super::download::{ArrivingModel, MissingModel};
use super::test_device::{Device, DyingDisk, fails, works};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The file of a release that has these bytes.
fn source(device: &Device, release: &Release, missing: &MissingModel) -> PathBuf {
    let manifest: Value = serde_json::from_slice(&release.manifest).unwrap();
    let models = manifest["models"].as_array().unwrap().iter();
    let variant = models.map(|model| &model["variants"][0]).find(|it| it["sha256"] == json!(missing.sha256)).unwrap();
    device.path(&format!("from-{}", release.accepted.version)).join(variant["file"].as_str().unwrap())
}

fn arrive(arriving: &ArrivingModel, bytes: &[u8]) {
    let (path, held) = arriving.target().unwrap().unwrap();
    let mut whole = fs::read(&path).unwrap();
    assert_eq!(whole.len() as u64, held);
    whole.extend_from_slice(bytes);
    fs::write(path, whole).unwrap();
}

fn download(device: &Device, registry: &Registry, release: &Release) -> usize {
    let missing = registry.missing(release).unwrap();
    for file in &missing {
        let arriving = registry.arriving(file);
        let Some((_, held)) = arriving.target().unwrap() else { continue };
        let bytes = fs::read(source(device, release, file)).unwrap();
        arrive(&arriving, &bytes[held as usize..]);
        assert!(arriving.accept().unwrap());
    }
    missing.len()
}

/// Gives a release the bytes of another one for one of its files.
fn share(device: &Device, release: &mut Release, other: &Release) {
    let mut manifest: Value = serde_json::from_slice(&release.manifest).unwrap();
    let others: Value = serde_json::from_slice(&other.manifest).unwrap();
    manifest["models"][0]["variants"] = others["models"][0]["variants"].clone();
    let file = manifest["models"][0]["variants"][0]["file"].as_str().unwrap().to_owned();
    let from = |release: &Release| device.path(&format!("from-{}", release.accepted.version)).join(&file);
    fs::copy(from(other), from(release)).unwrap();
    release.manifest = serde_json::to_vec(&manifest).unwrap();
}

#[test]
fn what_has_arrived_is_used_and_what_another_version_has_is_not_asked_for() {
    let device = Device::new();
    let first = device.release(1);
    assert_eq!(download(&device, &device.registry(), &first), 2);
    assert!(matches!(device.registry().activate_downloaded(&first, &works).unwrap(), Activated::Confirmed));
    assert_eq!(device.source(), Source::Version(1));
    assert!(!device.path("models/downloads").exists(), "what the version has is cleared away");
    assert!(device.registry().missing(&first).unwrap().is_empty());

    let mut second = device.release(2);
    share(&device, &mut second, &first);
    assert_eq!(download(&device, &device.registry(), &second), 1);
    device.registry().activate_downloaded(&second, &works).unwrap();
    device.registry().verify(2).unwrap();
    // Each has its own: damage to one is none to the other.
    let weights = fs::read_dir(device.path("models/1")).unwrap().map(|entry| entry.unwrap().path());
    for path in weights.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")) {
        fs::write(path, "other weights").unwrap();
    }
    device.registry().verify(2).unwrap();
    // What the app brought with it is here, too.
    let mut third = device.release(3);
    let packaged = Release { manifest: fs::read(device.path("packaged/manifest.json")).unwrap(), ..device.release(0) };
    share(&device, &mut third, &packaged);
    assert_eq!(device.registry().missing(&third).unwrap().len(), 1);
}

#[test]
fn a_version_that_fails_its_self_test_is_not_downloaded_again() {
    let device = Device::new();
    let release = device.release(1);
    download(&device, &device.registry(), &release);
    let mut registry = device.registry();
    assert!(matches!(registry.activate_downloaded(&release, &fails).unwrap(), Activated::RolledBack { .. }));
    assert!(registry.is_settled() && registry.missing(&release).unwrap().is_empty());
    assert_eq!(device.source(), Source::Packaged);
}

#[test]
fn bytes_that_are_not_the_files_are_removed_and_a_part_is_gone_on_with() {
    let device = Device::new();
    let release = device.release(1);
    let registry = device.registry();
    let missing = registry.missing(&release).unwrap().remove(0);
    let bytes = fs::read(source(&device, &release, &missing)).unwrap();
    let arriving = registry.arriving(&missing);
    for wrong in [&bytes[1..], &[&bytes[..], &[0]].concat(), &vec![7; bytes.len()]] {
        arrive(&arriving, wrong);
        assert!(!arriving.accept().unwrap());
        assert_eq!(arriving.target().unwrap().unwrap().1, 0, "nothing of it is kept");
    }
    arrive(&arriving, &bytes[..5]);
    // Another process.
    let arriving = device.registry().arriving(&missing);
    assert_eq!(arriving.target().unwrap().unwrap().1, 5);
    arrive(&arriving, &bytes[5..]);
    // Whole, but the process died before it was looked at.
    assert_eq!(device.registry().arriving(&missing).target().unwrap(), None);
    arriving.discard().unwrap();
    assert_eq!(arriving.target().unwrap(), None, "it is in its place");
    assert_eq!(registry.missing(&release).unwrap().len(), 1);
    // As many bytes as it has, of which none is right.
    let other = registry.missing(&release).unwrap().remove(0);
    let arriving = registry.arriving(&other);
    arrive(&arriving, &vec![1; other.bytes as usize]);
    assert_eq!(arriving.target().unwrap().unwrap().1, 0);
}

#[test]
fn a_version_that_does_not_fit_or_cannot_be_used_is_refused_before_its_download() {
    let device = Device::new();
    device.activate(1);
    let bytes = device.registry().versions().unwrap()[0].bytes;
    let tight = RegistryOptions { quota_bytes: bytes + 64, ..device.options() };
    let release = device.release(2);
    let refused = Registry::open(tight).unwrap().missing(&release);
    assert!(matches!(refused, Err(RegistryError::OverQuota { .. })), "{refused:?}");
    let other = RegistryOptions { engines: vec!["abacus".to_owned()], ..device.options() };
    assert!(matches!(Registry::open(other).unwrap().missing(&release), Err(RegistryError::Manifest(_))));
    assert!(!device.path("models/downloads").exists());
}

#[test]
fn what_no_version_wants_any_more_is_removed() {
    let device = Device::new();
    let (first, mut second) = (device.release(1), device.release(2));
    share(&device, &mut second, &first);
    let registry = device.registry();
    for missing in registry.missing(&first).unwrap() {
        arrive(&registry.arriving(&missing), &fs::read(source(&device, &first, &missing)).unwrap()[..4]);
    }
    fs::write(device.path("models/downloads/notes"), "a stranger's").unwrap();
    let held = |release: &Release| {
        let missing = registry.missing(release).unwrap();
        let part = |file| registry.arriving(file).target().unwrap().unwrap().1;
        let mut held: Vec<u64> = missing.iter().map(part).collect();
        held.sort_unstable();
        held
    };
    assert_eq!(held(&second), [0, 4], "what both want is kept");
    assert_eq!(fs::read_dir(device.path("models/downloads")).unwrap().count(), 2);
}

#[test]
fn wherever_the_process_dies_a_downloaded_version_is_whole_or_not_used_and_nothing_is_asked_for_twice() {
    for steps in 1.. {
        assert!(steps < 100, "it never ends");
        let device = Device::new();
        device.activate(1);
        let release = device.release(2);
        assert_eq!(download(&device, &device.registry(), &release), 2);
        let left = Arc::new(AtomicUsize::new(steps));
        let mut registry = Registry::open_on(device.options(), Box::new(DyingDisk(Arc::clone(&left)))).unwrap();
        drop(registry.activate_downloaded(&release, &works));
        drop(registry);
        let source = device.source();
        assert!([Source::Version(1), Source::Version(2)].contains(&source), "dead after {steps} steps: {source:?}");
        assert_eq!(device.registry().missing(&release).unwrap(), [], "dead after {steps} steps");
        let registry = device.registry();
        let accepted = registry.newest().unwrap().version == 2;
        assert_eq!(registry.is_settled(), !accepted || source == Source::Version(2), "dead after {steps} steps");
        device.registry().activate_downloaded(&release, &works).unwrap();
        assert_eq!(device.source(), Source::Version(2), "dead after {steps} steps");
        if left.load(Ordering::Relaxed) > 0 {
            break;
        }
    }
}

#[test]
fn a_self_test_that_brings_the_process_down_twice_is_not_tried_a_third_time() {
    let device = Device::new();
    let release = device.release(1);
    for settled in [false, true] {
        download(&device, &device.registry(), &release);
        let test = |_: &Path, _: &super::Candidate| panic!("the driver");
        let died = std::panic::catch_unwind(|| drop(device.registry().activate_downloaded(&release, &test)));
        assert!(died.is_err());
        assert_eq!(device.registry().is_settled(), settled);
    }
}
