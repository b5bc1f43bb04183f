import Foundation
import SnapTrak
import XCTest

/// A day of an inspector, from the first opening in a basement to the proof in the evening. Read from top to bottom it is the
/// tutorial.
final class JourneyTests: XCTestCase {
    func testTheJourney() async throws {
        let station = try Station()
        defer { station.remove() }

        // The first opening makes the store. The key store is the platform's; here it is one of the tests.
        let snaptrak = try await SnapTrak.openOrCreate(station.config, keyStore: station.keys)

        // A screen watches from now on: what happens to each capture.
        let screen = Locked<[String: AssetState]>([:])
        let watching = Task {
            for try await batch in snaptrak.events() {
                if batch.missed {
                    for try await capture in snaptrak.captures() { screen.with { $0[capture.id] = capture.state } }
                }
                for event in batch.events where event.rendition == .original {
                    screen.with { $0[event.captureId] = event.state }
                }
            }
        }

        // There is no network, and nothing needs one. When a capture returns, it is sealed and durable: a power cut loses nothing.
        let photo = try await snaptrak.captureFile(
            path: station.photo(),
            options: CaptureOptions(
                note: "Third window", tags: ["window", "north"], project: "Harbour 7",
                location: Location(latitude: 53.5436, longitude: 9.9664, accuracyM: 8)))
        XCTAssertEqual(photo.kind, .photo)
        XCTAssertEqual(photo.contentType, "image/png")
        let note = try await snaptrak.note(text: "The frame is wet behind the sill.")
        XCTAssertEqual(note.kind, .note)

        // A recording is given its bytes as they come. Nothing of it is lost but what was not written yet.
        let sound = Data.random(bytes: 1_500_000)
        let recording = try await snaptrak.record(kind: .audio, recordOptions: RecordOptions(pieceBytes: 400_000))
        var piecesWhileItWentOn = 0
        for start in stride(from: 0, to: sound.count, by: 100_000) {
            let chunk = sound[start..<min(start + 100_000, sound.count)]
            piecesWhileItWentOn += try recording.write(bytes: chunk).count
        }
        let recorded = try recording.finish()
        XCTAssertEqual(recorded.endedBecause, "input_ended")
        XCTAssertEqual(recorded.pieces, 4)
        XCTAssertEqual(piecesWhileItWentOn, 3, "three pieces were durable before the end")
        XCTAssertEqual(recorded.captured.bytes, UInt64(sound.count))

        // What is in the pictures is found here, on the device.
        let understood = try await understand(snaptrak, photo.id)

        // The list is a sequence, read page by page; a capture's detail has its findings.
        var seen: Set<String> = []
        for try await capture in snaptrak.captures() {
            seen.insert(capture.id)
            XCTAssertLessThan(abs(capture.created.timeIntervalSinceNow), 600)
        }
        XCTAssertEqual(seen, [photo.id, note.id, recorded.captured.id])
        let detail = try await snaptrak.show(id: photo.id)
        XCTAssertEqual(detail.note, "Third window")
        XCTAssertEqual(detail.location?.latitude, 53.5436)
        XCTAssertEqual(detail.findings.isEmpty, !understood)
        if understood {
            XCTAssertTrue(detail.findings.contains { $0.task == "find_faces" && !$0.boxes.isEmpty })
        }

        // Why is it not at the office yet? There is always an answer.
        let why = try await snaptrak.whyNotUploaded(id: photo.id)
        if case .onItsWay(_, let code, _, _) = why.standing {
            XCTAssertEqual(code, "not_enrolled")
        } else {
            XCTFail("\(why)")
        }

        // The network is back. The device is enrolled, and what was captured before is wrapped for the organisation now.
        let enrolled = try await snaptrak.signUp(request: station.account(), password: Station.password)
        XCTAssertFalse(enrolled.trustRootGiven, "the app has to tell the person whom the device trusts from now on")
        try await bring(snaptrak, captures: 3)
        try await eventually("the screen shows what is there") { screen.now.values.filter { $0 == .verified }.count == 3 }
        watching.cancel()

        // Each receipt is countersigned: the server holds the same bytes. This is checked without asking it.
        let verified = try await snaptrak.verify()
        XCTAssertEqual(verified.failures, [])
        XCTAssertTrue(verified.chainOk)
        XCTAssertEqual(verified.signed, verified.receipts)
        XCTAssertGreaterThanOrEqual(verified.countersigned, 3)
        for try await capture in snaptrak.captures() {
            XCTAssertEqual(capture.state, .verified)
        }

        // The original comes out byte for byte, in a file or in parts.
        let original = try Data(contentsOf: URL(fileURLWithPath: station.photo()))
        let viewed = try await snaptrak.view(id: photo.id, path: station.path("viewed"))
        XCTAssertEqual(viewed.sha256, photo.sha256)
        XCTAssertEqual(try Data(contentsOf: station.folder.appendingPathComponent("viewed")), original)
        let part = try await snaptrak.read(id: recorded.captured.id, offset: 399_000, length: 2_000)
        XCTAssertEqual(part, sound[399_000..<401_000], "a part may lie on both sides of a piece's end")

        // The phone is full. What the server signed for may go, and is brought back when it is wanted.
        try await makeRoomAndFetch(snaptrak, capture: recorded.captured, bytes: sound)

        // The end of the day. What comes later is refused.
        try await snaptrak.shutdown()
        let late = await refusal(try await snaptrak.status())
        XCTAssertEqual(late?.code, "cancelled")
    }

