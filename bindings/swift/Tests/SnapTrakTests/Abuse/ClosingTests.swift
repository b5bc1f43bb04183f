import Foundation
import SnapTrak
import XCTest

/// The end of an instance, at every wrong moment.
final class ClosingTests: XCTestCase {
    func testCallsAfterShutdownAreRefused() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        let note = try await snaptrak.note(text: "The last one.")
        try await snaptrak.shutdown()

        let refusals = [
            await refusal(try await snaptrak.note(text: "Too late.")),
            await refusal(try await snaptrak.captureBytes(bytes: Data([1]))),
            await refusal(try await snaptrak.captureFile(path: #filePath)),
            await refusal(try await snaptrak.record(kind: .audio)),
            await refusal(try await snaptrak.status()),
            await refusal(try await snaptrak.list()),
            await refusal(try await snaptrak.show(id: note.id)),
            await refusal(try await snaptrak.read(id: note.id, offset: 0, length: 1)),
            await refusal(try await snaptrak.whyNotUploaded(id: note.id)),
            await refusal(try await snaptrak.verify()),
            await refusal(try await snaptrak.purge()),
            await refusal(try await snaptrak.unlock()),
            await refusal(try await { for try await _ in snaptrak.captures() {} }()),
            await refusal(try await snaptrak.analyse()),
            await refusal(try await snaptrak.fetch(id: note.id)),
            await refusal(try await snaptrak.forecast()),
            await refusal(try await snaptrak.signUp(request: SignUp(server: "http://127.0.0.1:9", email: "a"), password: "b")),
            await refusal(try await snaptrak.enrol(request: Enrol(server: "http://127.0.0.1:9"))),
            await refusal(try await snaptrak.signOut()),
            await refusal(try await snaptrak.sync()),
            await refusal(try await { for try await _ in snaptrak.syncing() {} }()),
        ]
        for (place, error) in refusals.enumerated() {
            XCTAssertEqual(error?.code, "cancelled", "call \(place): \(String(describing: error))")
        }
        // Closing what is closed is no error; it is what a `defer` does after an early end.
        try await snaptrak.shutdown()
    }

    /// Every call that was under way either did its work or was refused: nothing hangs, and nothing that was answered is lost.
    func testShutdownDuringCalls() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        let begun = Locked(0)
        let captured = try await withThrowingTaskGroup(of: String?.self) { group in
            for number in 0..<64 {
                group.addTask {
                    begun.with { $0 += 1 }
                    do {
                        return try await snaptrak.note(text: "note \(number)").id
                    } catch let error as SnapTrakError {
                        XCTAssertEqual(error.code, "cancelled")
                        return nil
                    }
                }
            }
            // The first answer says that calls are under way.
            let first = try await group.next() ?? nil
            try await snaptrak.shutdown()
            var answered = [first]
            for try await id in group { answered.append(id) }
            XCTAssertEqual(answered.count, 64)
            return Set(answered.compactMap { $0 })
        }
        XCTAssertEqual(begun.now, 64)
        XCTAssertFalse(captured.isEmpty)

        let again = try await station.open()
        var there: Set<String> = []
        for try await capture in again.captures(pageSize: 7) { there.insert(capture.id) }
        XCTAssertTrue(captured.isSubset(of: there), "what was answered is there")
        try await again.shutdown()
    }

    /// The server answers nobody, and the shutdown comes while calls wait for it: it ends them and returns at once, and the store is
    /// free. More calls than run at once, so that some wait for their turn.
    func testShutdownWhileCallsWaitForTheServer() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        let captured = try await snaptrak.captureBytes(bytes: .random(bytes: 50_000))
        _ = try await snaptrak.syncUntilNothingWaits()
        _ = try await snaptrak.purge(captures: [captured.id])

        let server = try station.serve()
        server.freeze()
        let (underWay, tell) = AsyncStream<Void>.makeStream()
        let fetch = Task {
            for try await event in snaptrak.fetching(id: captured.id) {
                if case .progress = event { tell.yield() }
            }
        }
        for await _ in underWay { break }
        let account = SignIn(server: server.url, email: Station.email)
        let others = (0..<40).map { _ in Task { try await snaptrak.signIn(request: account, password: Station.password) } }
        let begun = Date()
        try await snaptrak.shutdown()
        XCTAssertLessThan(Date().timeIntervalSince(begun), 0.9)
        try await station.open().shutdown()

