//! A compiled model with the memory of its tensors, which are destroyed in the order that the headers ask for: buffers,
//! compiled model, options, model, its bytes, environment.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

use super::{
    super::{port::Port, session::Runner},
    Environment, Functions, Handle, Model, Owned, RankedTensorType, Status, TensorLayout, answered, check,
    model::ELEMENT_FLOAT32,
    told,
};
use std::{
    ffi::{CString, c_int, c_void},
    ptr,
    sync::Arc,
};

const LOCK_READ: c_int = 0;
const LOCK_WRITE: c_int = 1;

/// How a model is compiled.
#[derive(Debug, Clone, Copy)]
pub(in crate::tflite) struct Compilation<'a> {
    /// Bits of the accelerators that may run it.
    pub(in crate::tflite) accelerators: c_int,
    /// Texts in TOML for those who know their identifiers.
    pub(in crate::tflite) texts: &'a [(String, String)],
}

/// A model that is ready to run. The order of the fields is the order in which they are dropped.
pub(in crate::tflite) struct Compiled {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    input_ports: Vec<Port>,
    output_ports: Vec<Port>,
    // The same handles again, side by side as the library wants them.
    input_handles: Vec<Handle>,
    output_handles: Vec<Handle>,
    owned: Owned,
    _options: Owned,
    model: Model,
    environment: Environment,
}

// SAFETY: everything that the handles refer to belongs to this value alone, the environment included; the library's calls
// are bound to no thread, and `&mut self` sees to it that there is one at a time.
unsafe impl Send for Compiled {}

impl Compiled {
    /// `model` was read in this environment.
    pub(in crate::tflite) fn new(
        environment: Environment,
        model: Model,
        compilation: Compilation<'_>,
    ) -> Result<Self, String> {
        let functions = Arc::clone(&environment.library.0);
        let options = options(&functions, compilation)?;
        let compile = |compiled| {
            // SAFETY: all three are alive, and stay so until after the compiled model.
            unsafe { (functions.compile)(environment.owned.handle, model.owned.handle, options.handle, compiled) }
        };
        let owned = Owned::new("compiling", functions.destroy_compiled, compile)?;
        let (input_ports, output_ports) = (model.inputs.clone(), model.outputs.clone());
        let mut compiled = Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            input_ports,
            output_ports,
            input_handles: Vec::new(),
            output_handles: Vec::new(),
            owned,
            _options: options,
            model,
            environment,
        };
        // What has open sizes gets its memory with the first run.
        if !compiled.model.is_open() {
            compiled.make_room()?;
        }
        Ok(compiled)
    }

    /// Memory for the tensors as they are now.
    fn make_room(&mut self) -> Result<(), String> {
        let functions = &self.environment.library.0;
        let buffers =
            |ports: &[Port], requirements: unsafe extern "C" fn(Handle, usize, usize, *mut Handle) -> Status| {
                let buffer = |(index, port): (usize, &Port)| {
                    // SAFETY: the compiled model is alive, and what it requires belongs to it.
                    let required =
                        answered("a tensor", |place| unsafe { requirements(self.owned.handle, 0, index, place) })?;
                    Buffer::new(&self.environment, required, port)
                };
                ports.iter().enumerate().map(buffer).collect::<Result<Vec<_>, String>>()
            };
        let inputs = buffers(&self.input_ports, functions.input_requirements)?;
        let outputs = buffers(&self.output_ports, functions.output_requirements)?;
        let handles = |buffers: &[Buffer]| buffers.iter().map(|buffer| buffer.owned.handle).collect();
        (self.input_handles, self.output_handles) = (handles(&inputs), handles(&outputs));
        (self.inputs, self.outputs) = (inputs, outputs);
        Ok(())
    }

    fn give_shapes(&mut self, shapes: &[&[usize]]) -> Result<(), String> {
        let functions = &self.environment.library.0;
        for (index, (port, shape)) in self.input_ports.iter_mut().zip(shapes).enumerate() {
            port.set_shape(shape)?;
            if port.is_open() {
                let layout = TensorLayout::of(shape)?;
                let sizes = layout.sizes()?;
                // SAFETY: the compiled model is alive, and the sizes are read only during the call.
                let status =
                    unsafe { (functions.resize_input)(self.owned.handle, 0, index, sizes.as_ptr(), sizes.len()) };
                check("a tensor's new sizes", status)?;
            }
        }
        let mut layouts = vec![TensorLayout::default(); self.output_ports.len()];
        let (count, places) = (layouts.len(), layouts.as_mut_ptr());
        // SAFETY: the compiled model is alive, and there are as many places as the count says.
        let told = unsafe { (functions.output_layouts)(self.owned.handle, 0, count, places, true) };
        check("the outputs' sizes", told)?;
        for (port, layout) in self.output_ports.iter_mut().zip(&layouts) {
            *port = Port::new(port.name.clone(), layout.sizes()?)?;
        }
        self.make_room()
    }

    /// Whether every operation is with an accelerator, XNNPACK among them.
    pub(in crate::tflite) fn is_accelerated(&self) -> Result<bool, String> {
        self.placed(self.environment.library.0.is_fully_accelerated)
    }

    /// Whether every operation is with an accelerator that is not the processor.
    pub(in crate::tflite) fn is_off_the_processor(&self) -> Result<bool, String> {
        self.placed(self.environment.library.0.is_non_cpu_fully_accelerated)
    }

    fn placed(&self, function: unsafe extern "C" fn(Handle, *mut u8) -> Status) -> Result<bool, String> {
        // SAFETY: the compiled model is alive, and a C `bool` is a byte.
        let answer: u8 = told("the placement", |place| unsafe { function(self.owned.handle, place) })?;
        Ok(answer != 0)
    }
}

