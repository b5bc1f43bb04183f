import Foundation
import SnapTrak
import SnapTrakProbe
import XCTest

/// What calls cost beside calls that cross in the same way and do nothing, and that they leave nothing in the library.
final class CallsTests: XCTestCase {
    private static let rounds = 7
    private static let chunkBytes = 1 << 20
    private static let runsMax = 4

    /// Calls of each kind: few in the gate, 100,000 in `cargo xtask bench ffi`.
    private static let calls = ProcessInfo.processInfo.environment["SNAPTRAK_CALLS"].flatMap(Int.init) ?? 700

    private typealias Call = () async throws -> Void

    private final class Echo: BareCallback {
        func answer(bytes: Data) throws -> Data { bytes }
    }

    private final class Listener: ProgressListener {
        func onProgress(progress: WorkProgress) throws {}
    }

    private func opened(_ work: (SnapTrak) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let config = Config(store: folder.path, ballastBytes: 0)
        let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: MemoryKeyStore())
        try await work(snaptrak)
        try await snaptrak.shutdown()
    }

    /// The first run may make what stays: caches, connections, what a note left to be done. A leak grows with every run.
    func testCallsOfEachKindLeaveInTheLibraryWhatItHeldBefore() async throws {
        try await opened { snaptrak in
            let note = try await snaptrak.note(text: "looked at often")
            try await callEach(snaptrak, note.id, max(Self.calls / 10, Self.rounds))
            var held = [try await Self.settled()]
            for _ in 0..<Self.runsMax {
                try await callEach(snaptrak, note.id, Self.calls)
                held.append(try await Self.settled())
                if zip(held[held.count - 1], held[held.count - 2]).allSatisfy({ $0 <= $1 }) { return }
            }
            XCTFail("the library held, run after run, bytes, blocks and the database's bytes: \(held)")
        }
    }

    private func callEach(_ snaptrak: SnapTrak, _ note: String, _ calls: Int) async throws {
        let cancellation = try Cancellation()
        let bare = try Bare()
        let handle = try BareHandle()
        let sealed = Data(count: 200)
        let hop: Call = { _ = try await bareHop(on: bare, number: 1) }
        try await timed("call", calls, { _ = try cancellation.isCancelled() }, { _ = try handle.number(number: 1) })
        try await timed("handle made and freed", calls, { _ = try Cancellation() }, { _ = try BareHandle() })
        try await timed("async call", calls, { try await idle(instance: snaptrak) }, hop)
        try await timed("async call that looks for what waits", calls, { try await snaptrak.unlock() }, hop)
        try await timed("async call that reads a capture", calls, { _ = try await snaptrak.show(id: note) }, hop)
        try await timed("async call that reads a page", calls, { _ = try await snaptrak.list(limit: 1) }, hop)
        try await timed("async call that is refused", calls, { try await refused { _ = try await snaptrak.show(id: "no id") } }, hop)
        try await timed("async call with a listener", calls, { _ = try await snaptrak.sync(progress: Listener()) }, hop)
        let relock: Call = {
            try snaptrak.lock()
            try await snaptrak.unlock()
        }
        let callback: Call = { _ = try await bareCallback(on: bare, callback: Echo(), bytes: sealed) }
        try await timed("unlock by the app's key store", calls, relock, callback)
        // Small chunks, so that many calls fit on a disk; a large one, for its time.
        try await timedRecording(snaptrak, "chunk of 64 bytes, recorded", bytes: 64, calls)
        try await timedRecording(snaptrak, "chunk of 1 MiB, recorded", bytes: Self.chunkBytes, min(calls, Self.rounds * Self.rounds))
    }

    private func timedRecording(_ snaptrak: SnapTrak, _ name: String, bytes: Int, _ calls: Int) async throws {
        let chunk = Data(count: bytes)
        let recording = try await snaptrak.record(kind: .video)
        try await timed(name, calls, { _ = try recording.write(bytes: chunk) }, { _ = try bareBorrow(bytes: chunk) })
        try recording.discard()
    }

    func testAChunkOfARecordingIsLentNotCopied() async throws {
        let chunk = Data(count: Self.chunkBytes)
        try chunk.withUnsafeBytes { lent in
            let address = UInt64(UInt(bitPattern: lent.baseAddress))
            XCTAssertEqual(try bareBorrow(bytes: chunk), address)
        }
        try await opened { snaptrak in
            let recording = try await snaptrak.record(kind: .video)
            _ = try recording.write(bytes: chunk)
            let before = try held().everBytes
            _ = try recording.write(bytes: chunk)
            XCTAssertLessThan(try held().everBytes - before, UInt64(Self.chunkBytes / 2))
            try recording.discard()
        }
    }

    /// Threads that wait a little for the next call hold memory of their own; what they leave is what counts.
    private static func settled() async throws -> [Int64] {
        try await eventually("no thread of the library waits for a call") { try callThreads() == 0 }
        let held = try held()
        return [held.liveBytes, held.liveBlocks, held.databaseBytes]
    }

    private func timed(_ name: String, _ calls: Int, _ ours: Call, _ bare: Call) async throws {
        var rounds: [(ours: Double, bare: Double)] = []
        for _ in 0..<Self.rounds {
            let ours = try await Self.nanoseconds(calls / Self.rounds, ours)
            rounds.append((ours, try await Self.nanoseconds(calls / Self.rounds, bare)))
        }
        let ratios = rounds.map { $0.ours / $0.bare }.sorted()
        let median = { (figures: [Double]) in figures.sorted()[Self.rounds / 2] }
        let figures = [median(rounds.map(\.ours)), median(rounds.map(\.bare)), median(ratios), ratios[0], ratios[Self.rounds - 1]]
        print((["bench-ffi", "Swift", name] + figures.map { "\($0)" }).joined(separator: "\t"))
    }

    private static func nanoseconds(_ calls: Int, _ call: Call) async throws -> Double {
        let clock = ContinuousClock()
        let took = try await clock.measure { for _ in 0..<calls { try await call() } }
        return Double(took.components.seconds) * 1e9 / Double(calls) + Double(took.components.attoseconds) / 1e9 / Double(calls)
    }

    private func refused(_ call: Call) async throws {
        do {
            try await call()
        } catch is SnapTrakError {
            return
        }
        XCTFail("it was not refused")
    }
}
