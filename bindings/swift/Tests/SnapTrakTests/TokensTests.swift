import Foundation
import SnapTrak
import XCTest

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// An app that signs its people in itself: the SDK gets its tokens one by one, and never a password.
final class TokensTests: XCTestCase {
    func testAnAppEnrolsWithItsOwnTokenAndGivesAnotherWhenOneIsRefused() async throws {
        let station = try Station()
        defer { station.remove() }
        let app = try await App(station)
        let tokens = AsyncTokenProvider { refused in try await app.accessToken(insteadOf: refused) }
        let snaptrak = try await station.open(tokens: tokens)
        _ = try await snaptrak.note(text: "Third window.")
        let enrolled = try await snaptrak.enrol(request: Enrol(server: app.origin))
        XCTAssertFalse(enrolled.trustRootGiven)
        let first = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(first, 1)
        XCTAssertTrue(app.refused.now.allSatisfy { $0 == nil }, "nothing was refused")

        let ended = app.token.now
        try await app.endSession()
        _ = try await snaptrak.note(text: "The server knows this token no more.")
        let second = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(second, 1)
        XCTAssertTrue(app.refused.now.contains(ended))
        XCTAssertNotEqual(app.token.now, ended)
        try await snaptrak.shutdown()

        // The device stays enrolled, and the app is asked after a restart too.
        let again = try await station.open(tokens: tokens)
        _ = try await again.note(text: "Another day.")
        let third = try await again.syncUntilNothingWaits()
        XCTAssertEqual(third, 1)
        try await again.shutdown()
    }

    func testWhatATokenProviderThrowsIsWhatTheAppIsToldAndCapturesWait() async throws {
        struct Undeclared: Error {}
        let station = try Station()
        defer { station.remove() }
        let app = try await App(station)
        let provider = FakeProvider()
        let snaptrak = try await station.open(tokens: provider)
        let answers: [(Result<String, any Error>, code: String)] = [
            (.failure(TokenFailure.NotNow), "no_token"),
            (.failure(TokenFailure.Unexpected(detail: "the daemon is gone")), "no_token"),
            (.failure(Undeclared()), "no_token"),
            (.success("no token: it has spaces"), "no_token"),
            (.failure(TokenFailure.SignedOut), "signed_out"),
            (.success("a-token-that-nobody-gave"), "signed_out"),
        ]
        for (answer, code) in answers {
            provider.answer.with { $0 = answer }
            let error = await refusal(try await snaptrak.enrol(request: Enrol(server: app.origin)))
            XCTAssertEqual(error?.code, code, "\(answer)")
            if case .SignIn = error { XCTAssertEqual(code, "signed_out") } else { XCTAssertEqual(code, "no_token") }
        }
        let good = try await app.accessToken(insteadOf: nil)
        provider.answer.with { $0 = .success(good) }
        _ = try await snaptrak.enrol(request: Enrol(server: app.origin))
        let note = try await snaptrak.note(text: "Taken all the same.")
        for (answer, code) in answers {
            provider.answer.with { $0 = answer }
            let report = try await snaptrak.sync()
            XCTAssertEqual(report.stoppedBecause, code, "\(answer)")
            let why = try await snaptrak.whyNotUploaded(id: note.id)
            XCTAssertEqual(why.code, code, "\(answer)")
        }
        provider.answer.with { $0 = .success(good) }
        let verified = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(verified, 1)
        try await snaptrak.shutdown()
        XCTAssertEqual(provider.threads.now, ["snaptrak-token"], "it is asked on a thread that does nothing else")
    }

    func testWhoSignsOutIsAskedForNoTokenUntilTheAppEnrolsAgain() async throws {
        let station = try Station()
        defer { station.remove() }
        let app = try await App(station)
        let provider = FakeProvider()
        let good = try await app.accessToken(insteadOf: nil)
        provider.answer.with { $0 = .success(good) }
        let snaptrak = try await station.open(tokens: provider)
        _ = try await snaptrak.enrol(request: Enrol(server: app.origin))
        try await snaptrak.signOut()
        let asked = provider.asked.now
        let note = try await snaptrak.note(text: "It waits.")
        let report = try await snaptrak.sync()
        XCTAssertEqual(report.stoppedBecause, "signed_out")
        let why = try await snaptrak.whyNotUploaded(id: note.id)
        XCTAssertEqual(why.code, "signed_out")
        XCTAssertEqual(provider.asked.now, asked)
        _ = try await snaptrak.enrol(request: Enrol(server: app.origin))
        let verified = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(verified, 1)
        try await snaptrak.shutdown()

        let without = try await station.open()
        let error = await refusal(try await without.enrol(request: Enrol(server: app.origin)))
        XCTAssertEqual(error?.code, "invalid_argument")
        try await without.shutdown()
    }

