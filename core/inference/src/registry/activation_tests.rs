//! Activation on a disk that fails at every step, and everything that must leave the version in use alone.

use super::activation::{Activated, Registry, RegistryError, RegistryOptions, Source};
use super::candidate::Candidate;
use super::state::Because;
use super::test_device::{Device, DyingDisk, fails, works};
use super::verify::VerifyError;
use snaptrak_domain::CancelToken;
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
fn an_activation_that_is_broken_off_changes_nothing_and_the_next_one_succeeds() {
    let device = Device::new();
    device.activate(1);
    let release = device.release(2);
    let cancel = CancelToken::new();
    cancel.cancel();
    let activate = |cancel: &CancelToken| {
        let tested = AtomicUsize::new(0);
        let counted = |folder: &Path, candidate: &Candidate| {
            tested.fetch_add(1, Ordering::Relaxed);
            works(folder, candidate)
        };
        let activated = device.registry().until(cancel).activate(&release, &device.path("from-2"), &counted);
        (activated, tested.into_inner())
    };
    assert!(matches!(activate(&cancel), (Err(RegistryError::Cancelled), 0)));
    assert_eq!((device.source(), device.registry().newest().unwrap().version), (Source::Version(1), 1));
    assert!(matches!(activate(&CancelToken::new()), (Ok(Activated::Confirmed), 1)));
    // Staged already, so that no file is copied before it is asked again.
    assert!(matches!(activate(&cancel), (Err(RegistryError::Cancelled), 0)));
    assert_eq!(device.source(), Source::Version(2));
}

#[test]
fn an_apps_update_that_packages_newer_models_is_not_held_up_by_what_was_activated() {
    let device = Device::new();
    device.activate(3);
    device.package(3);
    assert_eq!(device.source(), Source::Version(3), "the organisation's word counts where both are the same");
    device.package(4);
    assert_eq!(device.registry().in_use().unwrap().source, Source::Packaged);
    let release = device.release(3);
    let refused = device.registry().activate(&release, &device.path("from-3"), &works);
    assert!(matches!(refused, Err(RegistryError::OlderThanPackaged { version: 3, packaged: 4 })), "{refused:?}");
    // A package that is not whole is no reason to leave what works.
    fs::remove_file(device.path("packaged/blazeface_back.onnx")).unwrap();
    assert_eq!(device.registry().in_use().unwrap().source, Source::Version(3));
    device.package(4);
    device.activate(5);
    assert_eq!(device.source(), Source::Version(5));
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
    let newest = || device.registry().newest().unwrap().version;
    assert_eq!(newest(), 2, "an older one is still not accepted after it");
    device.activate(2);
    assert_eq!(device.source(), Source::Version(2));
    // And the other way round.
    fs::write(device.path("models/newest.json"), "\0\0\0").unwrap();
    assert_eq!((device.source(), newest()), (Source::Version(2), 2));
    device.activate(2);
    fs::remove_file(device.path("models/active.json")).unwrap();
    assert_eq!(newest(), 2, "whatever is saved next mends it");
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
fn a_version_that_rollout_keeps_from_this_device_leaves_what_is_in_use() {
    let device = Device::new();
    device.activate(1);
    let mut release = device.release(2);
    let mut manifest: serde_json::Value = serde_json::from_slice(&release.manifest).unwrap();
    for model in manifest["models"].as_array_mut().unwrap() {
        model["rollout"] = serde_json::json!({"share": 0});
    }
    release.manifest = serde_json::to_vec(&manifest).unwrap();
    let refused = device.registry().activate(&release, &device.path("from-2"), &works);
    assert!(matches!(refused, Err(RegistryError::NotForThisDevice)), "{refused:?}");
    assert!(matches!(device.registry().missing(&release), Err(RegistryError::NotForThisDevice)));
    assert_eq!((device.source(), device.registry().newest().unwrap().version), (Source::Version(1), 1));
}

#[test]
fn a_manifest_that_this_device_has_no_engine_for_is_refused() {
    let device = Device::new();
    let release = device.release(1);
    let options = RegistryOptions { engines: vec!["tflite".to_owned()], ..device.options() };
    let refused = Registry::open(options).unwrap().activate(&release, &device.path("from-1"), &works);
    assert!(matches!(refused, Err(RegistryError::Manifest(_))), "{refused:?}");
}
