extension SnapTrak {
    /// Writes the original, byte for byte, into a new file that only its owner may read; a file that is there is refused. Cancelling
    /// the task breaks it off, and leaves no file.
    ///
    /// - Parameters:
    ///   - id: The capture.
    ///   - path: The file that is made.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func view(id: String, path: String) async throws -> Viewed {
        try await cancellable { try await view(id: id, path: path, cancellation: $0) }
    }

    /// Checks every receipt offline: the chain, the device's signatures, the server's countersignatures. Cancelling the task breaks
    /// it off.
    ///
    /// - Throws: ``SnapTrakError``.
    public func verify() async throws -> VerifyReport {
        try await cancellable { try await verify(cancellation: $0) }
    }

    /// Removes the bytes of captures that the server signed for. Cancelling the task ends it before the next capture; what has gone is
    /// gone.
    ///
    /// - Parameters:
    ///   - captures: These; nothing: every one that may go, oldest first.
    ///   - toFreeBytes: Stop when so many bytes are free; nothing: all that may go.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func purge(captures: [String]? = nil, toFreeBytes: UInt64? = nil) async throws -> PurgeReport {
        try await cancellable {
            try await purge(captures: captures, toFreeBytes: toFreeBytes, cancellation: $0)
        }
    }

    /// Takes in a signed manifest with its files from a folder, and uses the models from then on if they work on this device.
    /// Cancelling the task breaks it off before the self-test, and changes nothing.
    ///
    /// - Parameter what: The manifest and its files.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func activateModels(what: ActivateModels) async throws -> ModelsActivated {
        try await cancellable { try await activateModels(what: what, cancellation: $0) }
    }

    /// Checks the active version, the one before and the packaged models, file by file. Cancelling the task breaks it off.
    ///
    /// - Parameter trust: Whose signature counts; the organisation of this device's account otherwise.
    /// - Throws: ``SnapTrakError``.
    public func verifyModels(trust: PinnedTrust? = nil) async throws -> [VerifiedModels] {
        try await cancellable { try await verifyModels(trust: trust, cancellation: $0) }
    }
}
