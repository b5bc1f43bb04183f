import Foundation

/// An organisation that publishes models at a server's folder, with the commands that people use.
struct Publisher {
    struct DidNotDoIt: Error {
        let said: String
    }

    let data: URL
    let folder: URL

    private var key: URL { folder.appendingPathComponent("models-key.json") }

    /// Makes a key and has the server's organisation vouch for it; the server must not have begun to serve yet.
    func vouch() throws {
        try Server(data: data).stop()
        try run(Repository.xtask, ["models", "key", "-o", key.path])
        let file = try JSONDecoder().decode([String: String].self, from: Data(contentsOf: key))
        try run(Repository.server, ["add-models-key", "--data", data.path, "--public", file["public"] ?? ""])
    }

    /// Publishes the shipped models under another number.
    func publish(organisation: String, version: Int) throws {
        let models = Repository.cache.appendingPathComponent("models")
        let signed = folder.appendingPathComponent("signed-\(version).json")
        try run(
            Repository.xtask,
            [
                "models", "sign", "--manifest", models.appendingPathComponent("manifest.json").path, "--key", key.path,
                "--organisation", organisation, "--version", "\(version)", "--expires", "2999-12-31", "-o", signed.path,
            ])
        try run(
            Repository.server,
            ["publish-models", "--data", data.path, "--signed", signed.path, "--from", models.path])
    }

    private func run(_ program: URL, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw DidNotDoIt(said: String(decoding: said, as: UTF8.self)) }
    }
}