impl Runner for Compiled {
    fn inputs(&self) -> &[Port] {
        &self.input_ports
    }

    fn outputs(&self) -> &[Port] {
        &self.output_ports
    }

    fn resize(&mut self, shapes: &[&[usize]]) -> Result<(), String> {
        self.give_shapes(shapes).inspect_err(|_| {
            self.input_ports.iter_mut().for_each(Port::forget_shape);
        })
    }

    fn write(&mut self, input: usize, values: &[f32]) -> Result<(), String> {
        fits(&self.input_ports[input], values)?;
        self.inputs[input].with(&self.environment.library.0, LOCK_WRITE, |place| {
            // SAFETY: the place has room for the port's values (`Buffer::new`), which are as many as these.
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
        fits(&self.output_ports[output], values)?;
        self.outputs[output].with(&self.environment.library.0, LOCK_READ, |place| {
            // SAFETY: as in `write`; any four bytes are a float.
            unsafe { ptr::copy_nonoverlapping(place, values.as_mut_ptr().cast::<u8>(), size_of_val(values)) };
        })
    }
}

/// What is copied is all that a port has now, whoever calls.
fn fits(port: &Port, values: &[f32]) -> Result<(), String> {
    if values.len() == port.values {
        return Ok(());
    }
    Err(format!("`{}` has {} values and not {}", port.name, port.values, values.len()))
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
    fn new(environment: &Environment, required: Handle, port: &Port) -> Result<Self, String> {
        if port.values == 0 {
            return Err(format!("only the values of a run tell the sizes of `{}`", port.name));
        }
        let functions = &environment.library.0;
        let tensor_type = RankedTensorType { element: ELEMENT_FLOAT32, layout: TensorLayout::of(&port.shape)? };
        // SAFETY: all are alive, and the type is read only during the call.
        let create =
            |place| unsafe { (functions.create_buffer)(environment.owned.handle, &tensor_type, required, place) };
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
        let place =
            answered("a tensor's memory", |place| unsafe { (functions.lock_buffer)(self.owned.handle, place, mode) })?;
        work(place.cast());
        // SAFETY: it was locked above.
        check("a tensor's memory", unsafe { (functions.unlock_buffer)(self.owned.handle) })
    }
}
