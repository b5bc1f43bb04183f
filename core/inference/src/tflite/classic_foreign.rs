//! TensorFlow Lite's C API in safe clothes: with `litert_foreign.rs` the only unsafe code of this engine.
//!
//! For devices that ship only that library. Its interface has been the same through all of version 2 (`c_api.h`), and it
//! tells its version. It runs on the processor; which kernels it takes there (XNNPACK or plain ones) it does not say.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

use super::{functions::functions, open_sizes::InputSizes, port::Port};
use crate::model_bytes::ModelBytes;
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    path::Path,
    ptr::{self, NonNull},
    sync::Arc,
};

type Handle = *mut c_void;
type Status = c_int;

const OK: Status = 0;
const FLOAT32: c_int = 1;
/// For more, the library starts a pool for each of the libraries that its kernels use (four threads were counted for two),
/// and a session must not start more than it was asked for. So a run stays on the thread that asks for it.
const THREADS: i32 = 1;
/// The version whose interface this is.
const MAJOR: &str = "2.";

/// Takes what would otherwise go to standard error: a format and its arguments, a C `va_list`, which every system that this
/// runs on passes as a pointer.
type Reporter = unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_void);

functions! {
    /// What is used of the library.
    Functions {
        version = "TfLiteVersion" () -> *const c_char;
        create_model = "TfLiteModelCreateWithErrorReporter" (*const c_void, usize, Reporter, *mut c_void) -> Handle;
        delete_model = "TfLiteModelDelete" (Handle);
        create_options = "TfLiteInterpreterOptionsCreate" () -> Handle;
        delete_options = "TfLiteInterpreterOptionsDelete" (Handle);
        set_threads = "TfLiteInterpreterOptionsSetNumThreads" (Handle, i32);
        set_reporter = "TfLiteInterpreterOptionsSetErrorReporter" (Handle, Reporter, *mut c_void);
        create_interpreter = "TfLiteInterpreterCreate" (Handle, Handle) -> Handle;
        delete_interpreter = "TfLiteInterpreterDelete" (Handle);
        resize_input = "TfLiteInterpreterResizeInputTensor" (Handle, i32, *const c_int, i32) -> Status;
        allocate_tensors = "TfLiteInterpreterAllocateTensors" (Handle) -> Status;
        input_count = "TfLiteInterpreterGetInputTensorCount" (Handle) -> i32;
        output_count = "TfLiteInterpreterGetOutputTensorCount" (Handle) -> i32;
        input_tensor = "TfLiteInterpreterGetInputTensor" (Handle, i32) -> Handle;
        output_tensor = "TfLiteInterpreterGetOutputTensor" (Handle, i32) -> Handle;
        tensor_type = "TfLiteTensorType" (Handle) -> c_int;
        tensor_name = "TfLiteTensorName" (Handle) -> *const c_char;
        tensor_rank = "TfLiteTensorNumDims" (Handle) -> i32;
        tensor_size = "TfLiteTensorDim" (Handle, i32) -> i32;
        write_tensor = "TfLiteTensorCopyFromBuffer" (Handle, *const c_void, usize) -> Status;
        read_tensor = "TfLiteTensorCopyToBuffer" (Handle, *mut c_void, usize) -> Status;
        invoke = "TfLiteInterpreterInvoke" (Handle) -> Status;
    }
}

/// The loaded library; it stays in the process for good, as LiteRT does.
#[derive(Clone)]
pub(super) struct Classic {
    functions: Arc<Functions>,
    version: Arc<str>,
}

