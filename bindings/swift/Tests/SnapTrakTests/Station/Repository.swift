import Foundation

/// Where things are that the tests use.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../../..").standardizedFileURL

    /// The reference API that Cargo built.
    static let server = named("SNAPTRAK_SERVER") ?? root.appendingPathComponent("target/debug/snaptrak-server")

    /// The project's own commands, built beside it.
    static let xtask = server.deletingLastPathComponent().appendingPathComponent("xtask")

    /// What `cargo xtask models` fetched.
    static let cache = named("SNAPTRAK_CACHE") ?? root.appendingPathComponent(".cache")

    private static func named(_ variable: String) -> URL? {
        ProcessInfo.processInfo.environment[variable].map { URL(fileURLWithPath: $0) }
    }
}