    func testATokenProviderThatNeverAnswersStopsNeitherAWindowNorItsTaskNorTheShutdown() async throws {
        let station = try Station()
        defer { station.remove() }
        let app = try await App(station)
        let provider = FakeProvider()
        let good = try await app.accessToken(insteadOf: nil)
        provider.answer.with { $0 = .success(good) }
        let snaptrak = try await station.open(tokens: provider)
        _ = try await snaptrak.enrol(request: Enrol(server: app.origin))
        let asked = provider.asked.now
        provider.hangs.with { $0 = true }
        _ = try await snaptrak.note(text: "Before.")
        let report = try await snaptrak.sync(budget: Budget(timeMs: 50))
        XCTAssertEqual(report.stoppedBecause, "budget_time")

        let broken = Task { try await snaptrak.sync() }
        _ = try await snaptrak.note(text: "Captures go on.")
        broken.cancel()
        let cancelled = try await broken.value.stoppedBecause
        XCTAssertEqual(cancelled, "cancelled")

        let waiting = Task { try await snaptrak.sync().stoppedBecause }
        try await snaptrak.shutdown()
        let told: String?
        do { told = try await waiting.value } catch let error as SnapTrakError { told = error.code }
        XCTAssertEqual(told, "cancelled")
        XCTAssertEqual(provider.asked.now, asked + 1, "one question at a time")
        provider.hangs.with { $0 = false }
        provider.open.signal()
        let again = try await station.open()
        let status = try await again.status()
        XCTAssertEqual(status.waiting, 2)
        try await again.shutdown()
    }
}

/// Answers what it is told to, or nobody.
private final class FakeProvider: TokenProvider {
    let answer = Locked<Result<String, any Error>>(.failure(TokenFailure.NotNow))
    let hangs = Locked(false)
    let open = DispatchSemaphore(value: 0)
    let asked = Locked(0)
    let threads = Locked<Set<String>>([])

    func token(refused: String?) throws -> String {
        asked.with { $0 += 1 }
        threads.with { _ = $0.insert(ProcessCounts.nameOfThisThread()) }
        if hangs.now { open.wait() }
        return try answer.now.get()
    }
}

/// The app's own session at the API, which a real one gets from its sign-in.
private final class App: Sendable {
    let origin: String
    let token = Locked<String?>(nil)
    /// What it was told of refused tokens, one entry a question.
    let refused = Locked<[String?]>([])

    /// An app whose person has an account.
    init(_ station: Station) async throws {
        origin = try station.serve().url
        _ = try await send("POST", "/v1/accounts", Self.credentials)
    }

    func accessToken(insteadOf refused: String?) async throws -> String {
        self.refused.with { $0.append(refused) }
        if let token = token.now, token != refused { return token }
        let answer = try JSONSerialization.jsonObject(with: await send("POST", "/v1/sessions", Self.credentials))
        let token = try XCTUnwrap((answer as? [String: Any])?["access_token"] as? String)
        self.token.with { $0 = token }
        return token
    }

    func endSession() async throws {
        _ = try await send("DELETE", "/v1/sessions", nil)
    }

    private static let credentials = ["email": Station.email, "password": Station.password]

    private func send(_ method: String, _ path: String, _ body: [String: String]?) async throws -> Data {
        var request = URLRequest(url: try XCTUnwrap(URL(string: origin + path)))
        request.httpMethod = method
        request.httpBody = try body.map { try JSONEncoder().encode($0) }
        if let token = token.now { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        let (data, response) = try await URLSession.shared.data(for: request)
        let status = try XCTUnwrap(response as? HTTPURLResponse).statusCode
        XCTAssertTrue((200..<300).contains(status), "\(method) \(path): \(status)")
        return data
    }
}