impl Classic {
    pub(super) fn load_library(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers. The path comes from the app, which vouches for the library as for
        // its own code, and the file has TensorFlow Lite's functions.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
        let functions = Functions::of(&library).map_err(|name| format!("the function {name} is not there"))?;
        // SAFETY: it takes nothing and gives a static text.
        let version = unsafe { CStr::from_ptr((functions.version)()) }.to_string_lossy().into_owned();
        if !version.starts_with(MAJOR) {
            return Err(format!("this is TensorFlow Lite {version}, and {MAJOR}x is needed"));
        }
        std::mem::forget(library);
        Ok(Self { functions: Arc::new(functions), version: version.into() })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

impl std::fmt::Debug for Classic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classic").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A handle with the function that deletes it.
struct Owned {
    handle: NonNull<c_void>,
    delete: unsafe extern "C" fn(Handle),
}

impl Owned {
    fn new(handle: Handle, delete: unsafe extern "C" fn(Handle), otherwise: &str) -> Result<Self, String> {
        let handle = NonNull::new(handle).ok_or_else(|| otherwise.to_owned())?;
        Ok(Self { handle, delete })
    }

    fn get(&self) -> Handle {
        self.handle.as_ptr()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle came from the function that belongs to `delete`, and this is its only owner.
        unsafe { (self.delete)(self.handle.as_ptr()) };
    }
}

/// A model that is ready to run. The order of the fields is the order in which they are dropped.
pub(super) struct Interpreted {
    input_ports: Vec<Port>,
    output_ports: Vec<Port>,
    interpreter: Owned,
    _model: Owned,
    // Read by the interpreter as long as it lives.
    _bytes: ModelBytes,
    functions: Arc<Functions>,
}

// SAFETY: model and interpreter belong to this value alone, the library's calls are bound to no thread, and `&mut self` sees
// to it that there is one at a time.
unsafe impl Send for Interpreted {}

impl Interpreted {
    pub(super) fn new(classic: &Classic, bytes: ModelBytes) -> Result<Self, String> {
        let functions = Arc::clone(&classic.functions);
        let content = bytes.as_slice();
        // SAFETY: the bytes are readable, and neither move nor go before the model does. The library checks them.
        let model = unsafe { (functions.create_model)(content.as_ptr().cast(), content.len(), log, ptr::null_mut()) };
        let model = Owned::new(model, functions.delete_model, "this is no model")?;
        // SAFETY: the options are alive; the interpreter copies what it needs of them and keeps the model.
        let interpreter = unsafe {
            let options = Owned::new((functions.create_options)(), functions.delete_options, "there is no memory")?;
            (functions.set_threads)(options.get(), THREADS);
            (functions.set_reporter)(options.get(), log, ptr::null_mut());
            (functions.create_interpreter)(model.get(), options.get())
        };
        let interpreter =
            Owned::new(interpreter, functions.delete_interpreter, "it holds operations that the library lacks")?;
        // SAFETY: the interpreter is alive.
        if unsafe { (functions.allocate_tensors)(interpreter.get()) } != OK {
            return Err("its tensors find no room".to_owned());
        }
        // The library tells sizes as they are now; which of them are open, the file says.
        let sizes = InputSizes::of_first_graph(content)?;
        let ports = |count: unsafe extern "C" fn(Handle) -> i32,
                     tensor: unsafe extern "C" fn(Handle, i32) -> Handle,
                     sizes: Option<&InputSizes>| {
            // SAFETY: the interpreter is alive, and its tensors belong to it.
            (0..unsafe { count(interpreter.get()) })
                .map(|index| port_of(&functions, unsafe { tensor(interpreter.get(), index) }, sizes))
                .collect::<Result<Vec<_>, _>>()
        };
        let input_ports = ports(functions.input_count, functions.input_tensor, Some(&sizes))?;
        let output_ports = ports(functions.output_count, functions.output_tensor, None)?;
        Ok(Self { input_ports, output_ports, interpreter, _model: model, _bytes: bytes, functions })
    }

    fn give_shapes(&mut self, shapes: &[&[usize]]) -> Result<(), String> {
        let functions = &self.functions;
        let interpreter = self.interpreter.get();
        for (index, (port, shape)) in self.input_ports.iter_mut().zip(shapes).enumerate() {
            port.set_shape(shape)?;
            if port.is_open() {
                // Their product was bounded, so each of them is.
                let sizes: Vec<c_int> = shape.iter().map(|size| *size as c_int).collect();
                // SAFETY: the interpreter is alive, and the sizes are read only during the call.
                let status =
                    unsafe { (functions.resize_input)(interpreter, index as i32, sizes.as_ptr(), sizes.len() as i32) };
                check("a tensor's new sizes", status)?;
            }
        }
        // SAFETY: the interpreter is alive.
        check("the tensors' room", unsafe { (functions.allocate_tensors)(interpreter) })?;
        for (index, port) in self.output_ports.iter_mut().enumerate() {
            // SAFETY: the interpreter is alive, and its tensors belong to it.
            *port = port_of(functions, unsafe { (functions.output_tensor)(interpreter, index as i32) }, None)?;
        }
        Ok(())
    }
}

/// What the library says goes to our log, without the arguments, which Rust cannot read.
///
/// # Safety
/// `format` is a text or null.
unsafe extern "C" fn log(_nothing: *mut c_void, format: *const c_char, _arguments: *mut c_void) {
    if !format.is_null() {
        // SAFETY: as above.
        let format = unsafe { CStr::from_ptr(format) };
        tracing::debug!("tensorflow lite: {}", format.to_string_lossy().trim_end());
    }
}

/// With the sizes that the file says, or else those that it has now.
fn port_of(functions: &Functions, tensor: Handle, file: Option<&InputSizes>) -> Result<Port, String> {
    if tensor.is_null() {
        return Err("a tensor is not there".to_owned());
    }
    // SAFETY: the tensor belongs to an interpreter that is alive; the name is copied.
    unsafe {
        let name = (functions.tensor_name)(tensor);
        let name = if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() };
        if (functions.tensor_type)(tensor) != FLOAT32 {
            return Err(format!("`{name}` does not hold 32-bit floats"));
        }
        let rank = (functions.tensor_rank)(tensor);
        let sizes: Vec<i32> = (0..rank).map(|index| (functions.tensor_size)(tensor, index)).collect();
        let sizes = file.map_or(sizes.as_slice(), |file| file.said(&name, &sizes)).to_vec();
        Port::new(name, &sizes)
    }
}

fn check(what: &str, status: Status) -> Result<(), String> {
    if status == OK { Ok(()) } else { Err(format!("{what}: TensorFlow Lite's status {status}")) }
}

impl super::session::Runner for Interpreted {
    fn inputs(&self) -> &[Port] {
        &self.input_ports
    }

