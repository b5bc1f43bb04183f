import Foundation
import SnapTrak
import XCTest

/// What the app's own objects throw at the library: the call fails with a typed error or goes on, and the instance still answers.
final class ForeignErrorsTests: XCTestCase {
    /// An error that no interface declares.
    private struct Undeclared: Error {}

    func testWhatAKeyStoreAnswersIsWhatTheAppIsTold() async throws {
        let station = try Station()
        defer { station.remove() }
        try await station.open().shutdown()

        let answers: [(any Error, code: String, isUnlock: Bool)] = [
            (KeyStoreFailure.NotYet, "not_yet", true),
            (KeyStoreFailure.NeedsUser(wrongAnswer: false), "needs_user", true),
            (KeyStoreFailure.NeedsUser(wrongAnswer: true), "wrong_key", true),
            (KeyStoreFailure.Lost, "keys_lost", false),
            (KeyStoreFailure.Damaged, "damaged", false),
            (KeyStoreFailure.Unexpected(detail: "the daemon is gone"), "not_yet", true),
            (Undeclared(), "not_yet", true),
        ]
        for (failure, code, isUnlock) in answers {
            station.keys.failure.with { $0 = failure }
            let error = await refusal(try await station.open())
            XCTAssertEqual(error?.code, code, "\(failure)")
            if case .Unlock = error { XCTAssertTrue(isUnlock, "\(failure)") } else { XCTAssertFalse(isUnlock, "\(failure)") }
        }

        // None of these answers harmed the store, or left it open.
        station.keys.failure.with { $0 = nil }
        try await station.open().shutdown()
    }

    /// The person is not there: what needs nobody goes on, what needs the viewing key says so.
    func testCaptureNeedsNoPerson() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        try snaptrak.lock()
        station.keys.failure.with { $0 = KeyStoreFailure.NeedsUser(wrongAnswer: false) }

        let bytes = Data.random(bytes: 1_000)
        let captured = try await snaptrak.captureBytes(bytes: bytes)
        let error = await refusal(try await snaptrak.unlock())
        XCTAssertEqual(error?.code, "needs_user")

