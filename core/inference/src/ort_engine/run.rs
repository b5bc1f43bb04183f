//! One run of a session, over the caller's own memory: nothing is copied that need not be, and nothing of ours is allocated once
//! the caller's tensors have their sizes.
//!
//! `ort` makes several small allocations for each run and copies every output; here the library reads the inputs where they lie
//! and writes outputs of a known size where they belong.
#![expect(unsafe_code, reason = "only the library's own interface takes memory without allocating")]

use super::port::{Port, count};
use ort::{
    AsPointer as _,
    session::Session as Inner,
    sys::{ONNXTensorElementDataType, OrtAllocatorType, OrtMemType, OrtMemoryInfo, OrtStatusPtr, OrtValue},
};
use snaptrak_domain::engine::Tensor;
use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr,
};

const FLOAT: ONNXTensorElementDataType = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;

/// A session with what each of its runs needs.
pub(super) struct Runner {
    session: Inner,
    inputs: Side,
    outputs: Side,
    processor: ProcessorMemory,
}

/// All inputs, or all outputs.
struct Side {
    ports: Vec<Port>,
    // Pointers into `_texts`, side by side as the library wants them.
    names: Vec<*const c_char>,
    _texts: Vec<CString>,
    values: Values,
    /// Sizes of one tensor at a time, as the library wants them.
    sizes: Vec<i64>,
}

/// The library's view of tensors during one run; null for an output that it makes itself.
struct Values(Vec<*mut OrtValue>);

/// Says that memory is the processor's.
struct ProcessorMemory(*mut OrtMemoryInfo);

// SAFETY: session, values and memory description belong to this value alone, the names never change, and the library's calls are
// bound to no thread; `&mut self` sees to it that there is one at a time.
unsafe impl Send for Runner {}

impl Runner {
    pub(super) fn new(session: Inner, inputs: Vec<Port>, outputs: Vec<Port>) -> Result<Self, String> {
        let (inputs, outputs) = (Side::new(inputs)?, Side::new(outputs)?);
        Ok(Self { session, inputs, outputs, processor: ProcessorMemory::new()? })
    }

    /// Every input once, in any order. After an error the outputs hold anything.
    pub(super) fn run(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), String> {
        let answer = self.run_once(inputs, outputs);
        // They point into the caller's memory, which is theirs again.
        self.inputs.values.release();
        self.outputs.values.release();
        answer
    }

    fn run_once(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), String> {
        self.lend_inputs(inputs)?;
        self.lend_outputs(outputs)?;
        let (names, values) = (&self.inputs.names, &self.inputs.values.0);
        // SAFETY: the session is alive; there are as many names and values as the counts say; the memory behind the values is
        // borrowed for longer than this call; an output that is null is made by the library and released by `Values`.
        check(unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                names.as_ptr(),
                values.as_ptr().cast(),
                values.len(),
                self.outputs.names.as_ptr(),
                self.outputs.names.len(),
                self.outputs.values.0.as_mut_ptr(),
            )
        })?;
        let made = self.outputs.ports.iter().zip(&self.outputs.values.0).zip(outputs);
        made.filter(|((port, _), _)| port.fixed().is_none()).try_for_each(|((port, value), output)| {
            // SAFETY: the run succeeded, so the value is the library's tensor, alive until `release`.
            unsafe { take(port, *value, output) }
        })
    }

    fn lend_inputs(&mut self, inputs: &[Tensor]) -> Result<(), String> {
        let Side { ports, values, sizes, .. } = &mut self.inputs;
        if inputs.len() != ports.len() {
            return Err(format!("it takes {} inputs and not {}", ports.len(), inputs.len()));
        }
        for port in ports {
            let tensor = inputs.iter().find(|tensor| tensor.name == port.name);
            let tensor = tensor.ok_or_else(|| format!("there is no input `{}`", port.name))?;
            port.check(tensor)?;
            set(sizes, tensor.shape.iter().copied());
            // SAFETY: the library only reads inputs, and `Port::check` has compared sizes and length.
            unsafe { values.lend(&self.processor, tensor.data.as_ptr().cast_mut(), tensor.data.len(), sizes) }?;
        }
        Ok(())
    }

    /// Gives every output whose size is known the caller's memory.
    fn lend_outputs(&mut self, outputs: &mut Vec<Tensor>) -> Result<(), String> {
        let Side { ports, values, sizes, .. } = &mut self.outputs;
        outputs.truncate(ports.len());
        for (index, port) in ports.iter().enumerate() {
            if outputs.len() == index {
                outputs.push(Tensor { name: String::new(), shape: Vec::new(), data: Vec::new() });
            }
            let output = &mut outputs[index];
            if output.name != port.name {
                output.name.clone_from(&port.name);
            }
            match port.fixed() {
                None => values.0.push(ptr::null_mut()),
                Some((shape, count)) => {
                    output.shape.clear();
                    output.shape.extend(shape);
                    output.data.resize(count, 0.0);
                    set(sizes, output.shape.iter().copied());
                    // SAFETY: the memory holds `count` values, and is neither read nor moved before `release`.
                    unsafe { values.lend(&self.processor, output.data.as_mut_ptr(), count, sizes) }?;
                }
            }
        }
        Ok(())
    }
}

