//! LiteRT 2.3's compiled models in safe clothes: with `classic_foreign.rs` the only unsafe code of this engine.
//!
//! Signatures, structs and numbers are those of the headers in `litert/c` of LiteRT 2.3 (`litert_environment.h`,
//! `litert_model.h`, `litert_options.h`, `litert_opaque_options.h`, `litert_compiled_model.h`, `litert_tensor_buffer.h`,
//! `internal/litert_accelerator.h`). They hold for that version only, which `symbols.rs` sees to before anything here is
//! called. Every handle has one owner that destroys it, and a model's parts are destroyed in the order that the headers ask
//! for: buffers, compiled model, options, model, its bytes, environment.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

use super::{functions::functions, model_bytes::ModelBytes, port::Port, status};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::Path,
    ptr,
    sync::Arc,
};

type Handle = *mut c_void;
type Status = c_int;

/// Bits of the accelerators.
pub(super) const CPU: c_int = 1;
pub(super) const GPU: c_int = 2;
pub(super) const NPU: c_int = 4;

/// What an environment can be told, by its number in `litert_environment_options.h`.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
enum Tag {
    CompilerPluginFolder = 0,
    DispatchFolder = 1,
    RuntimeFolder = 22,
    Accelerators = 24,
    LogSeverityLeast = 25,
}

/// Above every severity: what the library has to say it says with a status.
const LOG_NOTHING: i64 = 4;

const ANY_INTEGER: c_int = 2;
const ANY_TEXT: c_int = 8;

#[repr(C)]
union AnyValue {
    integer: i64,
    text: *const c_char,
}

/// `LiteRtAny`.
#[repr(C)]
struct Any {
    kind: c_int,
    value: AnyValue,
}

/// `LiteRtEnvOption`.
#[repr(C)]
struct EnvironmentOption {
    tag: c_int,
    value: Any,
}

const RANK_MAX: usize = 8;
const ELEMENT_FLOAT32: c_int = 1;
const TENSOR_RANKED: c_int = 0;
const LOCK_READ: c_int = 0;
const LOCK_WRITE: c_int = 1;
/// The rank is the lowest seven bits of its word, the next one tells whether there are strides.
const RANK_BITS: u32 = 0x7f;

/// `LiteRtRankedTensorType` with its `LiteRtLayout`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct RankedTensorType {
    element: c_int,
    rank_and_flag: u32,
    sizes: [i32; RANK_MAX],
    strides: [u32; RANK_MAX],
}

const _: () = assert!(size_of::<RankedTensorType>() == 72 && size_of::<EnvironmentOption>() == 24);

functions! {
    /// What is used of the library.
    Functions {
        create_environment = "LiteRtCreateEnvironment" (c_int, *const EnvironmentOption, *mut Handle) -> Status;
        destroy_environment = "LiteRtDestroyEnvironment" (Handle);
        accelerator_count = "LiteRtGetNumAccelerators" (Handle, *mut usize) -> Status;
        accelerator = "LiteRtGetAccelerator" (Handle, usize, *mut Handle) -> Status;
        accelerator_hardware = "LiteRtGetAcceleratorHardwareSupport" (Handle, *mut c_int) -> Status;
        create_model = "LiteRtCreateModelFromBuffer" (Handle, *const c_void, usize, *mut Handle) -> Status;
        destroy_model = "LiteRtDestroyModel" (Handle);
        subgraph_count = "LiteRtGetNumModelSubgraphs" (Handle, *mut usize) -> Status;
        signature_count = "LiteRtGetNumModelSignatures" (Handle, *mut usize) -> Status;
        signature = "LiteRtGetModelSignature" (Handle, usize, *mut Handle) -> Status;
        input_count = "LiteRtGetNumSignatureInputs" (Handle, *mut usize) -> Status;
        output_count = "LiteRtGetNumSignatureOutputs" (Handle, *mut usize) -> Status;
        input_tensor = "LiteRtGetSignatureInputTensorByIndex" (Handle, usize, *mut Handle) -> Status;
        output_tensor = "LiteRtGetSignatureOutputTensorByIndex" (Handle, usize, *mut Handle) -> Status;
        tensor_name = "LiteRtGetTensorName" (Handle, *mut *const c_char) -> Status;
        tensor_kind = "LiteRtGetTensorTypeId" (Handle, *mut c_int) -> Status;
        tensor_type = "LiteRtGetRankedTensorType" (Handle, *mut RankedTensorType) -> Status;
        create_options = "LiteRtCreateOptions" (*mut Handle) -> Status;
        destroy_options = "LiteRtDestroyOptions" (Handle);
        set_accelerators = "LiteRtSetOptionsHardwareAccelerators" (Handle, c_int) -> Status;
        create_opaque_options = "LiteRtCreateOpaqueOptions"
            (*const c_char, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>, *mut Handle) -> Status;
        destroy_opaque_options = "LiteRtDestroyOpaqueOptions" (Handle);
        add_opaque_options = "LiteRtAddOpaqueOptions" (Handle, Handle) -> Status;
        compile = "LiteRtCreateCompiledModel" (Handle, Handle, Handle, *mut Handle) -> Status;
        destroy_compiled = "LiteRtDestroyCompiledModel" (Handle);
        is_fully_accelerated = "LiteRtCompiledModelIsFullyAccelerated" (Handle, *mut u8) -> Status;
        is_non_cpu_fully_accelerated = "LiteRtCompiledModelIsNonCpuFullyAccelerated" (Handle, *mut u8) -> Status;
        input_requirements = "LiteRtGetCompiledModelInputBufferRequirements" (Handle, usize, usize, *mut Handle) -> Status;
        output_requirements = "LiteRtGetCompiledModelOutputBufferRequirements" (Handle, usize, usize, *mut Handle) -> Status;
        create_buffer = "LiteRtCreateManagedTensorBufferFromRequirements"
            (Handle, *const RankedTensorType, Handle, *mut Handle) -> Status;
        destroy_buffer = "LiteRtDestroyTensorBuffer" (Handle);
        buffer_packed_bytes = "LiteRtGetTensorBufferPackedSize" (Handle, *mut usize) -> Status;
        lock_buffer = "LiteRtLockTensorBuffer" (Handle, *mut *mut c_void, c_int) -> Status;
        unlock_buffer = "LiteRtUnlockTensorBuffer" (Handle) -> Status;
        run = "LiteRtRunCompiledModel" (Handle, usize, usize, *mut Handle, usize, *mut Handle) -> Status;
    }
}