    /// Analyses what waits, and says whether this machine has the models for it.
    private func understand(_ snaptrak: SnapTrak, _ photo: String) async throws -> Bool {
        guard Station.runtimeLibrary != nil else { return false }
        // A screen that shows this photo is told what is found in it.
        let found = Task { () -> [Finding]? in
            for try await findings in snaptrak.findings(id: photo) where findings.contains(where: { $0.task == "find_faces" }) {
                return findings
            }
            return nil
        }
        var report: AnalyseReport?
        var steps: [WorkProgress] = []
        for try await event in snaptrak.analysing() {
            switch event {
            case .progress(let progress): steps.append(progress)
            case .finished(let finished): report = finished
            }
        }
        XCTAssertEqual(report?.analysed, 1, "a note and a sound wait for no model")
        XCTAssertEqual(report?.left, 0)
        XCTAssertEqual(steps.last?.phase, .analysing)
        XCTAssertEqual(steps.last?.done, 1)
        let told = try await found.value
        let kept = try await snaptrak.show(id: photo).findings
        XCTAssertEqual(told, kept)
        return true
    }

    /// Syncs with a progress bar until the server has signed for everything.
    private func bring(_ snaptrak: SnapTrak, captures: UInt64) async throws {
        var verified: UInt64 = 0
        var bytesDone: [UInt64] = []
        for try await event in snaptrak.syncing() {
            switch event {
            case .progress(let progress): bytesDone.append(progress.bytesDone)
            case .finished(let report): verified = report.verified
            }
        }
        XCTAssertFalse(bytesDone.isEmpty, "an app can draw how far it is")
        XCTAssertEqual(bytesDone, bytesDone.sorted(), "a progress bar never goes back")
        verified += try await snaptrak.syncUntilNothingWaits()
        XCTAssertEqual(verified, captures)
    }

    private func makeRoomAndFetch(_ snaptrak: SnapTrak, capture: Captured, bytes: Data) async throws {
        let purged = try await snaptrak.purge(captures: [capture.id])
        XCTAssertEqual(purged.purged, 1)
        XCTAssertGreaterThanOrEqual(purged.freedBytes, UInt64(bytes.count))
        let gone = await refusal(try await snaptrak.read(id: capture.id, offset: 0, length: 1))
        XCTAssertEqual(gone?.code, "purged")

        var fetched: FetchReport?
        for try await event in snaptrak.fetching(id: capture.id) {
            if case .finished(let report) = event { fetched = report }
        }
        XCTAssertEqual(fetched?.pieces, 4)
        XCTAssertEqual(fetched?.state, .verified)
        let back = try await snaptrak.read(id: capture.id, offset: 0, length: UInt32(bytes.count))
        XCTAssertEqual(back, bytes)
    }
}
