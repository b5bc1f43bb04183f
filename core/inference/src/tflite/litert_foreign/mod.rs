//! LiteRT 2.3's compiled models in safe clothes: with `classic_foreign.rs` the only unsafe code of this engine.
//!
//! Signatures, structs and numbers are those of the headers in `litert/c` of LiteRT 2.3 (`litert_environment.h`,
//! `litert_model.h`, `litert_options.h`, `litert_opaque_options.h`, `litert_compiled_model.h`, `litert_tensor_buffer.h`,
//! `internal/litert_accelerator.h`). They hold for that version only, which `symbols.rs` sees to before anything here is
//! called. Every handle has one owner that destroys it.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

mod compiled;
mod environment;
mod model;

pub(super) use compiled::{Compilation, Compiled};
pub(super) use environment::{Environment, Surroundings};
pub(super) use model::Model;

use super::{functions::functions, status};
use std::{
    ffi::{c_char, c_int, c_void},
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

/// The rank is the lowest seven bits of its word, the next one tells whether there are strides.
const RANK_BITS: u32 = 0x7f;

/// `LiteRtLayout`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct TensorLayout {
    rank_and_flag: u32,
    sizes: [i32; RANK_MAX],
    strides: [u32; RANK_MAX],
}

/// `LiteRtRankedTensorType`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct RankedTensorType {
    element: c_int,
    layout: TensorLayout,
}

const _: () = assert!(size_of::<RankedTensorType>() == 72 && size_of::<EnvironmentOption>() == 24);

impl TensorLayout {
    /// Of a shape whose product was bounded.
    fn of(shape: &[usize]) -> Result<Self, String> {
        let mut layout = Self { rank_and_flag: shape.len() as u32, ..Self::default() };
        let places = layout.sizes.get_mut(..shape.len()).ok_or_else(too_many_sizes)?;
        places.iter_mut().zip(shape).for_each(|(place, size)| *place = *size as i32);
        Ok(layout)
    }

    fn sizes(&self) -> Result<&[i32], String> {
        self.sizes.get(..(self.rank_and_flag & RANK_BITS) as usize).ok_or_else(too_many_sizes)
    }
}

fn too_many_sizes() -> String {
    format!("a tensor has more than {RANK_MAX} sizes")
}

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
        resize_input = "LiteRtCompiledModelResizeInputTensor" (Handle, usize, usize, *const c_int, usize) -> Status;
        output_layouts = "LiteRtGetCompiledModelOutputTensorLayouts" (Handle, usize, usize, *mut TensorLayout, bool) -> Status;
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