/// The loaded library. It stays in the process for good: accelerators leave threads behind that must not lose their code.
#[derive(Clone)]
pub(super) struct Library(Arc<Functions>);

impl Library {
    /// Loads the library, whose version has been looked up.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers. The path comes from the app, which vouches for the library as for
        // its own code, and the file has LiteRT's table of functions.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
        let functions = Functions::of(&library).map_err(|name| format!("the function {name} is not there"))?;
        std::mem::forget(library);
        Ok(Self(Arc::new(functions)))
    }
}

/// A handle with the function that destroys it.
struct Owned {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle),
}

impl Owned {
    /// What `create` puts into the place that it is given.
    fn new(
        what: &str,
        destroy: unsafe extern "C" fn(Handle),
        create: impl FnOnce(*mut Handle) -> Status,
    ) -> Result<Self, String> {
        let handle = answered(what, create)?;
        Ok(Self { handle, destroy })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle came from the function that belongs to `destroy`, and this is its only owner.
        unsafe { (self.destroy)(self.handle) };
    }
}

/// A handle that a function puts into the place that it is given; null is a failure whatever the status says.
fn answered(what: &str, call: impl FnOnce(*mut Handle) -> Status) -> Result<Handle, String> {
    let mut handle = ptr::null_mut();
    check(what, call(&mut handle))?;
    if handle.is_null() { Err(format!("{what}: the library gave nothing")) } else { Ok(handle) }
}

/// As [`answered`], for a number.
fn told<T: Default>(what: &str, call: impl FnOnce(*mut T) -> Status) -> Result<T, String> {
    let mut value = T::default();
    check(what, call(&mut value)).map(|()| value)
}

fn check(what: &str, status: Status) -> Result<(), String> {
    if status == status::OK { Ok(()) } else { Err(format!("{what}: {}", status::in_words(status))) }
}

/// What an environment is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Bits of the accelerators that are made ready; each other one costs the loading of a library.
    pub(super) accelerators: c_int,
    /// Where LiteRT's own libraries of accelerators lie.
    pub(super) runtime_folder: &'a Path,
    /// Where an NPU's libraries lie: its compiler and what runs it.
    pub(super) npu_folders: Option<(&'a Path, &'a Path)>,
}

/// What the library keeps of a device. Each session has its own, so that no two share state.
pub(super) struct Environment {
    owned: Owned,
    library: Library,
    // The library may keep pointers to what it was given.
    _texts: Vec<CString>,
}

