internal import SnapTrakFFI

extension SnapTrak {
    /// Version of this package; a test holds it to the version of the native library's sources.
    public static let version = "0.1.0"

    /// Refuses a native library of another release than this package and names both.
    ///
    /// ``SnapTrak/openOrCreate(_:keyStore:signer:tokenProvider:)`` calls it. Any generated function compares checksums and ends the process when
    /// they differ, without a word about which side is the older one: an app that wants an error instead calls this before
    /// anything else.
    ///
    /// - Parameter package: The version that the library must have.
    /// - Throws: ``SnapTrakError/UpdateApp(code:detail:)`` with the code `library_mismatch`.
    public static func requireMatchingLibrary(_ package: String = version) throws(SnapTrakError) {
        let library = versionOfLibrary()
        if package != library {
            let detail =
                "the SnapTrak package is version \(package), its native library is \(library): ship both from one release"
            throw .UpdateApp(code: "library_mismatch", detail: detail)
        }
    }

    /// Asks the library itself, past the generated function, which would compare checksums first.
    private static func versionOfLibrary() -> String {
        var status = RustCallStatus()
        let text = uniffi_snaptrak_ffi_fn_func_library_version(&status)
        defer { ffi_snaptrak_ffi_rustbuffer_free(text, &status) }
        return String(decoding: UnsafeBufferPointer(start: text.data, count: Int(text.len)), as: UTF8.self)
    }
}
