//! Which execution provider runs a session: a library that the app brings, or one that is built into the platform's library.
//!
//! ONNX Runtime takes what it likes where nothing is named, and falls back to the processor without a word. So a session names
//! its devices, and one that asked for another than the processor is not given the processor.

use super::built_in;
use ort::{
    device::Device,
    environment::Environment,
    memory::DeviceType,
    session::{Session, builder::SessionBuilder},
};
use snaptrak_domain::engine::{Accelerator, LoadOptions, Placement};
use std::path::PathBuf;

/// The provider that every library has.
const PROCESSOR: &str = "CPUExecutionProvider";

/// How long a thread waits awake for the next piece of a run, in microseconds. Two hundred are as quick as any more, and are what a
/// run at most wastes at each of its waits when something else needs the processor.
const AWAKE_FOR: &str = "session.intra_op.spin_duration_us";
const AWAKE_US: &str = "200";
/// Without it, each run's threads stay awake for some more milliseconds after it, for a next run that may not come.
const SLEEP_AFTER_A_RUN: &str = "session.force_spinning_stop";

/// Where ONNX Runtime is, and what else it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrtLibraries {
    /// ONNX Runtime itself.
    pub library: PathBuf,
    /// Providers in libraries of their own, best first.
    pub providers: Vec<OrtProvider>,
}

impl OrtLibraries {
    /// The library alone.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), providers: Vec::new() }
    }
}

/// An execution provider in a library of its own: WebGPU's, Qualcomm's (QNN), Intel's (OpenVINO), NVIDIA's (CUDA).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrtProvider {
    /// What it calls itself (`WebGpuExecutionProvider`).
    pub name: String,
    /// Its library, which stays in the process for good.
    pub library: PathBuf,
    /// What it runs models on.
    pub accelerator: Accelerator,
    /// Whether a device of any kind will do. Only where something stands in for the accelerator, as in tests: what a session
    /// then says of where it ran is what was asked, not what is there.
    pub stands_in: bool,
    /// What it is told, by its own words.
    pub options: Vec<(String, String)>,
}

fn device_type(accelerator: Accelerator) -> DeviceType {
    match accelerator {
        Accelerator::Cpu => DeviceType::CPU,
        Accelerator::Gpu => DeviceType::GPU,
        Accelerator::Npu => DeviceType::NPU,
    }
}

impl OrtProvider {
    /// Its devices for its accelerator.
    fn devices<'e>(&self, environment: &'e Environment) -> Vec<Device<'e>> {
        let is_meant = |device: &Device<'_>| {
            let has_kind = self.stands_in || device.hardware_device().ty() == device_type(self.accelerator);
            has_kind && device.ep().ok() == Some(self.name.as_str())
        };
        environment.devices().filter(is_meant).collect()
    }
}

/// The first of the app's providers that has a device for this accelerator.
fn brought<'p, 'e>(
    environment: &'e Environment,
    providers: &'p [OrtProvider],
    accelerator: Accelerator,
) -> Option<(&'p OrtProvider, Vec<Device<'e>>)> {
    let meant = providers.iter().filter(|provider| provider.accelerator == accelerator);
    let with_devices = meant.map(|provider| (provider, provider.devices(environment)));
    with_devices.into_iter().find(|(_, devices)| !devices.is_empty())
}

fn processor(environment: &Environment) -> impl Iterator<Item = Device<'_>> {
    environment.devices().filter(|device| device.ep().ok() == Some(PROCESSOR))
}

/// Whether there is something to ask. A provider that is built in does not tell before a model is loaded whether its device is
/// there.
pub(super) fn offers(environment: &Environment, providers: &[OrtProvider], accelerator: Accelerator) -> bool {
    match accelerator {
        Accelerator::Cpu => processor(environment).next().is_some(),
        Accelerator::Gpu | Accelerator::Npu => {
            brought(environment, providers, accelerator).is_some() || built_in::provider(accelerator, 1).is_some()
        }
    }
}