impl Environment {
    pub(super) fn new(library: &Library, surroundings: Surroundings<'_>) -> Result<Self, String> {
        let mut texts = vec![(Tag::RuntimeFolder, text_of(surroundings.runtime_folder)?)];
        if let Some((compiler, dispatch)) = surroundings.npu_folders {
            texts.push((Tag::CompilerPluginFolder, text_of(compiler)?));
            texts.push((Tag::DispatchFolder, text_of(dispatch)?));
        }
        let integer = |tag: Tag, integer| EnvironmentOption {
            tag: tag as c_int,
            value: Any { kind: ANY_INTEGER, value: AnyValue { integer } },
        };
        let mut options = vec![
            integer(Tag::Accelerators, i64::from(surroundings.accelerators)),
            integer(Tag::LogSeverityLeast, LOG_NOTHING),
        ];
        options.extend(texts.iter().map(|(tag, text)| EnvironmentOption {
            tag: *tag as c_int,
            value: Any { kind: ANY_TEXT, value: AnyValue { text: text.as_ptr() } },
        }));
        let count = options.len() as c_int;
        let create = |environment| {
            // SAFETY: `options` holds `count` options, each with the member of its union that its kind names; the texts
            // outlive the environment.
            unsafe { (library.0.create_environment)(count, options.as_ptr(), environment) }
        };
        let owned = Owned::new("the environment", library.0.destroy_environment, create)?;
        Ok(Self { owned, library: library.clone(), _texts: texts.into_iter().map(|(_, text)| text).collect() })
    }

    /// Bits of the accelerators whose libraries are there. Whether a device answers is known when a model is compiled.
    pub(super) fn accelerators(&self) -> Result<c_int, String> {
        let functions = &self.library.0;
        let what = "the list of accelerators";
        // SAFETY: here and below the environment is alive, and each place is one of the type that the function fills.
        let count = told(what, |count| unsafe { (functions.accelerator_count)(self.owned.handle, count) })?;
        (0..count).try_fold(0, |bits, index| {
            let accelerator =
                answered(what, |place| unsafe { (functions.accelerator)(self.owned.handle, index, place) })?;
            let more: c_int = told(what, |place| unsafe { (functions.accelerator_hardware)(accelerator, place) })?;
            Ok(bits | more)
        })
    }
}

fn text_of(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "a folder's name holds a zero byte".to_owned())
}

/// A model as it stands in its file.
pub(super) struct Model {
    owned: Owned,
    inputs: Vec<(Port, RankedTensorType)>,
    outputs: Vec<(Port, RankedTensorType)>,
    // Read by the library as long as the model lives.
    _bytes: ModelBytes,
}

impl Model {
    /// Reads the first signature; a file that names none has one for its first graph.
    pub(super) fn new(environment: &Environment, bytes: ModelBytes) -> Result<Self, String> {
        let functions = &environment.library.0;
        let content = bytes.as_slice();
        let create = |model| {
            // SAFETY: the environment is alive; the bytes are readable, and neither move nor go before the model does.
            unsafe {
                (functions.create_model)(environment.owned.handle, content.as_ptr().cast(), content.len(), model)
            }
        };
        let owned = Owned::new("the file", functions.destroy_model, create)?;
        let what = "the signature";
        // SAFETY: the model is alive, as are its signature and tensors, which belong to it.
        let (graphs, signatures) = unsafe {
            let graphs: usize = told(what, |count| (functions.subgraph_count)(owned.handle, count))?;
            let signatures: usize = told(what, |count| (functions.signature_count)(owned.handle, count))?;
            (graphs, signatures)
        };
        if graphs == 0 || signatures == 0 {
            return Err("it has no graph".to_owned());
        }
        let signature = answered(what, |place| unsafe { (functions.signature)(owned.handle, 0, place) })?;
        let ports = |count: unsafe extern "C" fn(Handle, *mut usize) -> Status,
                     tensor: unsafe extern "C" fn(Handle, usize, *mut Handle) -> Status| {
            let count: usize = told(what, |place| unsafe { count(signature, place) })?;
            let port = |index| {
                let tensor = answered(what, |place| unsafe { tensor(signature, index, place) })?;
                port_of(functions, tensor)
            };
            (0..count).map(port).collect::<Result<Vec<_>, String>>()
        };
        let inputs = ports(functions.input_count, functions.input_tensor)?;
        let outputs = ports(functions.output_count, functions.output_tensor)?;
        Ok(Self { owned, inputs, outputs, _bytes: bytes })
    }
}

