import Foundation
import SnapTrak
import XCTest

/// Many calls at once, and what they leave.
final class ManyCallsTests: XCTestCase {
    private static let calls = 10_000
    private static let callsAtOnce = 100

    func testTenThousandCalls() async throws {
        let station = try Station()
        defer { station.remove() }
        var snaptrak: SnapTrak? = try await station.open()
        weak var gone = snaptrak
        let note = try await snaptrak!.note(text: "Looked at ten thousand times.")
        let files = try ProcessCounts.descriptors()

        let answered = try await withThrowingTaskGroup(of: Int.self) { [snaptrak] group in
            for task in 0..<Self.callsAtOnce {
                group.addTask {
                    var right = 0
                    for call in 0..<(Self.calls / Self.callsAtOnce) {
                        right += try await Self.answersRightly(snaptrak!, task + call, note) ? 1 : 0
                    }
                    return right
                }
            }
            return try await group.reduce(0, +)
        }
        XCTAssertEqual(answered, Self.calls)
        XCTAssertLessThanOrEqual(try ProcessCounts.libraryThreads().count, 20, "calls wait for their turn, not for a thread each")

        try await eventually("threads without a call end") {
            ProcessCounts.own(try ProcessCounts.libraryThreads().filter { $0 == "snaptrak-call" }) == 0
        }
        XCTAssertLessThanOrEqual(try ProcessCounts.descriptors(), files + 32, "readers are kept, calls are not")
        try await snaptrak!.shutdown()
        snaptrak = nil
        XCTAssertNil(gone)
        try await eventually("the library's threads have ended") { ProcessCounts.own(try ProcessCounts.libraryThreads()) == 0 }
        try await eventually("every file is closed") { try ProcessCounts.descriptors() <= files }
    }

    private static func answersRightly(_ snaptrak: SnapTrak, _ call: Int, _ note: Captured) async throws -> Bool {
        switch call % 4 {
        case 0: try await snaptrak.show(id: note.id).id == note.id
        case 1: try await snaptrak.list(limit: 1).captures.map(\.id) == [note.id]
        case 2: try await snaptrak.read(id: note.id, offset: 0, length: 6) == Data("Looked".utf8)
        default: await refusal(try await snaptrak.show(id: UUID().uuidString))?.code == "not_found"
        }
    }

    /// The iterator reads page after page and gives each capture once, whatever the page's size.
    func testPages() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        var ids: [String] = []
        for number in 0..<25 { ids.append(try await snaptrak.note(text: "note \(number)").id) }
        for pageSize in [1, 5, 24, 25, 26, 1_000] as [UInt32] {
            var seen: [String] = []
            for try await capture in snaptrak.captures(pageSize: pageSize) { seen.append(capture.id) }
            XCTAssertEqual(seen.count, ids.count, "pages of \(pageSize)")
            XCTAssertEqual(Set(seen), Set(ids), "pages of \(pageSize)")
        }
        var verified = 0
        for try await _ in snaptrak.captures(state: .verified) { verified += 1 }
        XCTAssertEqual(verified, 0)
        let error = await refusal(try await { for try await _ in snaptrak.captures(pageSize: 1_001) {} }())
        XCTAssertEqual(error?.code, "invalid_argument")
        try await snaptrak.shutdown()
    }
}
