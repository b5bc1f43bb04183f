//! What the library keeps of a device, and which accelerators there are.
#![expect(unsafe_code, reason = "a foreign library can be reached in no other way")]

use super::{ANY_INTEGER, ANY_TEXT, Any, AnyValue, EnvironmentOption, Library, Owned, answered, told};
use std::{
    ffi::{CString, c_int},
    path::Path,
};

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

/// What an environment is made for.
#[derive(Debug, Clone, Copy)]
pub(in crate::tflite) struct Surroundings<'a> {
    /// Bits of the accelerators that are made ready; each other one costs the loading of a library.
    pub(in crate::tflite) accelerators: c_int,
    /// Where LiteRT's own libraries of accelerators lie.
    pub(in crate::tflite) runtime_folder: &'a Path,
    /// Where an NPU's libraries lie: its compiler and what runs it.
    pub(in crate::tflite) npu_folders: Option<(&'a Path, &'a Path)>,
}

/// What the library keeps of a device. Each session has its own, so that no two share state.
pub(in crate::tflite) struct Environment {
    pub(super) owned: Owned,
    pub(super) library: Library,
    // The library may keep pointers to what it was given.
    _texts: Vec<CString>,
}

impl Environment {
    pub(in crate::tflite) fn new(library: &Library, surroundings: Surroundings<'_>) -> Result<Self, String> {
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
    pub(in crate::tflite) fn accelerators(&self) -> Result<c_int, String> {
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
