extension SnapTrak {
    /// Creates an account and enrols this device. What was captured before is wrapped for the organisation later. Cancelling the task
    /// breaks it off; the account may be there by then: sign in.
    ///
    /// - Parameters:
    ///   - request: The account.
    ///   - password: Its password.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func signUp(request: SignUp, password: String) async throws -> Enrolled {
        try await cancellable { try await signUp(request: request, password: password, cancellation: $0) }
    }

    /// Enrols this device with an account that exists, or begins a new session. Cancelling the task breaks it off.
    ///
    /// - Parameters:
    ///   - request: The account.
    ///   - password: Its password.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func signIn(request: SignIn, password: String) async throws -> Enrolled {
        try await cancellable { try await signIn(request: request, password: password, cancellation: $0) }
    }

    /// Enrols this device with the account for which the instance's ``TokenProvider`` gives tokens. Cancelling the task breaks it off.
    ///
    /// - Parameter request: The server.
    /// - Throws: ``SnapTrakError``.
    @discardableResult
    public func enrol(request: Enrol) async throws -> Enrolled {
        try await cancellable { try await enrol(request: request, cancellation: $0) }
    }

    /// Ends the session, or stops asking the app for tokens. The enrolment and everything captured stay. Cancelling the task breaks
    /// it off.
    ///
    /// - Throws: ``SnapTrakError``.
    public func signOut() async throws {
        try await cancellable { try await signOut(cancellation: $0) }
    }
}

/// Runs a call of the library that ends with the task. A task that is cancelled tells the generated code nothing: the library's own
/// object has to be told.
func cancellable<Answer>(_ call: (Cancellation) async throws -> Answer) async throws -> Answer {
    let cancellation = try Cancellation()
    return try await withTaskCancellationHandler {
        try await call(cancellation)
    } onCancel: {
        // It only throws what a panic of the library would be, and there is nobody here to tell.
        try? cancellation.cancel()
    }
}
