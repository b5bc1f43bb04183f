//! Understanding pictures on the device.

use crate::{
    Accelerator, Cancellation, Conditions, ProgressListener, SnapTrak, SnapTrakError, cancellation::Waiting, progress,
};
use std::sync::Arc;

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct AnalyseOptions {
    /// Only this model; every model of the manifest otherwise.
    #[uniffi(default = None)]
    pub model: Option<String>,
    /// Only this engine, `ort` or `tflite`; otherwise the first of these whose library is configured.
    #[uniffi(default = None)]
    pub engine: Option<String>,
    /// Where it should run, and nowhere else: what this device does not offer is refused, and what has brought the process
    /// down or hung. Otherwise where each model is best on this device, which is measured when it is first asked for.
    #[uniffi(default = None)]
    pub accelerator: Option<Accelerator>,
    /// At most so many captures.
    #[uniffi(default = None)]
    pub limit: Option<u64>,
    /// What the app knows of the moment; a cool device in front otherwise.
    #[uniffi(default = None)]
    pub conditions: Option<Conditions>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AnalyseReport {
    /// Captures that were understood.
    pub analysed: u64,
    /// Captures that were set aside with a reason.
    pub parked: u64,
    /// Captures that still wait.
    pub left: u64,
    /// Thumbnails made.
    pub thumbnails: u64,
}

#[uniffi::export]
impl SnapTrak {
    /// Understands what waits for analysis, and makes the thumbnails that wait. A picture that cannot be analysed is set aside
    /// and never holds up the others. Broken off (`cancelled`), it has finished the picture that it was looking at; what was
    /// understood is kept, and the next call goes on.
    #[uniffi::method(default(options = None, progress = None, cancellation = None))]
    pub async fn analyse(
        &self,
        options: Option<AnalyseOptions>,
        progress: Option<Arc<dyn ProgressListener>>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<AnalyseReport, SnapTrakError> {
        let AnalyseOptions { model, engine, accelerator, limit, conditions } = options.unwrap_or_default();
        let accelerator = accelerator.map(Into::into);
        let conditions = conditions.map(Into::into).unwrap_or_default();
        let options = snaptrak::AnalyseOptions { model, engine, accelerator, limit, conditions };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| {
            Ok(core.analyse_until(&options, &progress::Adapted::new(progress), token)?.into())
        })
        .await
    }

    /// A small upright JPEG of a capture, 320 pixels on its longer side at most; nothing for what has none.
    pub async fn thumbnail(&self, id: String) -> Result<Option<Vec<u8>>, SnapTrakError> {
        let id = crate::ids::capture_id(&id)?;
        self.run(move |core| Ok(core.thumbnail(id)?)).await
    }

    /// Keeps a picture that the app gives as a capture's thumbnail: a video's still, a HEIC that the system decoded. JPEG, PNG or
    /// WebP of any size.
    pub async fn set_thumbnail(&self, id: String, picture: Vec<u8>) -> Result<(), SnapTrakError> {
        let id = crate::ids::capture_id(&id)?;
        self.run(move |core| Ok(core.set_thumbnail(id, &picture)?)).await
    }
}

impl From<snaptrak::AnalyseReport> for AnalyseReport {
    fn from(report: snaptrak::AnalyseReport) -> Self {
        let snaptrak::AnalyseReport { analysed, parked, left, thumbnails } = report;
        Self { analysed, parked, left, thumbnails }
    }
}
