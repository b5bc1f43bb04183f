import Foundation
import SnapTrak
import XCTest

final class EnginesTests: XCTestCase {
    func testAnAppThatShipsLiteRTAloneUnderstandsItsPictures() async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let config = Config(
            store: station.config.store, models: station.config.models,
            tfliteLibrary: Repository.cache.appendingPathComponent("runtime/litert/libLiteRt.so").path, ballastBytes: 0)
        let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: station.keys)
        let captured = try await snaptrak.captureFile(path: station.photo())
        let refused = await refusal(try await snaptrak.analyse(options: AnalyseOptions(engine: "ort")))
        XCTAssertEqual(refused?.code, "engine_missing")
        let report = try await snaptrak.analyse(options: AnalyseOptions(accelerator: .cpu))
        XCTAssertEqual(report.analysed, 1)
        let findings = try await snaptrak.show(id: captured.id).findings
        XCTAssertEqual(Set(findings.map(\.task)), ["detect", "find_faces"])
        XCTAssertTrue(findings.allSatisfy { $0.engine.hasPrefix("litert") && $0.acceleratorRan == "cpu" && !$0.boxes.isEmpty })
        try await snaptrak.shutdown()
    }
}
