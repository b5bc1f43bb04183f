import Foundation
import SnapTrak
import SnapTrakProbe
import XCTest

/// A panic in the core is an error of its call, and of nothing else.
final class PanicTests: XCTestCase {
    private static let panics = 20

    func testAPanicIsThrownAndTheInstanceStillAnswers() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let config = Config(store: folder.path, ballastBytes: 0)
        let keys = MemoryKeyStore()
        let first = try await SnapTrak.openOrCreate(config, keyStore: keys)
        _ = try await first.note(text: "before")
        try await first.shutdown()
        let panicking = try PanicSwitch()

        try panicking.panic(times: 1)
        let refused = await Self.code { _ = try await openThatPanics(config: config, keys: keys, panics: panicking) }
        XCTAssertEqual(refused, "internal")

        let snaptrak = try await openThatPanics(config: config, keys: keys, panics: panicking)
        let note = try await snaptrak.note(text: "beside the panics")
        try snaptrak.lock()
        try panicking.panic(times: UInt64(Self.panics))
        let codes = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<Self.panics {
                group.addTask { await Self.code { try await snaptrak.unlock() } }
            }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        XCTAssertEqual(codes, ["internal"])
        XCTAssertEqual(try panicking.panicked(), UInt64(Self.panics + 1))

        try await snaptrak.unlock()
        let read = try await snaptrak.read(id: note.id, offset: 0, length: 100)
        XCTAssertEqual(read, Data("beside the panics".utf8))
        _ = try await snaptrak.note(text: "after")
        let captures = try await snaptrak.list().captures.count
        XCTAssertEqual(captures, 3)
        let receipts = try await snaptrak.verify().receipts
        XCTAssertEqual(receipts, 3)
        try await snaptrak.shutdown()
    }

    /// The code of the report that the work throws.
    private static func code(_ work: () async throws -> Void) async -> String? {
        do {
            try await work()
            return nil
        } catch SnapTrakError.Report(let code, _) {
            return code
        } catch {
            return "\(error)"
        }
    }
}