fn set(sizes: &mut Vec<i64>, shape: impl Iterator<Item = usize>) {
    sizes.clear();
    // Every product of sizes was bounded, so each of them is.
    sizes.extend(shape.map(|size| size as i64));
}

impl Side {
    fn new(ports: Vec<Port>) -> Result<Self, String> {
        let text = |port: &Port| CString::new(port.name.as_str()).map_err(|_| "a name holds a zero byte".to_owned());
        let texts: Vec<CString> = ports.iter().map(text).collect::<Result<_, _>>()?;
        let names = texts.iter().map(|text| text.as_ptr()).collect();
        let values = Values(Vec::with_capacity(ports.len()));
        Ok(Self { ports, names, _texts: texts, values, sizes: Vec::new() })
    }
}

impl Values {
    /// # Safety
    /// `memory` holds `count` floats, as many as the product of `sizes`, until [`Values::release`].
    unsafe fn lend(
        &mut self,
        processor: &ProcessorMemory,
        memory: *mut f32,
        count: usize,
        sizes: &[i64],
    ) -> Result<(), String> {
        let mut value = ptr::null_mut();
        let bytes = count * size_of::<f32>();
        // SAFETY: the description is alive, the sizes are read only during the call; the rest is the caller's promise.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                processor.0,
                memory.cast::<c_void>(),
                bytes,
                sizes.as_ptr(),
                sizes.len(),
                FLOAT,
                &mut value,
            )
        })?;
        self.0.push(value);
        Ok(())
    }

    fn release(&mut self) {
        // Null is an output that was never made.
        for value in self.0.drain(..).filter(|value| !value.is_null()) {
            // SAFETY: this is the value's only owner.
            unsafe { (ort::api().ReleaseValue)(value) };
        }
    }
}

/// Copies an output whose size only the run has told.
///
/// # Safety
/// `value` is a tensor that is alive.
unsafe fn take(port: &Port, value: *mut OrtValue, output: &mut Tensor) -> Result<(), String> {
    let (mut element, mut sizes, mut rank) = (FLOAT, ptr::null(), 0);
    let mut data: *mut c_void = ptr::null_mut();
    // SAFETY: the value is alive, and each place is one of the type that the function fills.
    unsafe {
        check((ort::api().GetTensorElementTypeAndShapeDataReference)(value, &mut element, &mut sizes, &mut rank))?;
        check((ort::api().GetTensorMutableData)(value, &mut data))?;
    }
    // SAFETY: the sizes are as many as the rank says and belong to the value; a single number has none, and may have no place.
    let sizes = if rank == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(sizes, rank) } };
    let fixed = sizes.iter().map(|size| usize::try_from(*size).unwrap_or(0));
    let values = count(fixed.clone())
        .filter(|_| element == FLOAT && !data.is_null())
        .ok_or_else(|| format!("the output `{}` is empty, too large, or not of 32-bit floats", port.name))?;
    output.shape.clear();
    output.shape.extend(fixed);
    output.data.clear();
    // SAFETY: a tensor of floats holds as many as the product of its sizes.
    output.data.extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast::<f32>(), values) });
    Ok(())
}

impl ProcessorMemory {
    fn new() -> Result<Self, String> {
        let mut memory = ptr::null_mut();
        let (allocator, kind) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
        // SAFETY: the place is one for a pointer.
        check(unsafe { (ort::api().CreateCpuMemoryInfo)(allocator, kind, &mut memory) })?;
        Ok(Self(memory))
    }
}

impl Drop for ProcessorMemory {
    fn drop(&mut self) {
        // SAFETY: it came from the library, and this is its only owner.
        unsafe { (ort::api().ReleaseMemoryInfo)(self.0) };
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.release();
    }
}

/// The library's words, if it has any.
fn check(status: OrtStatusPtr) -> Result<(), String> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is ours to read and to release; its message is a text.
    unsafe {
        let words = CStr::from_ptr((ort::api().GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (ort::api().ReleaseStatus)(status.0);
        Err(words)
    }
}
