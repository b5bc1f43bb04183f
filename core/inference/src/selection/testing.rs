//! What the tests of this module share.

use super::marker::Process;
use snaptrak_domain::{
    BootId, Place, Sha256Digest,
    engine::Accelerator,
    verdict::{Candidate, Circumstances},
};

pub(super) fn candidate(model: &str) -> Candidate {
    Candidate { engine: "fake".into(), accelerator: Accelerator::Gpu, model_id: model.into(), place: Place::Foreground }
}

pub(super) fn circumstances() -> Circumstances {
    Circumstances {
        library: "fake 1".into(),
        device: "device".into(),
        driver: "driver".into(),
        model_sha256: Sha256Digest([3; 32]),
    }
}

pub(super) fn process(process_id: u32) -> Process {
    Process { process_id, boot_id: BootId("boot".into()), started_ms: 1 }
}
