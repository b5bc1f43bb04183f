import Foundation
import SnapTrak
import XCTest

final class EnginesTests: XCTestCase {
    func testAnAppThatShipsLiteRTAloneUnderstandsItsPictures() async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let snaptrak = try await SnapTrak.openOrCreate(liteRT(station), keyStore: station.keys)
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

    func testAProviderWhoseLibraryIsNotThereIsNamed() async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let missing = station.path("libprovider.so")
        let provider = OrtProvider(
            name: "NoneExecutionProvider", library: missing, accelerator: .npu, options: ["key": "value"])
        let config = Config(
            store: station.config.store, models: station.config.models, runtimeLibrary: Station.runtimeLibrary,
            ballastBytes: 0, runtimeProviders: [provider])
        let refused = try await refusedToAnalyse(config, station)
        XCTAssertEqual(refused?.code, "engine_missing")
        XCTAssertTrue(refused?.detail.contains(missing) ?? false, "\(String(describing: refused))")
    }

    func testAModelAboveTheLimitIsNotLoaded() async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let refused = try await refusedToAnalyse(liteRT(station, modelBytesMax: 1), station)
        XCTAssertEqual(refused?.code, "model_missing")
    }

    func testLibrariesForAGPUAndAnNPUAreLookedForWhereTheAppSays() async throws {
        guard Station.runtimeLibrary != nil else { return }
        let station = try Station()
        defer { station.remove() }
        let empty = station.path("empty")
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: false)
        let beside = Repository.cache.appendingPathComponent("runtime/litert/intel").path
        let option = NpuOption(identifier: "intel_openvino", toml: "graph.0.graph_backend = 0\n")
        let plugin = NpuPlugin(compilerFolder: "\(beside)/compiler", dispatchFolder: "\(beside)/dispatch", options: [option])
        let notOffered = "not_offered"
        // None of these machines has such a device: a library that is there and finds none is told from one that is not there.
        let asShipped = try await codes(liteRT(station), station)
        XCTAssertEqual(asShipped[.npu], [notOffered])
        XCTAssertFalse(asShipped[.gpu]?.contains(notOffered) ?? true, "\(asShipped)")
        let elsewhere = try await codes(liteRT(station, store: "elsewhere", accelerators: empty), station)
        XCTAssertEqual(elsewhere[.gpu], [notOffered])
        let withPlugin = try await codes(liteRT(station, store: "plugged", npu: plugin), station)
        XCTAssertFalse(withPlugin[.npu]?.contains(notOffered) ?? true, "\(withPlugin)")
    }

    private func liteRT(
        _ station: Station, store: String = "store", accelerators: String? = nil, npu: NpuPlugin? = nil,
        modelBytesMax: UInt64? = nil
    ) -> Config {
        Config(
            store: station.path(store), models: station.config.models,
            tfliteLibrary: Repository.cache.appendingPathComponent("runtime/litert/libLiteRt.so").path, ballastBytes: 0,
            tfliteAccelerators: accelerators, tfliteNpu: npu, modelBytesMax: modelBytesMax)
    }

    private func refusedToAnalyse(_ config: Config, _ station: Station) async throws -> SnapTrakError? {
        let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: station.keys)
        _ = try await snaptrak.captureFile(path: station.photo())
        let refused = await refusal(try await snaptrak.analyse(options: AnalyseOptions(accelerator: .cpu)))
        try await snaptrak.shutdown()
        return refused
    }

    /// Why each accelerator is what it is, with the models.
    private func codes(_ config: Config, _ station: Station) async throws -> [Accelerator: Set<String>] {
        let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: station.keys)
        let verdicts = try await snaptrak.tryAccelerators().verdicts
        try await snaptrak.shutdown()
        return Dictionary(grouping: verdicts, by: \.accelerator).mapValues { Set($0.map(\.code)) }
    }
}
