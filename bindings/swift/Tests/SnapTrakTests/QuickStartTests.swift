import Foundation
import SnapTrak
import XCTest

/// The quick start of the README, compiled and run. What stands between the marks is what the README shows, word for word.
final class QuickStartTests: XCTestCase {
    func testTheQuickStartRuns() async throws {
        let station = try Station()
        defer { station.remove() }
        let folder = station.path("store")
        let keys = station.keys
        let (path, copy) = (try station.photo(), station.path("copy"))
        let server = try station.serve().url
        let (email, password) = (Station.email, Station.password)

        // quick start begins
        let snaptrak = try await SnapTrak.openOrCreate(Config(store: folder), keyStore: keys)
        let photo = try await snaptrak.captureFile(path: path)  // sealed and durable when it returns
        _ = try await snaptrak.note(text: "The frame is wet behind the sill.")
        for try await capture in snaptrak.captures() { print(capture.kind, capture.state, capture.created) }
        _ = try await snaptrak.signUp(request: SignUp(server: server, email: email), password: password)
        for try await event in snaptrak.syncing() {
            if case .finished(let report) = event { print("the server signed for \(report.verified)") }
        }
        print("proved offline:", try await snaptrak.verify().countersigned)
        _ = try await snaptrak.view(id: photo.id, path: copy)
        // quick start ends

        XCTAssertEqual(
            try Data(contentsOf: URL(fileURLWithPath: copy)), try Data(contentsOf: URL(fileURLWithPath: path)))
        _ = try await snaptrak.syncUntilNothingWaits()
        let proved = try await snaptrak.verify()
        XCTAssertGreaterThanOrEqual(proved.countersigned, 2)
        try await snaptrak.shutdown()
    }

    func testTheReadmeShowsWhatRuns() throws {
        let source = try String(contentsOfFile: #filePath, encoding: .utf8).components(separatedBy: "\n")
        let begin = try XCTUnwrap(source.firstIndex { $0.hasSuffix("// quick start begins") })
        let end = try XCTUnwrap(source.firstIndex { $0.hasSuffix("// quick start ends") })
        let indent = source[begin].prefix { $0 == " " }.count
        let runs = source[(begin + 1)..<end].map { String($0.dropFirst(indent)) }.joined(separator: "\n")

        let readme = Repository.root.appendingPathComponent("bindings/swift/README.md")
        let blocks = try String(contentsOf: readme, encoding: .utf8).components(separatedBy: "```swift\n").dropFirst()
        let shown = blocks.compactMap { $0.components(separatedBy: "\n```").first }
        XCTAssertTrue(shown.contains(runs), "the README's quick start is not what QuickStartTests runs")
    }
}
