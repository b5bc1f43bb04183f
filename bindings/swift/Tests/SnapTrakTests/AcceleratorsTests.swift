import Foundation
import SnapTrak
import XCTest

/// What a machine without a GPU and an NPU answers; what follows from each case is held by the core's own tests.
final class AcceleratorsTests: XCTestCase {
    private static let faces = "blazeface_back"

    func testWhatIsKnownOfTheAcceleratorsIsMeasuredExplainedAndForgotten() async throws {
        try await withStore { snaptrak in
            let before = try await snaptrak.accelerators()
            XCTAssertEqual(before, AcceleratorsReport(verdicts: [], notes: []), "nothing was asked for yet")

            let tried = try await snaptrak.tryAccelerators(what: TryAccelerators(model: Self.faces))
            XCTAssertEqual(tried.verdicts.map(\.accelerator), [.npu, .gpu])
            for verdict in tried.verdicts {
                XCTAssertEqual(
                    [verdict.engine, verdict.modelId, verdict.verdict, verdict.code],
                    ["ort", Self.faces, "unusable", "not_offered"])
                XCTAssertEqual(verdict.place, .foreground)
                XCTAssertEqual(verdict.strikes, 0)
                XCTAssertGreaterThan(try XCTUnwrap(verdict.retryAtMs), verdict.sinceMs)
                XCTAssertTrue(verdict.runMs == nil && verdict.cpuMs == nil && verdict.difference == nil, "nothing ran")
            }
            let known = try await snaptrak.accelerators()
            XCTAssertEqual(known, tried)
            let all = try await snaptrak.tryAccelerators()
            XCTAssertEqual(all.verdicts.count, 4, "the detector's two beside them")

            let forgotten = try await snaptrak.forgetAccelerators()
            XCTAssertEqual(forgotten.verdicts, [])
            let after = try await snaptrak.accelerators()
            XCTAssertEqual(after.verdicts, [])
        }
    }

    func testTheMomentDecidesWhetherAndForWhichPlaceIsMeasured() async throws {
        try await withStore { snaptrak in
            for moment in [Conditions(thermal: .critical), Conditions(lowPower: true)] {
                let what = TryAccelerators(model: Self.faces, conditions: moment)
                let tried = try await snaptrak.tryAccelerators(what: what)
                XCTAssertEqual(tried.verdicts, [], "\(moment)")
            }
            let behind = TryAccelerators(model: Self.faces, conditions: Conditions(place: .background))
            let tried = try await snaptrak.tryAccelerators(what: behind)
            XCTAssertEqual(tried.verdicts.map(\.place), [.background, .background])
        }
    }

    func testAModelThatNobodyKnowsIsRefused() async throws {
        try await withStore { snaptrak in
            let model = await refusal(try await snaptrak.tryAccelerators(what: TryAccelerators(model: "abacus")))
            XCTAssertEqual(model?.code, "model_missing")
            let engine = await refusal(try await snaptrak.tryAccelerators(what: TryAccelerators(engine: "abacus")))
            XCTAssertEqual(engine?.code, "engine_missing")
        }
    }

    private func withStore(_ test: (SnapTrak) async throws -> Void) async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await station.open()
        try await test(snaptrak)
        try await snaptrak.shutdown()
    }
}
