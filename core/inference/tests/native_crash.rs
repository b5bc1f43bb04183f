//! Native code that really crashes, in processes that really die: an accelerator's library whose loading ends the process, and one
//! whose run does. Started again and again, the device ends with right answers from the processor after two deaths, or one
//! where the operating system says what it was.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, built, litert_library, manifest, model_for, models, wave};
use snaptrak_domain::{
    Conditions, ExitReason, LastExit,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session, Tensor},
    verdict::VerdictCode,
};
use snaptrak_inference::{
    SelectingEngine, Selection, SelectionOptions, TfliteEngine, TfliteLibraries,
    registry::{InUse, Source},
    selection::Patience,
};
use snaptrak_testkit::FakeClock;
use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// Set in a child only: the folder of the device.
const FOLDER: &str = "SNAPTRAK_CRASH_FOLDER";
/// Set in a child only: what the operating system says of the process before.
const TOLD: &str = "SNAPTRAK_CRASH_TOLD";
const SEGMENTATION_FAULT: i32 = 11;
const MODEL: &str = "blazeface_back";

/// What crashes as soon as it is loaded.
const CRASHES_WHEN_LOADED: &str = "__attribute__((constructor)) static void crash(void) { *(volatile int *)0 = 1; }\n";
/// What crashes at the run that its argument names.
const CRASHES_WHEN_RUN: &str = "void run(int number) { if (number >= 12) *(volatile int *)0 = 1; }\n";

fn selection(folder: &Path) -> Arc<Selection> {
    let reason = match std::env::var(TOLD).as_deref() {
        Ok("crash") => ExitReason::NativeCrash,
        Ok(_) | Err(_) => ExitReason::Unknown,
    };
    let ticks = std::sync::atomic::AtomicU64::new(0);
    Arc::new(Selection::open(SelectionOptions {
        folder: folder.join("accelerators"),
        driver: "driver".into(),
        last_exit: LastExit { reason, process_id: None },
        gpu_in_background: true,
        patience: Patience::default(),
        // Always the same moment, so that nothing is tried again for its age; processes differ in their numbers.
        clock: Arc::new(FakeClock::new()),
        // Each look is later by less than the one before, so that the processor, which is measured first, seems slower.
        stopwatch: Arc::new(move || (1.0 + ticks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) as f64).ln()),
    }))
}

/// One life of the app: every model's wave, and what the processor says to it.
fn live(engine: Arc<dyn Engine>, folder: &Path) -> Arc<Selection> {
    let selection = selection(folder);
    let in_use = InUse { source: Source::Packaged, folder: models(), manifest: manifest() };
    let selecting = SelectingEngine::new(Arc::clone(&engine), Arc::clone(&selection), in_use, Conditions::default());
    let manifest = manifest();
    let (entry, file) = model_for(engine.as_ref(), manifest.model(MODEL).unwrap());
    let input = [wave(&entry)];
    let wanted = engine.load(&file, CPU).unwrap().run(&input).unwrap();
    let mut session = selecting.load(&file, CPU).unwrap();
    for _ in 0..15 {
        assert_eq!(session.run(&input).unwrap(), wanted);
    }
    assert!(session.confirm());
    assert_eq!(session.accelerator_ran(), Accelerator::Cpu);
    selection
}

/// Starts the test of this name again and again in processes of their own, until one lives; how many died.
fn deaths(name: &str, told: &str, folder: &Path) -> u32 {
    for deaths in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--nocapture"]).env(FOLDER, folder).env(TOLD, told);
        // Where the system writes a dump of a crash, it goes with the folder.
        let output = child.current_dir(folder).output().unwrap();
        if output.status.success() {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran the test");
            return deaths;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SEGMENTATION_FAULT), "{}: {said}", output.status);
    }
    panic!("a crash loop");
}

