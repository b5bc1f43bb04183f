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
        ]
        for (place, error) in refusals.enumerated() {
            XCTAssertEqual(error?.code, "cancelled", "call \(place): \(String(describing: error))")
        }
        // What needs the network is refused too.
        let sync = await refusal(try await snaptrak.sync())
        XCTAssertNotNil(sync)
        let syncing = await refusal(try await { for try await _ in snaptrak.syncing() {} }())
        XCTAssertEqual(syncing, sync)
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

    /// The server answers nobody, and the shutdown comes while a call waits for it: neither waits for the other, and the call can
    /// still be broken off.
    func testShutdownWhileACallWaitsForTheServer() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        _ = try await snaptrak.signUp(request: station.account())
        let captured = try await snaptrak.captureBytes(bytes: .random(bytes: 50_000))
        _ = try await snaptrak.syncUntilNothingWaits()
        _ = try await snaptrak.purge(captures: [captured.id])

        try station.serve().freeze()
        let (underWay, tell) = AsyncStream<Void>.makeStream()
        let fetch = Task {
            for try await event in snaptrak.fetching(id: captured.id) {
                if case .progress = event { tell.yield() }
            }
        }
        for await _ in underWay { break }
        let begun = Date()
        try await snaptrak.shutdown()
        fetch.cancel()
        _ = await fetch.result
        XCTAssertLessThan(Date().timeIntervalSince(begun), 10)
        try await station.open().shutdown()
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

    /// A recording that nobody ended is ended by its release. It keeps the store open until then, and its bytes are there.
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

        var open: Recording? = try await snaptrak.record(kind: .video)
        _ = try open?.write(bytes: bytes)
        let second = try XCTUnwrap(open).id()
        try await snaptrak.shutdown()
        open = nil

        let again = try await station.open()
        let kept = try await again.read(id: second, offset: 0, length: 300_000)
        XCTAssertEqual(kept, bytes)
        try await again.shutdown()
    }
}
