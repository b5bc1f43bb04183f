import Foundation
import SnapTrak
import XCTest

/// One device with its folder, and a server if a test wants one. Both go away with it.
final class Station {
    static let email = "field@example.org"
    static let password = "a password for tests, on loopback only"

    let folder: URL
    let keys = MemoryKeyStore()
    private var server: Server?

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// Call it last: the server holds files of the folder.
    func remove() {
        server?.stop()
        XCTAssertNoThrow(try FileManager.default.removeItem(at: folder))
    }

    /// The configuration of the store. Models and inference library are there where they were fetched.
    var config: Config {
        let models = Repository.cache.appendingPathComponent("models")
        return Config(
            store: path("store"),
            models: Self.runtimeLibrary == nil ? nil : models.path,
            runtimeLibrary: Self.runtimeLibrary,
            deviceName: "phone",
            // The file that keeps room for a purge on a full disk; these stores live for a second.
            ballastBytes: 0
        )
    }

    /// The inference library where it was fetched; of several the last by name.
    static let runtimeLibrary: String? = {
        let folder = Repository.cache.appendingPathComponent("runtime").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasPrefix("libonnxruntime.so") }.max().map { "\(folder)/\($0)" }
    }()

    func open(signer: (any Signer)? = nil, tokens: (any TokenProvider)? = nil) async throws -> SnapTrak {
        try await SnapTrak.openOrCreate(config, keyStore: keys, signer: signer, tokenProvider: tokens)
    }

    /// A running server; the same one every time.
    func serve() throws -> Server {
        if let server { return server }
        let started = try Server(data: folder.appendingPathComponent("server"))
        server = started
        return started
    }

    /// The account of the tests, new at the server.
    func account() throws -> SignUp {
        try SignUp(server: serve().url, email: Self.email)
    }

    func path(_ name: String) -> String {
        folder.appendingPathComponent(name).path
    }

    /// Writes a file of random bytes, which no two of these have in common.
    func randomFile(_ name: String, bytes: Int) throws -> String {
        try Data.random(bytes: bytes).write(to: folder.appendingPathComponent(name))
        return path(name)
    }

    /// Makes a file of zeros, which takes no room.
    func zeros(_ name: String, bytes: UInt64) throws -> String {
        try Data().write(to: folder.appendingPathComponent(name))
        let file = try FileHandle(forWritingTo: folder.appendingPathComponent(name))
        try file.truncate(atOffset: bytes)
        try file.close()
        return path(name)
    }

    /// How many files of sealed bytes the store holds.
    func sealed() throws -> Int {
        let files = FileManager.default.enumerator(atPath: path("store"))?.allObjects as? [String]
        return (files ?? []).filter { $0.hasSuffix(".piece") }.count
    }

    /// A photograph of a person: a real one where the samples were fetched, else the smallest picture that there is.
    func photo() throws -> String {
        let sample = Repository.cache.appendingPathComponent("pictures/astronaut.png")
        if FileManager.default.fileExists(atPath: sample.path) { return sample.path }
        let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
        try Data(base64Encoded: pixel)?.write(to: folder.appendingPathComponent("pixel.png"))
        return path("pixel.png")
    }
}

extension Data {
    static func random(bytes: Int) -> Data {
        var generator = SystemRandomNumberGenerator()
        var data = Data(capacity: bytes + 8)
        while data.count < bytes {
            Swift.withUnsafeBytes(of: generator.next()) { data.append(contentsOf: $0) }
        }
        return data.prefix(bytes)
    }
}

extension SnapTrak {
    /// Windows until everything must have been brought: one does the work, the others let delayed retries come due.
    private static var windowsMax: Int { 12 }

    /// Syncs until nothing waits, and returns how many captures the server signed for meanwhile.
    func syncUntilNothingWaits() async throws -> UInt64 {
        var verified: UInt64 = 0
        for _ in 0..<Self.windowsMax {
            let report = try await sync()
            verified += report.verified
            if report.left == 0 { break }
        }
        return verified
    }
}

/// Fails unless the work throws an error of the SDK; returns it.
func refusal<Answer>(
    _ work: @autoclosure () async throws -> Answer, file: StaticString = #filePath, line: UInt = #line
) async -> SnapTrakError? {
    do {
        let answer = try await work()
        XCTFail("it was answered: \(answer)", file: file, line: line)
    } catch let error as SnapTrakError {
        return error
    } catch {
        XCTFail("it threw what is no error of the SDK: \(error)", file: file, line: line)
    }
    return nil
}
