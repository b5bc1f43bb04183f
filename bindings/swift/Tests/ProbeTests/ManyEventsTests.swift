import Foundation
import SnapTrak
import SnapTrakProbe
import XCTest

/// How ten thousand events a second arrive, and what that takes of the processor.
final class ManyEventsTests: XCTestCase {
    private static let aSecond: UInt64 = 10_000
    private static let rounds = 7

    /// Events of a round: fewer in the gate than are kept for a reader, so that a busy machine makes none of them missed.
    private static let events = ProcessInfo.processInfo.environment["SNAPTRAK_EVENTS"].flatMap(Int.init) ?? 2000

    func testManyEventsArriveInFewBatches() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let snaptrak = try await SnapTrak.openOrCreate(Config(store: folder.path, ballastBytes: 0), keyStore: MemoryKeyStore())
        try await told(snaptrak)
        let seconds = Double(Self.events) / Double(Self.aSecond)
        var shares: [Double] = []
        for _ in 0..<Self.rounds {
            let untold = try await Self.processorTime { try await Self.rehearse(snaptrak) }
            let told = try await Self.processorTime { try await self.told(snaptrak) }
            shares.append(100 * (told - untold) / 1e9 / seconds)
        }
        shares.sort()
        print(["bench-ffi-events", "Swift", "\(shares[Self.rounds / 2])", "\(shares[0])", "\(shares[Self.rounds - 1])"].joined(separator: "\t"))
        try await snaptrak.shutdown()
    }

    private func told(_ snaptrak: SnapTrak) async throws {
        var iterator = snaptrak.events().makeAsyncIterator()
        let first = try await iterator.next()
        XCTAssertEqual(first?.missed, true)
        let started = DispatchTime.now().uptimeNanoseconds
        async let rehearsed: Void = Self.rehearse(snaptrak)
        var assets = Set<String>()
        var events = 0
        var batches = 0
        while events < Self.events, let batch = try await iterator.next() {
            XCTAssertFalse(batch.missed)
            batches += 1
            events += batch.events.count
            assets.formUnion(batch.events.map(\.assetId))
        }
        try await rehearsed
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - started) / 1e9
        XCTAssertEqual(events, Self.events)
        XCTAssertEqual(assets.count, Self.events)
        // One batch may be on its way when the time begins and one when it ends.
        XCTAssertLessThanOrEqual(Double(batches), 2 + seconds * 10)
    }

    private static func rehearse(_ snaptrak: SnapTrak) async throws {
        try await SnapTrakProbe.rehearse(instance: snaptrak, events: UInt64(events), perSecond: aSecond)
    }

    private static func processorTime(_ work: () async throws -> Void) async throws -> Double {
        let before = try SnapTrakProbe.processorTime()
        try await work()
        return Double(try SnapTrakProbe.processorTime() - before)
    }
}
