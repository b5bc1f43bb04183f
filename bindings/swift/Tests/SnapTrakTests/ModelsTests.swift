import Foundation
import SnapTrak
import XCTest

/// The organisation's models: from its server, tested on this device, and back again.
final class ModelsTests: XCTestCase {
    /// A device that was packaged without models, and version 2 at its server; nothing where no models were fetched.
    private func published(quotaBytes: UInt64 = 1 << 30) async throws -> (Station, SnapTrak)? {
        guard Station.runtimeLibrary != nil else { return nil }
        let station = try Station()
        let data = station.folder.appendingPathComponent("server")
        let publisher = Publisher(data: data, folder: station.folder)
        try publisher.vouch()
        let config = Config(
            store: station.config.store, runtimeLibrary: Station.runtimeLibrary, modelsQuotaBytes: quotaBytes, ballastBytes: 0)
        let snaptrak = try await SnapTrak.openOrCreate(config, keyStore: station.keys)
        let enrolled = try await snaptrak.signUp(request: station.account(), password: Station.password)
        let nothing = try await snaptrak.updateModels()
        XCTAssertEqual(nothing.outcome, .upToDate, "nothing was published yet")
        try publisher.publish(organisation: enrolled.organisation, version: 2)
        return (station, snaptrak)
    }

    func testModelsComeFromTheServerAreTestedHereAndGoBackOnDemand() async throws {
        guard let (station, snaptrak) = try await published() else { return }
        defer { station.remove() }
        let before = try await snaptrak.models()
        XCTAssertEqual(before, ModelsReport(inUse: nil, models: [], versions: [], newest: nil, refused: nil))
        let metered = try await snaptrak.updateModels(what: UpdateModels(budget: Budget(bytes: 0)))
        XCTAssertEqual(metered.outcome, .budgetBytes)
        XCTAssertGreaterThan(metered.leftBytes, 1_000_000)

        var updated: ModelsUpdated?
        for try await event in snaptrak.updatingModels() {
            switch event {
            case .progress(let progress):
                XCTAssertEqual(progress.phase, .fetching)
                XCTAssertEqual(progress.total, 4)
            case .finished(let report): updated = report
            }
        }
        XCTAssertEqual(updated?.outcome, .activated)
        XCTAssertEqual(updated?.bytes, metered.leftBytes)
        XCTAssertEqual(Set(updated?.report.models.map(\.task) ?? []), ["detect", "find_faces"])

        let verified = try await snaptrak.verifyModels()
        XCTAssertEqual(verified, [VerifiedModels(version: 2, signatureOk: true, failure: nil)])
        let known = try await snaptrak.updateModels()
        XCTAssertEqual(known.outcome, .upToDate)
        let back = try await snaptrak.rollbackModels()
        XCTAssertNil(back.inUse)
        XCTAssertEqual(back.refused, RefusedModels(version: 2, because: "rolled_back"))
        let refused = try await snaptrak.updateModels()
        XCTAssertEqual(refused.outcome, .refusedBefore)
        let again = try await snaptrak.updateModels(what: UpdateModels(again: true))
        XCTAssertEqual(again.outcome, .activated)
        XCTAssertEqual(again.files, 0, "what is here does not come again")

        let forged = ActivateModels(signed: Data("{}".utf8), files: station.folder.path)
        let refusedByHand = await refusal(try await snaptrak.activateModels(what: forged))
        XCTAssertEqual(refusedByHand?.code, "models_refused")
        let signed = try Data(contentsOf: station.folder.appendingPathComponent("signed-2.json"))
        let files = Repository.cache.appendingPathComponent("models").path
        let activated = try await snaptrak.activateModels(what: ActivateModels(signed: signed, files: files))
        XCTAssertEqual(activated.report.inUse, 2)
        try await snaptrak.shutdown()
    }

    func testWhatDoesNotFitIsRefusedAndACancelledTaskEndsItsDownload() async throws {
        guard let (station, snaptrak) = try await published(quotaBytes: 1 << 20) else { return }
        defer { station.remove() }
        let full = await refusal(try await snaptrak.updateModels())
        XCTAssertEqual(full?.code, "storage_full")
        try station.serve().freeze()
        let updating = Task { try await snaptrak.updateModels() }
        updating.cancel()
        let cancelled = await refusal(try await updating.value)
        XCTAssertEqual(cancelled?.code, "cancelled")
        try await snaptrak.shutdown()
    }
}
