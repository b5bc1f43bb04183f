//! What an accelerator found is written down only after it was compared, and looked at again when that shows it wrong.

use super::{LEASE_MS, Looked};
use crate::{AnalyseReport, CaptureOptions, Config, ErrorCode, Platform, Progress, ProgressEvent, SnapTrak};
use snaptrak_domain::{
    CancelToken, CaptureId, FindingBox, Rendition, StepKind,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session, Tensor},
    queue_store::{QueueStore as _, ReadyStep},
};
use snaptrak_inference::{Manifest, OrtEngine};
use snaptrak_testkit::FixedKeyStore;
use snaptrak_vision::{Analyser, AnalyserOptions};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

const FACES: &str = "blazeface_back";

/// A device that answers rightly for a while and wrongly from then on, until it is found out.
struct Doubtful {
    engine: OrtEngine,
    good_runs: usize,
}

struct DoubtfulSession {
    session: Box<dyn Session>,
    good_runs: usize,
    runs: usize,
    unconfirmed: bool,
    found_out: bool,
}

impl Engine for Doubtful {
    fn id(&self) -> &'static str {
        "ort"
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        vec![Accelerator::Cpu]
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let session = self.engine.load(model, options)?;
        let (good_runs, runs) = (self.good_runs, 0);
        Ok(Box::new(DoubtfulSession { session, good_runs, runs, unconfirmed: false, found_out: false }))
    }
}

impl Session for DoubtfulSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = self.session.run(inputs)?;
        self.runs += 1;
        if !self.found_out {
            self.unconfirmed = true;
            if self.runs > self.good_runs {
                // Nothing is anywhere.
                outputs.iter_mut().flat_map(|tensor| &mut tensor.data).for_each(|value| *value = -50.0);
            }
        }
        Ok(outputs)
    }

    fn accelerator_ran(&self) -> Accelerator {
        if self.found_out { Accelerator::Cpu } else { Accelerator::Gpu }
    }

    fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    fn confirm(&mut self) -> bool {
        self.unconfirmed = false;
        let is_wrong = !self.found_out && self.runs > self.good_runs;
        self.found_out |= is_wrong;
        !is_wrong
    }
}

struct World {
    sdk: SnapTrak,
    captures: Vec<CaptureId>,
    _folder: TempDir,
}

fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from)
}

fn engine() -> OrtEngine {
    let files = std::fs::read_dir(cache().join("runtime")).expect("run `cargo xtask models` first").flatten();
    let library = files.map(|file| file.path()).filter(|path| path.to_string_lossy().contains("libonnxruntime")).max();
    OrtEngine::open(&library.expect("run `cargo xtask models` first")).unwrap()
}

fn analyser(good_runs: usize) -> Analyser {
    let models = cache().join("models");
    let options = AnalyserOptions { models: Some(vec![FACES.into()]), accelerator: None, threads: 1 };
    let doubtful = Doubtful { engine: engine(), good_runs };
    let manifest = Manifest::load(&models).unwrap();
    Analyser::new(&doubtful, &manifest, &models, &options, Arc::new(|| 0.0)).unwrap()
}

impl World {
    fn new(pictures: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let platform = Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
        let sdk = SnapTrak::create(Config::new(folder.path().join("store")), platform).unwrap();
        let picture = std::fs::read(cache().join("pictures/astronaut.png")).expect("run `cargo xtask pictures` first");
        let capture = |_| sdk.capture_reader(&mut picture.as_slice(), CaptureOptions::default()).unwrap().capture_id;
        let captures = (0..pictures).map(capture).collect();
        Self { sdk, captures, _folder: folder }
    }

    fn analyse(
        &self,
        good_runs: usize,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> (AnalyseReport, Result<(), crate::Error>) {
        let mut analyser = analyser(good_runs);
        let call = self.sdk.inner.calls.begin(cancel).unwrap();
        let mut report = AnalyseReport::default();
        let total = self.captures.len() as u64;
        let went = self.sdk.analyse_all(&mut analyser, total, &mut report, progress, &call);
        (report, went)
    }

    /// Boxes and the device that found them, of each picture that has findings.
    fn found(&self) -> Vec<(Vec<FindingBox>, String)> {
        let shown = self.captures.iter().map(|id| self.sdk.show(*id).unwrap());
        shown.flat_map(|shown| shown.findings).map(|finding| (finding.boxes, finding.accelerator_ran)).collect()
    }
}

struct Each<F>(F);

impl<F: Fn(u64) + Send + Sync> Progress for Each<F> {
    fn update(&self, event: ProgressEvent) {
        (self.0)(event.done);
    }
}

#[test]
fn what_was_found_wrongly_is_never_written_down() {
    let world = World::new(20);
    let (report, went) = world.analyse(10, &Each(|_| ()), &CancelToken::new());
    went.unwrap();
    assert_eq!((report.analysed, report.parked, report.thumbnails), (20, 0, 20));
    let found = world.found();
    assert_eq!(found.len(), 20);
    assert_eq!(found[0].0.len(), 1, "there is one face");
    for (boxes, ran) in &found {
        assert_eq!((boxes, ran.as_str()), (&found[0].0, "cpu"), "all were looked at again, and no longer there");
    }
}

#[test]
fn what_is_right_is_written_down_sixteen_at_a_time_and_at_the_end() {
    let world = World::new(20);
    let written = |done| {
        let wanted = if done < 16 { 0 } else { 16 };
        assert_eq!(world.found().len(), wanted, "after {done}");
    };
    let (report, went) = world.analyse(usize::MAX, &Each(written), &CancelToken::new());
    went.unwrap();
    assert_eq!(report.analysed, 20);
    assert!(world.found().iter().all(|(boxes, ran)| boxes.len() == 1 && ran == "gpu"));
}

#[test]
fn a_call_that_is_broken_off_keeps_what_it_looked_at() {
    let (world, cancel) = (World::new(6), CancelToken::new());
    let fourth = |done| {
        if done == 4 {
            cancel.cancel();
        }
    };
    let (report, went) = world.analyse(2, &Each(fourth), &cancel);
    assert_eq!(went.unwrap_err().code(), ErrorCode::Cancelled);
    assert_eq!((report.analysed, world.found().len()), (4, 4));
    assert!(world.found().iter().all(|(boxes, ran)| boxes.len() == 1 && ran == "cpu"));
}

#[test]
fn a_picture_that_cannot_be_written_down_takes_no_other_along() {
    let world = World::new(3);
    let store = &world.sdk.inner.store;
    let mut analyser = analyser(usize::MAX);
    let now = world.sdk.inner.platform.clock.now();
    let mut looked_at = |mut step: ReadyStep, is_known: bool| {
        store.begin(step.step_id, now, LEASE_MS).unwrap();
        let asset_id = store.asset_of(step.capture_id, Rendition::Original).unwrap();
        let (findings, small) = world.sdk.look(&mut analyser, asset_id).unwrap();
        if !is_known {
            step.step_id = i64::MAX;
        }
        Looked { step, asset_id, findings, small }
    };
    let steps = store.ready(StepKind::Analyse, now, 3).unwrap().into_iter();
    let mut held: Vec<_> = steps.zip([true, false, true]).map(|(step, is_known)| looked_at(step, is_known)).collect();
    let mut report = AnalyseReport::default();
    let error = world.sdk.keep(&mut analyser, &mut held, &mut report).unwrap_err();
    assert_eq!((error.code(), held.len()), (ErrorCode::NotFound, 0));
    assert_eq!((report.analysed, world.found().len()), (2, 2), "the one before it and the one behind it");
}
