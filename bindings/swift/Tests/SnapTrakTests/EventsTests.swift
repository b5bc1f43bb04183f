import Foundation
import SnapTrak
import XCTest

/// What a store tells those who watch it.
final class EventsTests: XCTestCase {
    func testANoteIsToldOnceAfterTheWordToLookAtWhatIsThere() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        var events = snaptrak.events().makeAsyncIterator()
        let first = try await events.next()
        XCTAssertEqual(first, EventBatch(events: [], missed: true))
        let note = try await snaptrak.note(text: "the door is jammed")
        let told = try await events.next()
        XCTAssertEqual(told?.events.map(\.captureId), [note.id])
        XCTAssertEqual(told?.events.map(\.kind), [.added])
        XCTAssertEqual(told?.missed, false)
        let next = try await snaptrak.note(text: "the key is lost")
        let after = try await events.next()
        XCTAssertEqual(after?.events.map(\.captureId), [next.id], "settling the first is nothing that happens to it")
        try await snaptrak.shutdown()
    }

    func testWhatPeopleSayOfACaptureIsToldShownAndRemoved() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        let note = try await snaptrak.note(text: "the door is jammed")
        var events = snaptrak.events().makeAsyncIterator()
        _ = try await events.next()
        try await snaptrak.setAnnotations(id: note.id, fields: ["room": "12", "state": "jammed"])
        let told = try await events.next()
        XCTAssertEqual(told?.events.map(\.captureId), [note.id])
        XCTAssertEqual(told?.events.map(\.kind), [.annotated])
        try await snaptrak.setAnnotations(id: note.id, fields: ["state": nil])
        let annotations = try await snaptrak.show(id: note.id).annotations
        XCTAssertEqual(annotations.map(\.field), ["room"])
        XCTAssertEqual(annotations.map(\.value), ["12"])
        let refused = await refusal(try await snaptrak.setAnnotations(id: note.id, fields: ["Room": "12"]))
        XCTAssertEqual(refused?.code, "invalid_argument")
        try await snaptrak.shutdown()
    }

    func testTheQueueAndTheFindingsBeginWithHowTheyAre() async throws {
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        let note = try await snaptrak.note(text: "one")
        var health = snaptrak.queueHealthChanges().makeAsyncIterator()
        let first = try await health.next()
        XCTAssertEqual(first?.waiting, 1)
        XCTAssertEqual(first?.blockedBy, "not_enrolled")
        _ = try await snaptrak.note(text: "two")
        let second = try await health.next()
        XCTAssertEqual(second?.waiting, 2)
        var findings = snaptrak.findings(id: note.id).makeAsyncIterator()
        let found = try await findings.next()
        XCTAssertEqual(found, [])
        try await snaptrak.shutdown()
        let end = try await findings.next()
        XCTAssertNil(end)
    }

    func testCancelledReadersLeaveNothingAndTheShutdownEndsTheOthers() async throws {
        let station = try Station()
        defer { station.remove() }
        var snaptrak: SnapTrak? = try await station.open()
        weak var gone = snaptrak
        for number in 0..<100 {
            let reading = reader(snaptrak!, ofEvents: number % 2 == 0)
            if number % 4 < 2 { _ = try await snaptrak!.note(text: "in between") }
            reading.cancel()
            _ = try await reading.value
        }
        let others = [reader(snaptrak!, ofEvents: true), reader(snaptrak!, ofEvents: false)]
        try await snaptrak!.shutdown()
        for other in others { _ = await other.result }
        let late = await refusal(try await snaptrak!.queueHealth())
        XCTAssertEqual(late?.code, "cancelled")
        snaptrak = nil
        try await eventually("no reader holds the instance") { gone == nil }
    }

    /// Reads until it is cancelled or the store is shut down; how much it was told.
    private func reader(_ snaptrak: SnapTrak, ofEvents: Bool) -> Task<Int, any Error> {
        Task {
            var told = 0
            if ofEvents {
                for try await _ in snaptrak.events() { told += 1 }
            } else {
                for try await _ in snaptrak.queueHealthChanges() { told += 1 }
            }
            return told
        }
    }
}