fn port_of(functions: &Functions, tensor: Handle) -> Result<(Port, RankedTensorType), String> {
    let what = "a tensor";
    let mut name = ptr::null();
    // SAFETY: the tensor belongs to a model that is alive, each place is of the type that the function fills, and the name
    // is a text that lives as long as the model; it is copied here.
    let (name, kind) = unsafe {
        check(what, (functions.tensor_name)(tensor, &mut name))?;
        let name = if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() };
        let kind: c_int = told(what, |kind| (functions.tensor_kind)(tensor, kind))?;
        (name, kind)
    };
    if kind != TENSOR_RANKED {
        return Err(format!("`{name}` has no fixed shape"));
    }
    // SAFETY: as above.
    let tensor_type: RankedTensorType = told(what, |place| unsafe { (functions.tensor_type)(tensor, place) })?;
    if tensor_type.element != ELEMENT_FLOAT32 {
        return Err(format!("`{name}` does not hold 32-bit floats"));
    }
    let sizes = tensor_type.sizes.get(..(tensor_type.rank_and_flag & RANK_BITS) as usize);
    let sizes = sizes.ok_or_else(|| format!("`{name}` has more than {RANK_MAX} sizes"))?;
    Ok((Port::new(name, sizes)?, tensor_type))
}

/// How a model is compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compilation<'a> {
    /// Bits of the accelerators that may run it.
    pub(super) accelerators: c_int,
    /// Texts in TOML for those who know their identifiers.
    pub(super) texts: &'a [(String, String)],
}

/// A model that is ready to run. The order of the fields is the order in which they are dropped.
pub(super) struct Compiled {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    input_ports: Vec<Port>,
    output_ports: Vec<Port>,
    // The same handles again, side by side as the library wants them.
    input_handles: Vec<Handle>,
    output_handles: Vec<Handle>,
    owned: Owned,
    _options: Owned,
    _model: Model,
    environment: Environment,
}

// SAFETY: everything that the handles refer to belongs to this value alone, the environment included; the library's calls
// are bound to no thread, and `&mut self` sees to it that there is one at a time.
unsafe impl Send for Compiled {}

impl Compiled {
    /// `model` was read in this environment.
    pub(super) fn new(environment: Environment, model: Model, compilation: Compilation<'_>) -> Result<Self, String> {
        let functions = Arc::clone(&environment.library.0);
        let options = options(&functions, compilation)?;
        let compile = |compiled| {
            // SAFETY: all three are alive, and stay so until after the compiled model.
            unsafe {
                (functions.compile)(environment.owned.handle, model.owned.handle, options.handle, compiled)
            }
        };
        let owned = Owned::new("compiling", functions.destroy_compiled, compile)?;
        let buffers = |ports: &[(Port, RankedTensorType)],
                       requirements: unsafe extern "C" fn(Handle, usize, usize, *mut Handle) -> Status| {
            let buffer = |(index, (port, tensor_type)): (usize, &(Port, RankedTensorType))| {
                // SAFETY: the compiled model is alive, and what it requires belongs to it.
                let required =
                    answered("a tensor", |place| unsafe { requirements(owned.handle, 0, index, place) })?;
                Buffer::new(&environment, tensor_type, required, port)
            };
            ports.iter().enumerate().map(buffer).collect::<Result<Vec<_>, String>>()
        };
        let inputs = buffers(&model.inputs, functions.input_requirements)?;
        let outputs = buffers(&model.outputs, functions.output_requirements)?;
        let ports = |ports: &[(Port, RankedTensorType)]| ports.iter().map(|(port, _)| port.clone()).collect();
        let handles = |buffers: &[Buffer]| buffers.iter().map(|buffer| buffer.owned.handle).collect();
        Ok(Self {
            input_handles: handles(&inputs),
            output_handles: handles(&outputs),
            input_ports: ports(&model.inputs),
            output_ports: ports(&model.outputs),
            inputs,
            outputs,
            owned,
            _options: options,
            _model: model,
            environment,
        })
    }

    /// Whether every operation is with an accelerator, XNNPACK among them.
    pub(super) fn is_accelerated(&self) -> Result<bool, String> {
        self.placed(self.environment.library.0.is_fully_accelerated)
    }

    /// Whether every operation is with an accelerator that is not the processor.
    pub(super) fn is_off_the_processor(&self) -> Result<bool, String> {
        self.placed(self.environment.library.0.is_non_cpu_fully_accelerated)
    }

    fn placed(&self, function: unsafe extern "C" fn(Handle, *mut u8) -> Status) -> Result<bool, String> {
        // SAFETY: the compiled model is alive, and a C `bool` is a byte.
        let answer: u8 = told("the placement", |place| unsafe { function(self.owned.handle, place) })?;
        Ok(answer != 0)
    }
}

impl super::session::Runner for Compiled {
    fn inputs(&self) -> &[Port] {
        &self.input_ports
    }

