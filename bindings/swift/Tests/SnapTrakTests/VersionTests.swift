import Foundation
import SnapTrak
import XCTest

final class VersionTests: XCTestCase {
    func testVersionIsTheOneOfTheSources() throws {
        let manifest = Repository.root.appendingPathComponent("Cargo.toml")
        let lines = try String(contentsOf: manifest, encoding: .utf8).components(separatedBy: "\n")
        XCTAssertEqual(lines.first { $0.hasPrefix("version = ") }, "version = \"\(SnapTrak.version)\"")
        XCTAssertEqual(try libraryVersion(), SnapTrak.version)
        XCTAssertNoThrow(try SnapTrak.requireMatchingLibrary())
    }

    func testAnotherVersionIsRefusedAndBothAreNamed() {
        XCTAssertThrowsError(try SnapTrak.requireMatchingLibrary("0.0.1")) { error in
            guard case .UpdateApp(let code, let detail)? = error as? SnapTrakError else { return XCTFail("\(error)") }
            XCTAssertEqual(code, "library_mismatch")
            XCTAssertTrue(detail.contains("0.0.1") && detail.contains(SnapTrak.version), detail)
        }
        XCTAssertThrowsError(try requireVersion(binding: "0.0.1")) { error in
            let detail = (error as? SnapTrakError)?.detail ?? ""
            XCTAssertTrue(detail.contains("0.0.1") && detail.contains(SnapTrak.version), detail)
        }
    }
}
