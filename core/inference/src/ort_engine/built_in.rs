//! The execution providers that a platform's own build of ONNX Runtime has, chosen when this is compiled.
//!
//! None of them has run yet: there is no such device, and no such library, where this was written. What is known is that it
//! compiles for both systems.

use ort::ep::ExecutionProviderDispatch;
use snaptrak_domain::engine::Accelerator;

/// Android: XNNPACK on the processor, WebGPU on the GPU, NNAPI on an NPU (deprecated there since Android 15; a maker's own, as
/// Qualcomm's QNN, is a library that the app brings).
#[cfg(target_os = "android")]
pub(super) fn provider(accelerator: Accelerator, threads: usize) -> Option<ExecutionProviderDispatch> {
    use ort::ep::{NNAPI, WebGPU};
    match accelerator {
        Accelerator::Cpu => xnnpack(threads),
        Accelerator::Gpu => offered::<WebGPU>(|| WebGPU::default().build()),
        // Android would run on the processor what its drivers do not take.
        Accelerator::Npu => offered::<NNAPI>(|| NNAPI::default().with_disable_cpu(true).build()),
    }
}

/// Apple: XNNPACK on the processor, Core ML on the GPU and the Neural Engine.
#[cfg(target_vendor = "apple")]
pub(super) fn provider(accelerator: Accelerator, threads: usize) -> Option<ExecutionProviderDispatch> {
    use ort::ep::{
        CoreML,
        coreml::{ComputeUnits, ModelFormat},
    };
    let core_ml = |units| {
        let provider = CoreML::default().with_model_format(ModelFormat::MLProgram).with_compute_units(units);
        offered::<CoreML>(|| provider.build())
    };
    match accelerator {
        Accelerator::Cpu => xnnpack(threads),
        Accelerator::Gpu => core_ml(ComputeUnits::CPUAndGPU),
        Accelerator::Npu => core_ml(ComputeUnits::CPUAndNeuralEngine),
    }
}

#[cfg(any(target_os = "android", target_vendor = "apple"))]
fn xnnpack(threads: usize) -> Option<ExecutionProviderDispatch> {
    use ort::ep::XNNPACK;
    let threads = std::num::NonZeroUsize::new(threads)?;
    offered::<XNNPACK>(|| XNNPACK::default().with_intra_op_num_threads(threads).build())
}

/// The provider, if this build of the library has it; one that then fails is an error of the session.
#[cfg(any(target_os = "android", target_vendor = "apple"))]
fn offered<P: ort::ep::ExecutionProvider>(
    build: impl FnOnce() -> ExecutionProviderDispatch,
) -> Option<ExecutionProviderDispatch> {
    P::is_available().is_ok_and(|is_there| is_there).then(|| build().error_on_failure())
}

/// Elsewhere the library has the processor alone.
#[cfg(not(any(target_os = "android", target_vendor = "apple")))]
pub(super) fn provider(_accelerator: Accelerator, _threads: usize) -> Option<ExecutionProviderDispatch> {
    None
}