    fn outputs(&self) -> &[Port] {
        &self.output_ports
    }

    fn write(&mut self, input: usize, values: &[f32]) -> Result<(), String> {
        self.inputs[input].with(&self.environment.library.0, LOCK_WRITE, |place| {
            // SAFETY: the place has room for the port's values (`Buffer::new`), and the session gives exactly as many.
            unsafe { ptr::copy_nonoverlapping(values.as_ptr().cast::<u8>(), place, size_of_val(values)) };
        })
    }

    fn run(&mut self) -> Result<(), String> {
        let (inputs, outputs) = (&mut self.input_handles, &mut self.output_handles);
        // SAFETY: the compiled model and all buffers are alive, and there are as many as the counts say.
        let status = unsafe {
            (self.environment.library.0.run)(
                self.owned.handle,
                0,
                inputs.len(),
                inputs.as_mut_ptr(),
                outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        check("running", status)
    }

    fn read(&mut self, output: usize, values: &mut [f32]) -> Result<(), String> {
        self.outputs[output].with(&self.environment.library.0, LOCK_READ, |place| {
            // SAFETY: as in `write`; any four bytes are a float.
            unsafe { ptr::copy_nonoverlapping(place, values.as_mut_ptr().cast::<u8>(), size_of_val(values)) };
        })
    }
}

/// Options with the accelerators and the texts.
fn options(functions: &Functions, compilation: Compilation<'_>) -> Result<Owned, String> {
    let what = "the options";
    // SAFETY: the place is one for a handle.
    let options = Owned::new(what, functions.destroy_options, |place| unsafe { (functions.create_options)(place) })?;
    // SAFETY: the options are alive.
    check(what, unsafe { (functions.set_accelerators)(options.handle, compilation.accelerators) })?;
    for (identifier, text) in compilation.texts {
        let text_with_end = |text: &str| CString::new(text).map_err(|_| "an option holds a zero byte".to_owned());
        let (identifier, text) = (text_with_end(identifier)?, text_with_end(text)?);
        let text = text.into_raw();
        // SAFETY: the identifier is a text that the library copies; the other text is the library's from here on, which
        // gives it back through `free_text`, exactly once.
        let opaque = answered(what, |place| unsafe {
            (functions.create_opaque_options)(identifier.as_ptr(), text.cast(), Some(free_text), place)
        });
        let opaque = opaque.inspect_err(|_| {
            // SAFETY: the library did not take it.
            drop(unsafe { CString::from_raw(text) });
        })?;
        // SAFETY: both are alive. What is added belongs to the options, what is not is destroyed here.
        let added = check(what, unsafe { (functions.add_opaque_options)(options.handle, opaque) });
        added.inspect_err(|_| unsafe { (functions.destroy_opaque_options)(opaque) })?;
    }
    Ok(options)
}

/// # Safety
/// `text` came from `CString::into_raw` and is given back once.
unsafe extern "C" fn free_text(text: *mut c_void) {
    // SAFETY: as above.
    drop(unsafe { CString::from_raw(text.cast()) });
}

/// Memory of one input or output, the library's.
struct Buffer {
    owned: Owned,
}

impl Buffer {
    /// A buffer that holds exactly the port's floats.
    fn new(
        environment: &Environment,
        tensor_type: &RankedTensorType,
        required: Handle,
        port: &Port,
    ) -> Result<Self, String> {
        let functions = &environment.library.0;
        // SAFETY: all are alive, and the type is read only during the call.
        let create = |place| unsafe { (functions.create_buffer)(environment.owned.handle, tensor_type, required, place) };
        let owned = Owned::new("a tensor's memory", functions.destroy_buffer, create)?;
        // SAFETY: the buffer is alive.
        let bytes: usize =
            told("a tensor's memory", |place| unsafe { (functions.buffer_packed_bytes)(owned.handle, place) })?;
        if bytes != port.values * size_of::<f32>() {
            return Err(format!("`{}` has {bytes} bytes for {} values", port.name, port.values));
        }
        Ok(Self { owned })
    }

    /// The memory while it is the processor's, which it is not for longer than `work` takes.
    fn with(&mut self, functions: &Functions, mode: c_int, work: impl FnOnce(*mut u8)) -> Result<(), String> {
        // SAFETY: the buffer is alive and not locked: this is the only place that locks it.
        let place = answered("a tensor's memory", |place| unsafe {
            (functions.lock_buffer)(self.owned.handle, place, mode)
        })?;
        work(place.cast());
        // SAFETY: it was locked above.
        check("a tensor's memory", unsafe { (functions.unlock_buffer)(self.owned.handle) })
    }
}