    fn outputs(&self) -> &[Port] {
        &self.output_ports
    }

    fn resize(&mut self, shapes: &[&[usize]]) -> Result<(), String> {
        self.give_shapes(shapes).inspect_err(|_| self.input_ports.iter_mut().for_each(Port::forget_shape))
    }

    fn write(&mut self, input: usize, values: &[f32]) -> Result<(), String> {
        // SAFETY: the interpreter is alive, and the library compares the length with the tensor's.
        let status = unsafe {
            let tensor = (self.functions.input_tensor)(self.interpreter.get(), input as i32);
            (self.functions.write_tensor)(tensor, values.as_ptr().cast(), size_of_val(values))
        };
        check("writing", status)
    }

    fn run(&mut self) -> Result<(), String> {
        // SAFETY: the interpreter is alive, and its tensors have room.
        check("running", unsafe { (self.functions.invoke)(self.interpreter.get()) })
    }

    fn read(&mut self, output: usize, values: &mut [f32]) -> Result<(), String> {
        // SAFETY: as in `write`; any four bytes are a float.
        let status = unsafe {
            let tensor = (self.functions.output_tensor)(self.interpreter.get(), output as i32);
            (self.functions.read_tensor)(tensor, values.as_mut_ptr().cast(), size_of_val(values))
        };
        check("reading", status)
    }
}
