import SnapTrak
import XCTest

final class StandingTests: XCTestCase {
    private func standing(_ state: AssetState) -> Standing {
        Why(
            state: state, code: "a code", parameters: ["status": "422"], sinceMs: 1, nextTryMs: 2, unblockedBy: "retry",
            serverStatus: 422
        ).standing
    }

    func testEveryStateHasItsCaseWithWhatBelongsToIt() {
        for state: AssetState in [.saved, .queued, .prepared, .sending, .received] {
            XCTAssertEqual(standing(state), .onItsWay(state: state, code: "a code", unblockedBy: "retry", nextTryMs: 2))
        }
        XCTAssertEqual(standing(.recording), .recording)
        XCTAssertEqual(standing(.withheld), .withheld(code: "a code", unblockedBy: "retry"))
        XCTAssertEqual(
            standing(.parked), .parked(code: "a code", parameters: ["status": "422"], unblockedBy: "retry", serverStatus: 422))
        XCTAssertEqual(standing(.verified), .verified(isHere: true))
        XCTAssertEqual(standing(.purged), .verified(isHere: false))
        XCTAssertEqual(standing(.cancelled), .cancelled)
    }
}
