/// The module's front: what the generator made of the native library is what an app sees, and the files beside this one add what
/// only Swift has. They never repeat a method that needs no idiom.
@_exported import SnapTrakGenerated

extension SnapTrak {
    /// Opens the store of the configuration, and makes it where there is none.
    ///
    /// ``SnapTrak/open(config:keyStore:signer:tokenProvider:)`` and ``SnapTrak/create(config:keyStore:signer:tokenProvider:)`` do one of the two and refuse
    /// the other, for an app that must notice when its store is gone.
    ///
    /// - Parameters:
    ///   - config: Where the store is and how much may be used.
    ///   - keyStore: What wraps the store's keys with a key of the platform.
    ///   - signer: What signs receipts; without it a software key does, and the receipts say so.
    ///   - tokenProvider: What gives access tokens to ``SnapTrak/enrol(request:)`` and all that follows it, for an app that signs its
    ///     people in itself.
    /// - Throws: ``SnapTrakError``. `InUse` when another instance has the store; `Unlock` with the code `not_yet`, `needs_user` or
    ///   `keys_lost` when the key store does not open it; `UpdateApp` when package and native library are not of one release.
    public static func openOrCreate(
        _ config: Config,
        keyStore: any KeyStore,
        signer: (any Signer)? = nil,
        tokenProvider: (any TokenProvider)? = nil
    ) async throws -> SnapTrak {
        try requireMatchingLibrary()
        do {
            return try await open(config: config, keyStore: keyStore, signer: signer, tokenProvider: tokenProvider)
        } catch let error as SnapTrakError where error.code == "no_store" {
            return try await create(config: config, keyStore: keyStore, signer: signer, tokenProvider: tokenProvider)
        }
    }
}
