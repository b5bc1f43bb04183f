//! Whether the native library and the generated code were made of the same sources.

use crate::SnapTrakError;

/// Version of the native library.
#[uniffi::export]
pub fn library_version() -> Result<String, SnapTrakError> {
    Ok(env!("CARGO_PKG_VERSION").to_owned())
}

/// Refuses a binding of another version and names both sides. The packages call it before they do anything else; the generator's
/// own checksums, which it checks at loading, name neither.
#[uniffi::export]
pub fn require_version(binding: String) -> Result<(), SnapTrakError> {
    let library = env!("CARGO_PKG_VERSION");
    if binding == library {
        return Ok(());
    }
    let detail = format!(
        "the SnapTrak package is version {binding}, its native library is {library}: ship both from one release"
    );
    Err(SnapTrakError::UpdateApp { code: "library_mismatch".to_owned(), detail })
}