fn child_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn ends_well(name: &str, prepare: impl Fn(&Path), live: impl Fn(&Path) -> Arc<Selection>) {
    if let Some(folder) = child_folder() {
        live(&folder);
        return;
    }
    for (told, most, code) in [("nothing", 2, VerdictCode::Died), ("crash", 1, VerdictCode::Crashed)] {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        assert_eq!(deaths(name, told, folder.path()), most, "{told}");
        assert_eq!(deaths(name, "nothing", folder.path()), 0, "and never again");
        let verdicts = selection(folder.path()).verdicts();
        let gpu = verdicts.iter().find(|verdict| verdict.candidate.accelerator == Accelerator::Gpu).unwrap();
        assert_eq!((gpu.code, gpu.candidate.model_id.as_str()), (code, MODEL));
    }
}

#[test]
fn a_plug_in_that_crashes_when_it_is_loaded_is_left_alone_after_two_deaths() {
    let plug_in = |folder: &Path| folder.join("plug-ins");
    let prepare = |folder: &Path| {
        let library = built(folder, CRASHES_WHEN_LOADED);
        std::fs::create_dir(plug_in(folder)).unwrap();
        // By this name LiteRT looks for its GPU.
        std::fs::rename(library, plug_in(folder).join("libLiteRtWebGpuAccelerator.so")).unwrap();
    };
    let name = "a_plug_in_that_crashes_when_it_is_loaded_is_left_alone_after_two_deaths";
    ends_well(name, prepare, |folder| {
        let libraries =
            TfliteLibraries { accelerators_folder: Some(plug_in(folder)), ..TfliteLibraries::new(litert_library()) };
        live(Arc::new(TfliteEngine::open_with(&libraries).unwrap()), folder)
    });
}

/// The processor under another name, with a library in the way of each run that crashes after a while.
struct Treacherous {
    engine: Arc<dyn Engine>,
    library: Arc<libloading::Library>,
}

struct TreacherousSession {
    session: Box<dyn Session>,
    library: Arc<libloading::Library>,
    runs: i32,
}

impl Engine for Treacherous {
    fn id(&self) -> &'static str {
        self.engine.id()
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        vec![Accelerator::Cpu, Accelerator::Gpu]
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let session = match options.accelerator {
            Accelerator::Cpu => return self.engine.load(model, options),
            Accelerator::Npu => return Err(EngineError::NoAccelerator { accelerator: options.accelerator }),
            Accelerator::Gpu => self.engine.load(model, LoadOptions { accelerator: Accelerator::Cpu, ..options })?,
        };
        Ok(Box::new(TreacherousSession { session, library: Arc::clone(&self.library), runs: 0 }))
    }
}

impl Session for TreacherousSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        self.runs += 1;
        call(&self.library, self.runs);
        self.session.run(inputs)
    }

    fn accelerator_ran(&self) -> Accelerator {
        Accelerator::Gpu
    }
}

#[expect(unsafe_code, reason = "a foreign library can be reached in no other way")]
fn call(library: &libloading::Library, number: i32) {
    // SAFETY: the function has this type, and that it ends the process is what the test is about.
    unsafe {
        let run = library.get::<unsafe extern "C" fn(i32)>(b"run\0").unwrap();
        run(number);
    }
}

#[expect(unsafe_code, reason = "a foreign library can be reached in no other way")]
fn opened(path: &Path) -> libloading::Library {
    // SAFETY: it was built by this test and does nothing when it is loaded.
    unsafe { libloading::Library::new(path) }.unwrap()
}

#[test]
fn a_library_that_crashes_in_a_run_is_left_alone_after_two_deaths() {
    let library = |folder: &Path| folder.join("crashes.so");
    let prepare = |folder: &Path| std::fs::rename(built(folder, CRASHES_WHEN_RUN), library(folder)).unwrap();
    let name = "a_library_that_crashes_in_a_run_is_left_alone_after_two_deaths";
    ends_well(name, prepare, |folder| {
        let engine: Arc<dyn Engine> = Arc::new(common::engine());
        let treacherous = Treacherous { engine, library: Arc::new(opened(&library(folder))) };
        live(Arc::new(treacherous), folder)
    });
}