        let refused = await refusal(try await fetch.value)
        XCTAssertEqual(refused?.code, "cancelled")
        for other in others {
            let refused = await refusal(try await other.value)
            XCTAssertEqual(refused?.code, "cancelled")
        }
    }

    /// The server answers nobody: a task that is cancelled does not wait for it, and the next call has its turn.
    func testASignInThatNobodyWaitsForIsBrokenOff() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        let server = try station.serve()
        server.freeze()
        let account = SignIn(server: server.url, email: Station.email)
        let waiting = [
            Task { _ = try await snaptrak.signIn(request: account, password: Station.password) },
            Task { try await snaptrak.signOut() },
        ]
        try await Task.sleep(nanoseconds: 50_000_000)
        for task in waiting { task.cancel() }
        for task in waiting {
            let refused = await refusal(try await task.value)
            XCTAssertEqual(refused?.code, "cancelled")
        }
        try await snaptrak.shutdown()
    }

    /// To the app a call that was broken off is over: the next one is not told that it is still there.
    func testACallRightAfterOneThatWasBrokenOff() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        _ = try await snaptrak.signUp(request: station.account(), password: Station.password)
        _ = try await snaptrak.captureBytes(bytes: .random(bytes: 50_000))
        for _ in 0..<20 {
            try station.serve().freeze()
            let cancellation = try Cancellation()
            async let broken = snaptrak.sync(budget: nil, progress: nil, cancellation: cancellation)
            try await Task.sleep(nanoseconds: 20_000_000)
            try cancellation.cancel()
            let next = try Cancellation()
            async let after = snaptrak.sync(budget: nil, progress: nil, cancellation: next)
            try await Task.sleep(nanoseconds: 5_000_000)
            try next.cancel()
            let told = try await [broken.stoppedBecause, after.stoppedBecause]
            XCTAssertEqual(told, ["cancelled", "cancelled"])
            try station.serve().thaw()
        }
        let verified = try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(verified, 1)
        try await snaptrak.shutdown()
    }

    func testDroppingTheInstanceFreesTheStore() async throws {
        let station = try Station()
        defer { station.remove() }
        for number in 0..<20 {
            let snaptrak = try await station.open()
            _ = try await snaptrak.note(text: "note \(number)")
        }
        let snaptrak = try await station.open()
        var notes = 0
        for try await _ in snaptrak.captures() { notes += 1 }
        XCTAssertEqual(notes, 20)
        try await snaptrak.shutdown()
    }

    func testASecondInstanceOnTheSameStoreIsToldSo() async throws {
        let station = try Station()
        defer { station.remove() }
        let first = try await station.open()
        let error = await refusal(try await station.open())
        guard case .InUse(let code, _) = error else { return XCTFail("\(String(describing: error))") }
        XCTAssertEqual(code, "in_use")
        let another = await refusal(
            try await SnapTrak.create(config: station.config, keyStore: station.keys, signer: nil))
        XCTAssertNotNil(another)

        _ = try await first.note(text: "The first one is not disturbed.")
        try await first.shutdown()
        try await station.open().shutdown()
    }

    func testTwoInstancesLiveSideBySide() async throws {
        let (here, there) = (try Station(), try Station())
        defer { [here, there].forEach { $0.remove() } }
        let (first, second) = (try await here.open(), try await there.open())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask { _ = try await first.note(text: "first \(number)") }
                group.addTask { _ = try await second.note(text: "second \(number)") }
            }
            try await group.waitForAll()
        }
        // The end of one is not the end of the other.
        try await first.shutdown()
        let status = try await second.status()
        XCTAssertEqual(status.waiting, 50)
        let refused = await refusal(try await first.status())
        XCTAssertEqual(refused?.code, "cancelled")
        try await second.shutdown()
    }

    /// A recording that nobody ended is ended by its release, or by the shutdown, and its bytes are there. A handle that outlives its
    /// instance holds nothing and refuses what comes.
    func testRecordingsThatNobodyEnded() async throws {
        let station = try Station()
        defer { station.remove() }
        let bytes = Data.random(bytes: 300_000)
        let snaptrak = try await station.open()
        var dropped: Recording? = try await snaptrak.record(kind: .audio)
        _ = try dropped?.write(bytes: bytes)
        let first = try XCTUnwrap(dropped).id()
        dropped = nil
        let read = try await snaptrak.read(id: first, offset: 0, length: 300_000)
        XCTAssertEqual(read, bytes)

        let open = try await snaptrak.record(kind: .video)
        _ = try open.write(bytes: bytes)
        try await snaptrak.shutdown()

        let again = try await station.open()
        let kept = try await again.read(id: open.id(), offset: 0, length: 300_000)
        XCTAssertEqual(kept, bytes)
        let refusals = [
            await refusal(try open.write(bytes: bytes)),
            await refusal(try open.tick()),
            await refusal(try open.pause()),
            await refusal(try open.finish()),
            await refusal(try open.finish()),
            await refusal(try open.discard()),
        ]
        XCTAssertEqual(refusals.map { $0?.code }, Array(repeating: "cancelled", count: 6))
        let captures = try await again.list().captures.count
        XCTAssertEqual(captures, 2)
        try await again.shutdown()
    }
}
