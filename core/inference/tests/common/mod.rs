//! Where the fetched library and models are.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions, ModelFile, Tensor};
use snaptrak_inference::registry::Decoder;
use snaptrak_inference::{
    Manifest, ModelEntry, NpuOption, NpuPlugin, OrtEngine, OrtLibraries, OrtProvider, TfliteEngine, TfliteLibraries,
    verify,
};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const CPU: LoadOptions = LoadOptions { accelerator: Accelerator::Cpu, threads: 2 };

pub fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from)
}

/// The runtime's library; a test that needs it fails without it.
pub fn library() -> PathBuf {
    let found = std::fs::read_dir(cache().join("runtime")).ok().and_then(|files| {
        let names = files.filter_map(Result::ok).map(|file| file.path());
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime")).max()
    });
    found.unwrap_or_else(|| panic!("there is no ONNX Runtime in {}: run `cargo xtask models` first", cache().display()))
}

pub fn models() -> PathBuf {
    let folder = cache().join("models");
    assert!(folder.join("manifest.json").exists(), "there are no models: run `cargo xtask models` first");
    folder
}

pub fn manifest() -> Manifest {
    Manifest::load(&models()).unwrap()
}

pub fn engine() -> OrtEngine {
    OrtEngine::open(&library()).unwrap()
}

fn fetched(file: &str) -> PathBuf {
    let path = cache().join("runtime").join(file);
    assert!(path.is_file(), "there is no {}: run `cargo xtask models` first", path.display());
    path
}

pub fn litert_library() -> PathBuf {
    fetched("litert/libLiteRt.so")
}

pub fn classic_library() -> PathBuf {
    fetched("tensorflow-lite/libtensorflowlite_c.so")
}

/// Both libraries that run TFLite models.
pub fn tflite_engines() -> [TfliteEngine; 2] {
    [litert_library(), classic_library()].map(|library| TfliteEngine::open(&library).unwrap())
}

/// The model as it is for `engine`, and its verified file.
pub fn model_for(engine: &dyn Engine, model: &ModelEntry) -> (ModelEntry, ModelFile) {
    let variant = model.variant_for(engine.id()).unwrap();
    (model.as_in(variant), verify(&models(), model, variant).unwrap())
}

/// A slow wave for a model's input: neither constant nor noise.
pub fn wave(model: &ModelEntry) -> Tensor {
    let contract = &model.inputs[0];
    let values: usize = contract.shape.iter().product();
    let data = (0..values).map(|index| ((index % 997) as f32 / 498.5) - 1.0).collect();
    Tensor { name: contract.name.clone(), shape: contract.shape.clone(), data }
}

/// The largest difference between two models' values: boxes and scores each as one row of numbers, however they are cut.
pub fn largest_difference(a: (&ModelEntry, &[Tensor]), b: (&ModelEntry, &[Tensor])) -> f32 {
    largest(a, b, |a, b| (a - b).abs())
}

/// The same, of a value above 1 as a share of it, as a self-test of `answers` judges: places in pixels come from as many sums.
pub fn largest_share(wanted: (&ModelEntry, &[Tensor]), found: (&ModelEntry, &[Tensor])) -> f32 {
    largest(wanted, found, |wanted, found| (wanted - found).abs() / wanted.abs().max(1.0))
}

fn largest(a: (&ModelEntry, &[Tensor]), b: (&ModelEntry, &[Tensor]), of_pair: impl Fn(&f32, &f32) -> f32) -> f32 {
    let (a, b) = (in_rows(a.0, a.1), in_rows(b.0, b.1));
    assert_eq!((a[0].len(), a[1].len()), (b[0].len(), b[1].len()));
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    // What is no number is the largest.
    pairs.map(|(a, b)| of_pair(a, b)).max_by(f32::total_cmp).unwrap()
}

fn in_rows(model: &ModelEntry, outputs: &[Tensor]) -> [Vec<f32>; 2] {
    let named = |name: &String| outputs.iter().find(|tensor| tensor.name == *name).unwrap().data.clone();
    let (scores, boxes): (Vec<&String>, Vec<&String>) = match &model.decoder {
        Decoder::Ssd(ssd) => (vec![&ssd.scores], vec![&ssd.boxes]),
        Decoder::Blazeface(face) => face.layers.iter().map(|layer| (&layer.scores, &layer.boxes)).unzip(),
    };
    [scores, boxes].map(|mut names| {
        names.dedup();
        names.into_iter().flat_map(named).collect()
    })
}

