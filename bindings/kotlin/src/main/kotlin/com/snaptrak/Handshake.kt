package com.snaptrak

import com.sun.jna.NativeLibrary

/** Version of this package, which is the version of the native library that it was made with. */
internal const val PACKAGE_VERSION = "0.1.0"

private const val MISMATCH = "library_mismatch"

/**
 * Refuses a native library of another version, or made of other sources, with [SnapTrakException.UpdateApp] and the code
 * `library_mismatch`; its detail names both sides. [openOrCreate], [open], [create] and [recovering] begin with it. The generated
 * `openUnchecked` and `createUnchecked` do not: a library that does not match answers nonsense.
 */
public fun SnapTrak.Companion.requireMatchingLibrary() {
    matching
}

/** Asked once: a library that is loaded does not change. A refusal is not kept, and is asked for again. */
private val matching: Unit by lazy {
    refuseOtherVersion(libraryName())
    refuseOtherSources()
}

/**
 * The version is asked through two functions alone. The generated code binds all of them at once, and where one is missing it
 * fails with an error that names no version. No library at all is the packaging's fault: JNA says where it looked.
 */
private fun refuseOtherVersion(name: String) {
    val library = NativeLibrary.getInstance(name)
    val version =
        try {
            versionOf(library)
        } catch (_: UnsatisfiedLinkError) {
            "unknown"
        }
    if (version != PACKAGE_VERSION) {
        throw mismatch("the SnapTrak package is version $PACKAGE_VERSION, its native library is $version")
    }
}

private fun versionOf(library: NativeLibrary): String {
    val version = library.getFunction("uniffi_snaptrak_ffi_fn_func_library_version")
    val free = library.getFunction("ffi_snaptrak_ffi_rustbuffer_free")
    val status = UniffiRustCallStatus()
    val buffer = version.invoke(RustBuffer.ByValue::class.java, arrayOf(status)) as RustBuffer.ByValue
    try {
        val bytes = ByteArray(buffer.len.toInt())
        buffer.asByteBuffer()?.get(bytes)
        return bytes.toString(Charsets.UTF_8)
    } finally {
        free.invoke(arrayOf(buffer, status))
    }
}

/** The generator's own checksums, which nothing else checks. */
private fun refuseOtherSources() {
    try {
        uniffiEnsureInitialized()
    } catch (cause: LinkageError) {
        throw mismatch("the SnapTrak package and its native library are both version $PACKAGE_VERSION and differ")
            .apply { initCause(cause) }
    }
}

private fun mismatch(sentence: String) = SnapTrakException.UpdateApp(MISMATCH, "$sentence: ship both from one release")

/** The name by which the generated code loads the library; the property is the generator's. */
private fun libraryName(): String =
    System.getProperty("uniffi.component.snaptrak_ffi.libraryOverride") ?: "snaptrak_ffi"
