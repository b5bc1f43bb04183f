//! From a stored picture to findings: decoded once, every model run on it.

use crate::{
    AnalyseError,
    decode::{self, Pixels, Wanted},
    detector::Detector,
    format::{Format, first_bytes},
    thumbnail,
};
use fast_image_resize::Resizer;
use snaptrak_domain::{
    Finding, ReasonCode,
    engine::{Accelerator, Engine, LoadOptions},
    sealed_reader::SealedReader,
};
use snaptrak_inference::Manifest;
use std::{path::Path, sync::Arc};

/// Bytes of a picture's file. Above every phone's JPEG (a 108 MP one has 30 MB) and most PNGs; the whole file is in memory
/// while it is decoded.
pub const PICTURE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a finding says was asked for where it was left to the engine.
const ASKED_OF_THE_ENGINE: &str = "auto";

/// Milliseconds of a clock that only goes forward; its zero is anywhere.
pub type MonotonicMsFn = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalyserOptions {
    /// Ids of the models to run, in this order; `None` for all of the manifest.
    pub models: Option<Vec<String>>,
    /// Where they run; wherever the engine puts them otherwise, which is then said of each finding.
    pub accelerator: Option<Accelerator>,
    /// Threads of one run.
    pub threads: usize,
}

impl Default for AnalyserOptions {
    /// All models on the processor, two threads: the fast cores of a cheap phone.
    fn default() -> Self {
        Self { models: None, accelerator: Some(Accelerator::Cpu), threads: 2 }
    }
}

/// Loaded models, ready for pictures. Holds their weights; drop it when there is nothing to analyse.
pub struct Analyser {
    detectors: Vec<Detector>,
    resizer: Resizer,
    now_ms: MonotonicMsFn,
}

impl Analyser {
    /// Checks the files of the selected models against the manifest and loads them.
    ///
    /// # Errors
    /// `model_missing`, `model_damaged`, `engine_missing`: what a step parks with.
    pub fn new(
        engine: &dyn Engine,
        manifest: &Manifest,
        models: &Path,
        options: &AnalyserOptions,
        now_ms: MonotonicMsFn,
    ) -> Result<Self, AnalyseError> {
        let accelerator = options.accelerator.unwrap_or(Accelerator::Cpu);
        let load_options = LoadOptions { accelerator, threads: options.threads };
        let asked = options.accelerator.map_or(ASKED_OF_THE_ENGINE, Accelerator::as_str);
        let load = |entry| Detector::load(engine, models, entry, load_options, asked);
        let detectors = match &options.models {
            None => manifest.models.iter().map(load).collect::<Result<_, _>>()?,
            Some(ids) => {
                let missing = |id: &String| AnalyseError::new(ReasonCode::ModelMissing).with("model", id);
                let entry = |id: &String| manifest.model(id).ok_or_else(|| missing(id));
                ids.iter().map(|id| load(entry(id)?)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { detectors, resizer: Resizer::new(), now_ms })
    }

    /// Whether there are findings since the last [`Analyser::confirm`] that an accelerator found and nothing was compared with.
    pub fn is_unconfirmed(&self) -> bool {
        self.detectors.iter().any(Detector::is_unconfirmed)
    }

    /// Compares what can be compared. `false`: findings since the last call may be wrong; those pictures should be analysed again,
    /// which then happens elsewhere. Each model can say so once.
    pub fn confirm(&mut self) -> bool {
        // All of them: each answers for its own.
        self.detectors.iter_mut().fold(true, |all, detector| detector.confirm() & all)
    }

    /// Findings of a sealed asset, one for each model; boxes in pixels of the upright original, best first.
    ///
    /// `StageMs::decode` covers opening and decoding and is the same number in every finding: it is done once.
    pub fn analyse(&mut self, reader: &mut dyn SealedReader) -> Result<Vec<Finding>, AnalyseError> {
        let started = (self.now_ms)();
        check_first_bytes(reader)?;
        let bytes = reader.read_all(PICTURE_BYTES_MAX)?;
        self.analyse_from(&bytes, started)
    }

    /// As [`Analyser::analyse`], with the picture's thumbnail (as [`crate::thumbnail`](crate::thumbnail()) makes it) out of the
    /// same pixels; `None` where the models wanted fewer than it needs.
    pub fn analyse_and_shrink(
        &mut self,
        reader: &mut dyn SealedReader,
    ) -> Result<(Vec<Finding>, Option<Vec<u8>>), AnalyseError> {
        let started = (self.now_ms)();
        check_first_bytes(reader)?;
        let bytes = reader.read_all(PICTURE_BYTES_MAX)?;
        let (header, pixels, findings) = self.find(&bytes, started)?;
        let wanted = thumbnail::wanted(&header);
        let enough = pixels.width >= wanted.width && pixels.height >= wanted.height;
        let small = enough.then(|| thumbnail::of_pixels(&mut self.resizer, &header, &pixels)).transpose()?;
        Ok((findings, small))
    }

    /// Findings of a picture in memory.
    pub fn analyse_bytes(&mut self, bytes: &[u8]) -> Result<Vec<Finding>, AnalyseError> {
        let started = (self.now_ms)();
        self.analyse_from(bytes, started)
    }

    fn analyse_from(&mut self, bytes: &[u8], started_ms: f64) -> Result<Vec<Finding>, AnalyseError> {
        self.find(bytes, started_ms).map(|(_, _, findings)| findings)
    }

    fn find(&mut self, bytes: &[u8], started_ms: f64) -> Result<(decode::Header, Pixels, Vec<Finding>), AnalyseError> {
        let header = decode::header(bytes)?;
        let pixels = self.decode(bytes, &header)?;
        let decode_ms = (self.now_ms)() - started_ms;
        let (resizer, now_ms) = (&mut self.resizer, &*self.now_ms);
        let find = |detector: &mut Detector| detector.find(resizer, &header, &pixels, decode_ms, now_ms);
        let findings = self.detectors.iter_mut().map(find).collect::<Result<_, _>>()?;
        Ok((header, pixels, findings))
    }

    fn decode(&self, bytes: &[u8], header: &decode::Header) -> Result<Pixels, AnalyseError> {
        let least = Wanted { width: 1, height: 1 };
        let wanted = self.detectors.iter().map(|detector| detector.wanted(header)).fold(least, |most, wanted| Wanted {
            width: most.width.max(wanted.width),
            height: most.height.max(wanted.height),
        });
        decode::pixels(bytes, header, wanted)
    }
}

/// A video or a text must not be opened whole to learn that it is no picture.
fn check_first_bytes(reader: &mut dyn SealedReader) -> Result<(), AnalyseError> {
    match Format::of(&first_bytes(reader)?) {
        Some(Format::Jpeg | Format::Png | Format::WebP) => Ok(()),
        Some(Format::Foreign(name)) => Err(AnalyseError::decoder_missing(name)),
        None => Err(AnalyseError::not_a_picture()),
    }
}
