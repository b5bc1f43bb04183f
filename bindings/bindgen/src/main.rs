//! The generator of the Kotlin and Swift code, pinned to the version of the library that it reads.

fn main() {
    uniffi::uniffi_bindgen_main();
}
