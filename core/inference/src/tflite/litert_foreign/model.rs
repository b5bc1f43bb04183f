//! A model as the library reads it: its tensors, and the bytes that it lies in.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

use super::{
    super::{open_sizes::InputSizes, port::Port},
    Environment, Functions, Handle, Owned, RankedTensorType, Status, answered, check, told,
};
use crate::model_bytes::ModelBytes;
use std::{
    ffi::{CStr, c_int},
    ptr,
};

pub(super) const ELEMENT_FLOAT32: c_int = 1;
const TENSOR_RANKED: c_int = 0;

/// A model as it stands in its file.
pub(in crate::tflite) struct Model {
    pub(super) owned: Owned,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    // Read by the library as long as the model lives.
    _bytes: ModelBytes,
}

impl Model {
    /// Reads the first signature; a file that names none has one for its first graph.
    pub(in crate::tflite) fn new(environment: &Environment, bytes: ModelBytes) -> Result<Self, String> {
        let functions = &environment.library.0;
        let content = bytes.as_slice();
        let create = |model| {
            // SAFETY: the environment is alive; the bytes are readable, and neither move nor go before the model does.
            unsafe { (functions.create_model)(environment.owned.handle, content.as_ptr().cast(), content.len(), model) }
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
        // The library tells sizes as they are now; which of them are open, the file says.
        let sizes = InputSizes::of_first_signature(content)?;
        let ports = |count: unsafe extern "C" fn(Handle, *mut usize) -> Status,
                     tensor: unsafe extern "C" fn(Handle, usize, *mut Handle) -> Status,
                     sizes: Option<&InputSizes>| {
            let count: usize = told(what, |place| unsafe { count(signature, place) })?;
            let port = |index| {
                let tensor = answered(what, |place| unsafe { tensor(signature, index, place) })?;
                port_of(functions, tensor, sizes)
            };
            (0..count).map(port).collect::<Result<Vec<_>, String>>()
        };
        let inputs = ports(functions.input_count, functions.input_tensor, Some(&sizes))?;
        let outputs = ports(functions.output_count, functions.output_tensor, None)?;
        Ok(Self { owned, inputs, outputs, _bytes: bytes })
    }

    /// Whether only a run tells some sizes of its inputs, and with them all others.
    pub(in crate::tflite) fn is_open(&self) -> bool {
        self.inputs.iter().any(Port::is_open)
    }
}

fn port_of(functions: &Functions, tensor: Handle, file: Option<&InputSizes>) -> Result<Port, String> {
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
    let told = tensor_type.layout.sizes()?;
    let sizes = file.map_or(told, |file| file.said(&name, told)).to_vec();
    Port::new(name, &sizes)
}