        station.keys.failure.with { $0 = nil }
        try await snaptrak.unlock()
        let read = try await snaptrak.read(id: captured.id, offset: 0, length: 1_000)
        XCTAssertEqual(read, bytes)
        try await snaptrak.shutdown()
    }

    func testASignerThatThrowsAtOpening() async throws {
        for failure in [SignerFailure.NotNow, SignerFailure.Lost, Undeclared()] as [any Error] {
            let station = try Station()
            defer { station.remove() }
            let error = await refusal(try await station.open(signer: FakeSigner(publicKey: { throw failure })))
            XCTAssertEqual(error?.code, "not_yet", "\(failure)")
        }
        let station = try Station()
        defer { station.remove() }
        let error = await refusal(try await station.open(signer: FakeSigner(publicKey: { Data([4, 1, 2]) })))
        XCTAssertEqual(error?.code, "invalid_argument")
    }

    /// A receipt's place in the chain is taken with the capture; a signer that fails holds up nothing but its receipts: the bytes
    /// reach the server, and once it signs, the server signs too.
    func testASignerThatThrowsHoldsUpNoCapture() async throws {
        let station = try Station()
        defer { station.remove() }
        let failures: [any Error] = [SignerFailure.NotNow, SignerFailure.Unexpected(detail: "busy"), Undeclared()]
        let asked = Locked(0)
        let signer = FakeSigner(sign: { _ in
            throw asked.with { asked in
                defer { asked += 1 }
                return failures[asked % failures.count]
            }
        })
        let snaptrak = try await station.open(signer: signer)
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        for number in 0..<failures.count {
            let before = asked.now
            _ = try await snaptrak.note(text: "note \(number)")
            let report = try await snaptrak.sync()
            XCTAssertEqual(report.received, 1)
            XCTAssertEqual(report.verified, 0)
            XCTAssertEqual(report.parked, 0)
            XCTAssertEqual(report.stoppedBecause, "verification_pending")
            XCTAssertGreaterThan(asked.now, before, "it was asked again")
        }
        let status = try await snaptrak.status()
        XCTAssertEqual(status.waiting, UInt64(failures.count))
        XCTAssertEqual(status.parked, [])
        let report = try await snaptrak.verify()
        XCTAssertEqual(report.receipts, UInt64(failures.count))
        XCTAssertEqual(report.signed, 0)
        XCTAssertTrue(report.chainOk)
        try await snaptrak.shutdown()
    }

    /// Sixty-four bytes that are no signature reach the server, which signs for nothing, and a check on the device says so too.
    func testASignerThatLiesIsFoundOut() async throws {
        let station = try Station()
        defer { station.remove() }
        let signer = FakeSigner(sign: { _ in Data(repeating: 7, count: 64) })
        let snaptrak = try await station.open(signer: signer)
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        let note = try await snaptrak.note(text: "Who signed this?")
        let verified = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(verified, 0)
        let why = try await snaptrak.whyNotUploaded(id: note.id)
        XCTAssertEqual(why.state, .parked)
        XCTAssertEqual(why.code, "receipt_invalid")
        let report = try await snaptrak.verify()
        XCTAssertEqual(report.signed, 0)
        XCTAssertEqual(report.failures.map(\.code), ["signature_invalid"])
        try await snaptrak.shutdown()
    }

    func testAListenerThatThrowsIsToldNothingMoreAndTheWorkGoesOn() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        let failures: [any Error] = [Undeclared(), SnapTrakError.Report(code: "of_the_app", detail: "declared")]
        for failure in failures {
            for _ in 0..<5 {
                _ = try await snaptrak.captureBytes(bytes: .random(bytes: 200_000))
            }
            let listener = ThrowingListener(failure: failure)
            let report = try await snaptrak.sync(budget: nil, progress: listener, cancellation: nil)
            let verified = try await report.verified + snaptrak.syncUntilNothingWaits()
            XCTAssertEqual(verified, 5)
            XCTAssertEqual(listener.told.now, 1)
        }
        try await snaptrak.shutdown()
    }

    /// The log is the one thing that instances share, so that a process has one sink, and these trials are one test.
    func testALogSinkThatThrowsDisturbsNobody() async throws {
        let sink = FakeSink()
        try setLogSink(sink: sink, level: .debug)
        let second = await refusal(try setLogSink(sink: FakeSink(), level: .debug))
        XCTAssertEqual(second?.code, "invalid_argument")

        let station = try Station()
        defer { station.remove() }
        // Something that the library logs: an answer of the app that was not declared.
        func provoke() async throws {
            station.keys.failure.with { $0 = Undeclared() }
            let error = await refusal(try await station.open())
            XCTAssertEqual(error?.code, "not_yet")
            station.keys.failure.with { $0 = nil }
        }
        try await station.open().shutdown()
        try await provoke()
        let lines = sink.lines.now
        XCTAssertTrue(lines.contains { $0.0 == .error && $0.1.hasPrefix("snaptrak") && $0.2.contains("key store") }, "\(lines)")

        sink.failure.with { $0 = Undeclared() }
        try await provoke()
        sink.failure.with { $0 = SnapTrakError.Report(code: "of_the_app", detail: "declared") }
        try await provoke()
        XCTAssertGreaterThan(sink.lines.now.count, lines.count, "it was still called")
        sink.failure.with { $0 = nil }
        try await station.open().shutdown()
    }

    func testTheAppIsCalledOnThreadsOfTheLibrary() async throws {
        let station = try Station()
        defer { station.remove() }
        let threads = Locked<Set<String>>([])
        let signer = FakeSigner(sign: { _ in
            threads.with { _ = $0.insert(ProcessCounts.nameOfThisThread()) }
            throw SignerFailure.NotNow
        })
        let snaptrak = try await station.open(signer: signer)
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        _ = try await snaptrak.note(text: "Who is calling?")
        _ = try await snaptrak.sync()
        _ = try await snaptrak.verify()
        try await snaptrak.shutdown()
        XCTAssertEqual(threads.now, ["snaptrak-call"], "a signer may take its time: the store's writer never waits for it")
        XCTAssertGreaterThan(station.keys.calls.now, 0)
        XCTAssertEqual(station.keys.callsOnTheMainThread.now, 0)
    }
}

/// A signer made of closures. Its public key is a point of the curve, the generator, so that it is a key; it has no private half.
private final class FakeSigner: Signer {
    private static let generator =
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

    private let key: @Sendable () throws -> Data
    private let signing: @Sendable (Data) throws -> Data

    init(
        publicKey: @escaping @Sendable () throws -> Data = { Data(hexadecimal: FakeSigner.generator) },
        sign: @escaping @Sendable (Data) throws -> Data = { _ in throw SignerFailure.NotNow }
    ) {
        key = publicKey
        signing = sign
    }

    func publicKey() throws -> Data { try key() }
    func isHardware() throws -> Bool { true }
    func sign(message: Data) throws -> Data { try signing(message) }
}

private final class ThrowingListener: ProgressListener {
    let told = Locked(0)
    private let failure: any Error

    init(failure: any Error) {
        self.failure = failure
    }

    func onProgress(progress: WorkProgress) throws {
        told.with { $0 += 1 }
        throw failure
    }
}

private final class FakeSink: LogSink {
    let lines = Locked<[(LogLevel, String, String)]>([])
    let failure = Locked<(any Error)?>(nil)

    func onLog(level: LogLevel, target: String, message: String) throws {
        lines.with { $0.append((level, target, message)) }
        if let failure = failure.now { throw failure }
    }
}

extension Data {
    fileprivate init(hexadecimal text: String) {
        let digits = Array(text)
        self.init(stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) })
    }
}
