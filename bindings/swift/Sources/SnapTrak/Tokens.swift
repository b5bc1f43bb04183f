import Dispatch

/// A token provider made of an async closure, for an app that signs its people in itself.
///
/// ```swift
/// let tokens = AsyncTokenProvider { refused in try await session.accessToken(insteadOf: refused) }
/// let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: keys, tokenProvider: tokens)
/// _ = try await snaptrak.enrol(request: Enrol(server: server))
/// ```
///
/// What the closure throws is told apart as ``TokenFailure`` says; any other error is "not now". Nothing cancels it: what waits for
/// it goes on without it when its own time is over.
public final class AsyncTokenProvider: TokenProvider {
    private let give: @Sendable (String?) async throws -> String

    /// A provider that asks the closure.
    ///
    /// - Parameter give: Answers a token that the server should take. It is given the one that the server has just refused, if it has.
    public init(_ give: @escaping @Sendable (_ refused: String?) async throws -> String) {
        self.give = give
    }

    /// Asks the closure, and blocks the library's thread until it has answered.
    public func token(refused: String?) throws -> String {
        let answer = Answer()
        Task.detached { [give] in
            do {
                answer.is(.success(try await give(refused)))
            } catch {
                answer.is(.failure(error))
            }
        }
        return try answer.waited()
    }
}

/// Written once before the signal, and read after it.
private final class Answer: @unchecked Sendable {
    private let given = DispatchSemaphore(value: 0)
    private var result: Result<String, any Error>?

    func `is`(_ result: Result<String, any Error>) {
        self.result = result
        given.signal()
    }

    func waited() throws -> String {
        given.wait()
        guard let result else { throw TokenFailure.NotNow }
        return try result.get()
    }
}