/// What the library calls the devices on which a model would be placed. What is built in names none of its own.
pub(super) fn device(environment: &Environment, providers: &[OrtProvider], accelerator: Accelerator) -> Option<String> {
    let of_kind = |device: &Device<'_>| device.hardware_device().ty() == device_type(accelerator);
    let devices = brought(environment, providers, accelerator).map(|(_, devices)| devices);
    let devices = devices.unwrap_or_else(|| environment.devices().filter(of_kind).collect());
    let name = |device: &Device<'_>| {
        let hardware = device.hardware_device();
        let (provider, maker) = (device.ep().unwrap_or_default(), hardware.vendor().unwrap_or_default());
        format!("{provider} {maker} {:x}", hardware.id())
    };
    (!devices.is_empty()).then(|| devices.iter().map(name).collect::<Vec<_>>().join(", "))
}

/// A builder with its devices, and how much of a model that loads will be there. The accelerator is offered.
pub(super) fn place(
    environment: &Environment,
    providers: &[OrtProvider],
    options: LoadOptions,
    threads: usize,
) -> Result<(SessionBuilder, Placement), String> {
    let built_in = built_in::provider(options.accelerator, threads);
    // A provider with threads of its own leaves none to the library.
    let is_threaded = options.accelerator == Accelerator::Cpu && built_in.is_some();
    let builder = Session::builder(environment).map_err(|error| error.to_string())?;
    let builder = with_threads(builder, if is_threaded { 1 } else { threads })?;
    match (options.accelerator, built_in) {
        (Accelerator::Cpu, None) => {
            let builder = builder.with_devices(processor(environment), None).map_err(in_words)?;
            Ok((builder, Placement::Whole))
        }
        // What it does not take, the library's own kernels do, on the same processor.
        (Accelerator::Cpu, Some(provider)) => {
            let builder = builder.with_execution_providers([provider]).map_err(in_words)?;
            Ok((builder, Placement::Unknown))
        }
        (accelerator @ (Accelerator::Gpu | Accelerator::Npu), built_in) => {
            // Without the processor to fall back to, a session that loads runs where it was asked to run.
            let builder = builder.with_disable_cpu_fallback().map_err(in_words)?;
            let builder = match (brought(environment, providers, accelerator), built_in) {
                (Some((provider, devices)), _) => {
                    let told = |(key, value): &(String, String)| (format!("{}.{key}", provider.name), value.clone());
                    let told: Vec<_> = provider.options.iter().map(told).collect();
                    builder.with_devices(devices, Some(&told)).map_err(in_words)?
                }
                (None, Some(provider)) => builder.with_execution_providers([provider]).map_err(in_words)?,
                (None, None) => return Err("there is no provider".to_owned()),
            };
            Ok((builder, Placement::Whole))
        }
    }
}

/// A run's threads wait for each other hundreds of times, for some microseconds each: putting them to sleep and waking them takes
/// a tenth to a quarter of the whole run, and more of the processor's time than the wait itself. So they wait awake, for a bounded
/// time, and only while a run lasts: between runs they sleep.
fn with_threads(builder: SessionBuilder, threads: usize) -> Result<SessionBuilder, String> {
    let builder = builder.with_intra_threads(threads).map_err(in_words)?;
    let builder = builder.with_inter_threads(1).map_err(in_words)?;
    let builder = builder.with_inter_op_spinning(false).map_err(in_words)?;
    let builder = builder.with_intra_op_spinning(true).map_err(in_words)?;
    let builder = builder.with_config_entry(AWAKE_FOR, AWAKE_US).map_err(in_words)?;
    builder.with_config_entry(SLEEP_AFTER_A_RUN, "1").map_err(in_words)
}

fn in_words(error: ort::Error<SessionBuilder>) -> String {
    error.to_string()
}