/// LiteRT with Intel's NPU libraries, told to run their graphs on the processor.
pub fn with_npu() -> TfliteLibraries {
    let library = litert_library();
    let intel = library.parent().unwrap().join("intel");
    let toml = "graph.0.graph_backend = 0\n";
    let options = vec![NpuOption { identifier: "intel_openvino".into(), toml: toml.into() }];
    let npu = NpuPlugin { compiler_folder: intel.join("compiler"), dispatch_folder: intel.join("dispatch"), options };
    TfliteLibraries { npu: Some(npu), ..TfliteLibraries::new(library) }
}

/// Builds with the C compiler that the workspace needs anyway. Each library has a name of its own: a name that was loaded
/// once is not loaded again.
pub fn built(folder: &Path, source: &str) -> PathBuf {
    let place = tempfile::Builder::new().tempdir_in(folder).unwrap().keep();
    let (code, library) = (place.join("library.c"), place.join("library.so"));
    std::fs::write(&code, source).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &code]).status().unwrap();
    assert!(status.success());
    library
}

/// What a session must refuse to run, beside a tensor that fits.
pub fn tensors_that_do_not_fit(good: &Tensor) -> Vec<Vec<Tensor>> {
    vec![
        vec![],
        vec![Tensor { name: "no such input".into(), ..good.clone() }],
        vec![Tensor { shape: vec![1, 2, 2, 3], data: vec![0.0; 12], ..good.clone() }],
        vec![Tensor { data: vec![0.0; 7], ..good.clone() }],
        vec![Tensor { shape: vec![], data: vec![], ..good.clone() }],
    ]
}

/// Set in a child only: the test's name.
const CHILD: &str = "SNAPTRAK_DEVICES_CHILD";

/// What stands in for a device.
pub fn device(name: &str) -> PathBuf {
    let folder = cache().join("devices").join(name);
    assert!(folder.is_dir(), "there is no {}: run `cargo xtask models devices` first", folder.display());
    folder.canonicalize().unwrap()
}

/// Runs `work` in a child of this name with the environment.
pub fn in_child(name: &str, environment: &[(&str, PathBuf)], work: impl FnOnce()) {
    in_child_of(Command::new(std::env::current_exe().unwrap()), name, environment, work);
}

/// The same on a processor that QEMU plays, which answers for itself when it is asked who made it.
pub fn in_child_on(processor: &str, name: &str, environment: &[(&str, PathBuf)], work: impl FnOnce()) {
    let mut child = Command::new(EMULATOR);
    child.args(["-cpu", processor]).arg(std::env::current_exe().unwrap());
    in_child_of(child, name, environment, work);
}

/// Runs programs for this architecture on a processor that it plays (Debian: `qemu-user`).
const EMULATOR: &str = "qemu-x86_64";

/// Whether this machine has it: `cargo xtask test` brings it where it may.
pub fn has_emulator() -> bool {
    Command::new(EMULATOR).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn in_child_of(mut child: Command, name: &str, environment: &[(&str, PathBuf)], work: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return work();
    }
    child.args([name, "--exact", "--nocapture"]).env(CHILD, "1");
    child.env_remove("VK_ICD_FILENAMES").env_remove("VK_DRIVER_FILES").env_remove("LD_LIBRARY_PATH");
    let output = child.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran the test");
}

/// The environment in which a GPU in software is found.
pub fn swiftshader() -> [(&'static str, PathBuf); 2] {
    let folder = device("swiftshader");
    [("VK_ICD_FILENAMES", folder.join("vk_swiftshader_icd.json")), ("LD_LIBRARY_PATH", folder)]
}

/// ONNX Runtime with WebGPU's provider, on whatever device that finds.
pub fn with_webgpu() -> OrtLibraries {
    let provider = OrtProvider {
        name: "WebGpuExecutionProvider".into(),
        library: device("ort-webgpu").join("libonnxruntime_providers_webgpu.so"),
        accelerator: Accelerator::Gpu,
        stands_in: true,
        options: Vec::new(),
    };
    OrtLibraries { providers: vec![provider], ..OrtLibraries::new(library()) }
}

/// ONNX Runtime with Intel's provider, which runs on the processor what an NPU would.
pub fn with_openvino() -> OrtLibraries {
    let provider = OrtProvider {
        name: "OpenVINOExecutionProvider".into(),
        library: device("ort-openvino").join("libonnxruntime_providers_openvino_plugin.so"),
        accelerator: Accelerator::Npu,
        stands_in: true,
        options: Vec::new(),
    };
    OrtLibraries { providers: vec![provider], ..OrtLibraries::new(library()) }
}
