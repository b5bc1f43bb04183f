//! The only unsafe code of this crate: one write to the environment, and one look at a library before `ort` trusts it.
#![expect(unsafe_code, reason = "the environment and a foreign library can be reached in no other way")]

use ort::sys::{ORT_API_VERSION, OrtApiBase};
use snaptrak_domain::engine::EngineError;
use std::{ffi::CStr, path::Path};

/// What the official library reads while it is being loaded.
const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Switches the library's telemetry off. Does nothing if the app has done so, and must come before the library is loaded.
pub(super) fn switch_telemetry_off() {
    if std::env::var_os(TELEMETRY_VARIABLE).is_some_and(|value| value == "1") {
        return;
    }
    // SAFETY: `set_var` races with C code that reads the environment in another thread at this very moment. Rust's own
    // readers take the same lock as this call. We hold the lock of `SharedEnvironment`, so this happens once in a process,
    // and before the library is loaded, so none of its threads exists. What remains are other C libraries of the host app
    // that call `getenv` just now; an app that has such threads at this point sets the variable at its start, and then the
    // branch above returns. There is no other way: the library reads the process's environment and nothing else.
    #[expect(clippy::disallowed_methods, reason = "this is the one place, and the lines above say why it is safe")]
    unsafe {
        std::env::set_var(TELEMETRY_VARIABLE, "1");
    }
}

/// Loads the library and asks for its version. An answer means that `ort`'s own assertions about it will hold.
pub(super) fn version_of(library: &Path) -> Result<String, EngineError> {
    let failed = |detail: &str| EngineError::Library { detail: format!("{}: {detail}", library.display()) };
    // SAFETY: loading runs the library's initialisers. The path comes from the app, which vouches for the library as for
    // its own code; this is what loading an engine means.
    let handle = unsafe { libloading::Library::new(library) }.map_err(|error| failed(&error.to_string()))?;
    // SAFETY: this is the symbol's type in every release of ONNX Runtime (onnxruntime_c_api.h).
    let base_of = unsafe { handle.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| failed("this is not ONNX Runtime"))?;
    // SAFETY: the function takes nothing and gives a pointer to a static, or null.
    let base = unsafe { base_of().as_ref() }.ok_or_else(|| failed("this is not ONNX Runtime"))?;
    // SAFETY: `base` came from the library, which is held open by `handle`; both functions are set in every release, the
    // version is a static text, and an API that the library does not have is answered with null.
    let (version, has_api) = unsafe {
        let version = CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned();
        // Asking a library for an API that is newer than itself makes it print to standard error, so its version goes first.
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let new_enough = version.starts_with("1.") && minor.is_some_and(|minor| minor >= ORT_API_VERSION);
        (version, new_enough && !(base.GetApi)(ORT_API_VERSION).is_null())
    };
    if !has_api {
        return Err(failed(&format!("this is version {version}, and 1.{ORT_API_VERSION} or a later 1.x is needed")));
    }
    // A library that was unloaded and loaded again would start its threads twice.
    std::mem::forget(handle);
    Ok(version)
}
