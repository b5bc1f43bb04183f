//! One model that finds boxes: its contract, its session and its decoder.

use crate::{
    AnalyseError, blazeface,
    decode::{Header, Pixels, Wanted},
    nms::{Candidate, suppress},
    placement::Placement,
    ssd::Ssd,
    tensor,
};
use fast_image_resize::Resizer;
use snaptrak_domain::{
    Finding, FindingBox, ReasonCode, Sha256Digest, StageMs,
    engine::{Engine, LoadOptions, Session, Tensor},
};
use snaptrak_inference::{
    ModelEntry, check_outputs,
    registry::{BlazefaceDecoder, Decoder},
    verify,
};
use std::path::Path;

enum BoxDecoder {
    Ssd(Ssd),
    Blazeface(BlazefaceDecoder),
}

/// A loaded model with everything that turns pixels into a finding.
pub(crate) struct Detector {
    model: ModelEntry,
    model_sha256: Sha256Digest,
    session: Box<dyn Session>,
    decoder: BoxDecoder,
    engine_version: String,
    accelerator_asked: &'static str,
    // Filled by every run again, so that a warm run allocates no tensors.
    outputs: Vec<Tensor>,
}

impl Detector {
    /// Checks the model's file and loads it.
    pub(crate) fn load(
        engine: &dyn Engine,
        models: &Path,
        model: &ModelEntry,
        options: LoadOptions,
        accelerator_asked: &'static str,
    ) -> Result<Self, AnalyseError> {
        let model_id = &model.id;
        let missing = || AnalyseError::new(ReasonCode::ModelMissing).with("model", model_id);
        let damaged = || AnalyseError::new(ReasonCode::ModelDamaged).with("model", model_id);
        let variant = model.variant_for(engine.id()).ok_or_else(missing)?;
        let model = model.as_in(variant);
        let decoder = match &model.decoder {
            Decoder::Ssd(ssd) => BoxDecoder::Ssd(Ssd::new(ssd, model.inputs[0].size().0).ok_or_else(damaged)?),
            Decoder::Blazeface(face) => BoxDecoder::Blazeface(face.clone()),
        };
        let session = engine.load(&verify(models, &model, variant)?, options)?;
        Ok(Self {
            model,
            model_sha256: variant.sha256,
            session,
            decoder,
            engine_version: engine.version(),
            accelerator_asked,
            outputs: Vec::new(),
        })
    }

    /// See [`Session::is_unconfirmed`].
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.session.is_unconfirmed()
    }

    /// See [`Session::confirm`].
    pub(crate) fn confirm(&mut self) -> bool {
        self.session.confirm()
    }

    /// What must be decoded of a picture for this model.
    pub(crate) fn wanted(&self, header: &Header) -> Wanted {
        tensor::wanted(&self.model.inputs[0], header)
    }

    /// Runs on decoded pixels. `decode_ms` is what decoding took, once for all models.
    pub(crate) fn find(
        &mut self,
        resizer: &mut Resizer,
        header: &Header,
        pixels: &Pixels,
        decode_ms: f64,
        now_ms: &(dyn Fn() -> f64 + Send + Sync),
    ) -> Result<Finding, AnalyseError> {
        let input = &self.model.inputs[0];
        let (width, height) = header.upright_size();
        let placement = Placement::new(input, width, height);
        let started = now_ms();
        let tensor = tensor::pack(resizer, pixels, header.orientation, input, &placement)?;
        let packed = now_ms();
        self.session.run_into(&[tensor], &mut self.outputs)?;
        let ran = now_ms();
        check_outputs(&self.model, &self.outputs)?;
        let boxes = self.boxes(&self.outputs, &placement);
        let ms = StageMs { decode: decode_ms, pack: packed - started, run: ran - packed, post: now_ms() - ran };
        Ok(Finding {
            task: self.model.task,
            model_id: self.model.id.clone(),
            model_sha256: self.model_sha256,
            engine: self.engine_version.clone(),
            accelerator_asked: self.accelerator_asked.to_owned(),
            accelerator_ran: self.session.accelerator_ran().as_str().to_owned(),
            ms,
            boxes,
            text: None,
        })
    }

    fn boxes(&self, outputs: &[Tensor], placement: &Placement) -> Vec<FindingBox> {
        let candidates = match &self.decoder {
            BoxDecoder::Ssd(ssd) => ssd.candidates(&self.model, outputs),
            BoxDecoder::Blazeface(face) => blazeface::candidates(face, &self.model, outputs),
        };
        let kept = suppress(candidates, self.model.nms, self.model.boxes_max);
        kept.iter().filter_map(|candidate| self.finding_box(candidate, placement)).collect()
    }

    /// `None` for a box of which nothing lies in the picture.
    fn finding_box(&self, candidate: &Candidate, placement: &Placement) -> Option<FindingBox> {
        let edges = placement.on_picture(candidate.edges);
        let (w, h) = (edges.x1 - edges.x0, edges.y1 - edges.y0);
        let label = self.model.labels.get(candidate.class)?.clone();
        // A comparison that NaN fails, too: huge encodings can become one.
        (w > 0.0 && h > 0.0).then_some(FindingBox { label, score: candidate.score, x: edges.x0, y: edges.y0, w, h })
    }
}
