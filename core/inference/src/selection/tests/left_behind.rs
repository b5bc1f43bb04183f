//! What a process leaves behind, and files that are not as they should be.

use super::*;

#[test]
fn the_marker_stands_whenever_an_accelerator_is_at_work_and_at_no_other_time() {
    let mut fake = Fake::with_gpu(Nature::good(Accelerator::Gpu));
    fake.npu = Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Npu) };
    let device = Device::new(fake);
    let marker = device.options.folder.join("marker");
    *device.fake.witness.marker.lock().unwrap() = Some(marker.clone());
    let selection = device.instance();
    let mut session = device.load(&selection);
    let runs = "R".repeat(TRIAL_RUNS);
    let letters = || device.fake.witness.letters.lock().unwrap().clone();
    assert_eq!(letters(), format!("LRUL{runs}"));
    let is_idle = || fs::read(&marker).unwrap().chunks(1024).all(|slot| slot[0] == b'-');
    assert!(is_idle());
    answer_rightly(session.as_mut(), 2);
    assert!(is_idle());
    drop(session);
    assert_eq!(letters(), format!("LRUL{runs}RRU"));
    assert!(is_idle());
}

/// What a process leaves that ends here: everything as it lies on disk, and nobody who holds the lock.
pub(super) fn ended_here(device: &Device) -> SelectionOptions {
    let folder = device.folder.path().join("of the next process");
    fs::create_dir_all(&folder).unwrap();
    for name in ["marker", "verdicts.json"] {
        let _ = fs::copy(device.options.folder.join(name), folder.join(name));
    }
    SelectionOptions { folder, ..device.options.clone() }
}

#[test]
fn a_process_that_ends_at_work_leaves_a_strike_and_the_second_condemns() {
    for (reason, strikes, code) in [
        (ExitReason::Unknown, 1, VerdictCode::Usable),
        (ExitReason::NativeCrash, 1, VerdictCode::Crashed),
        (ExitReason::User, 0, VerdictCode::Usable),
        (ExitReason::LowMemory, 0, VerdictCode::Usable),
    ] {
        let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
        let selection = device.instance();
        let session = device.load(&selection);
        let owned = Owned { candidate: gpu(&selection).candidate, circumstances: gpu(&selection).circumstances };
        let slot = selection.marker.as_ref().unwrap().claim(&owned.candidate, &owned.circumstances).unwrap();
        slot.set(marker::Phase::Run).unwrap();
        let mut options = ended_here(&device);
        drop((session, slot));
        options.last_exit = LastExit { reason, process_id: Some(std::process::id()) };
        let next = Selection::open(options.clone());
        assert_eq!((gpu(&next).strikes, gpu(&next).code), (strikes, code), "{reason:?}");
        drop(next);
        let again = Selection::open(options.clone());
        assert_eq!(gpu(&again).strikes, strikes, "counted once");
        drop(again);
        // The system speaks of another process: nothing is known of this one.
        let mut other = ended_here(&device);
        other.last_exit = LastExit { reason, process_id: Some(std::process::id() + 1) };
        assert_eq!(gpu(&Selection::open(other)).strikes, 0, "the slot was given back meanwhile");
    }
}

#[test]
fn without_a_marker_no_accelerator_is_asked() {
    let mut device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    // A file where the folder should be: nothing can be written there.
    device.options.folder = device.folder.path().join("file");
    fs::write(&device.options.folder, "").unwrap();
    let selection = device.instance();
    assert!(selection.notes().contains(&Note::MarkerUnavailable));
    answer_rightly(device.load(&selection).as_mut(), 3);
    assert_eq!((Fake::count(&device.fake.loads), selection.verdicts().len()), (0, 0));
}

#[test]
fn what_a_process_died_of_stays_in_the_marker_until_it_is_written_down() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let selection = device.instance();
    let session = device.load(&selection);
    let verdict = gpu(&selection);
    let slot = selection.marker.as_ref().unwrap().claim(&verdict.candidate, &verdict.circumstances).unwrap();
    slot.set(marker::Phase::Load).unwrap();
    let options = ended_here(&device);
    drop((session, slot, selection));
    // As on a full disk: no verdict can be written.
    let obstacle = options.folder.join("verdicts.json.new");
    fs::create_dir(&obstacle).unwrap();
    let device = Device { options, ..device };
    let loads = Fake::count(&device.fake.loads);
    for _ in 0..3 {
        let selection = device.instance();
        assert_eq!((selection.notes(), gpu(&selection).strikes), (vec![Note::NotSaved], 1));
        answer_rightly(device.load(&selection).as_mut(), 1);
    }
    assert_eq!(Fake::count(&device.fake.loads), loads, "nobody is asked, or it would die again and again");
    fs::remove_dir(&obstacle).unwrap();
    let selection = device.instance();
    assert_eq!((selection.notes(), gpu(&selection).strikes), (vec![], 1));
    assert_eq!(device.load(&selection).accelerator_ran(), Accelerator::Gpu);
}

#[test]
fn an_instance_beside_a_living_one_takes_the_processor() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let first = device.instance();
    let session = device.load(&first);
    let second = device.instance();
    assert_eq!(second.notes(), [Note::InUse]);
    let mut beside = device.load(&second);
    answer_rightly(beside.as_mut(), 3);
    assert_eq!((session.accelerator_ran(), beside.accelerator_ran()), (Accelerator::Gpu, Accelerator::Cpu));
}

#[test]
fn damaged_files_are_told_and_everything_is_tried_again() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    device.start(1);
    for name in ["marker", "verdicts.json"] {
        fs::write(device.options.folder.join(name), "L{ no JSON").unwrap();
    }
    let selection = device.instance();
    assert_eq!(selection.notes(), [Note::VerdictsDamaged, Note::MarkerDamaged]);
    let mut session = device.load(&selection);
    answer_rightly(session.as_mut(), 3);
    assert_eq!((session.accelerator_ran(), gpu(&selection).code), (Accelerator::Gpu, VerdictCode::Usable));
    drop((session, selection));
    assert_eq!(device.instance().notes(), []);
}

#[test]
fn verdicts_can_be_forgotten() {
    let device = Device::with_gpu(Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Gpu) });
    assert_eq!(device.start(1).code, VerdictCode::WrongAnswer);
    let runs = Fake::count(&device.fake.runs);
    device.instance().forget().unwrap();
    assert_eq!(device.start(1).code, VerdictCode::WrongAnswer);
    assert!(Fake::count(&device.fake.runs) > runs, "it was tried again");
}
