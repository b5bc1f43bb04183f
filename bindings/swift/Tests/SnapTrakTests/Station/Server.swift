import Foundation

/// A running reference API on a loopback port. It ends with SIGKILL: a server that needs a goodbye to keep what it signed for would
/// be no server for evidence.
final class Server {
    struct DidNotStart: Error {
        let said: String
    }

    /// Where it listens, for example `http://127.0.0.1:40000`.
    let url: String
    private let process = Process()

    init(data: URL) throws {
        process.executableURL = Repository.server
        process.arguments = ["--log", "error", "serve", "--data", data.path, "--listen", "127.0.0.1:0"]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        // Of what it tells a person at its start, the tests need nothing; what it logs is worth reading after a failure.
        let log = data.appendingPathExtension("log")
        try Data().write(to: log)
        let logFile = try FileHandle(forWritingTo: log)
        defer { try? logFile.close() }
        process.standardError = logFile
        try process.run()

        // Its first line says where it listens; reading blocks until the line or the end of the process.
        var said = Data()
        while !said.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            said.append(more)
        }
        let line = try? JSONDecoder().decode([String: String].self, from: said)
        guard let listening = line?["listening"] else {
            throw DidNotStart(said: String(decoding: said + ((try? Data(contentsOf: log)) ?? Data()), as: UTF8.self))
        }
        url = listening
    }

    /// It takes connections and answers nobody, as a network does at its worst.
    func freeze() {
        kill(process.processIdentifier, SIGSTOP)
    }

    /// It answers again, also what it was asked meanwhile.
    func thaw() {
        kill(process.processIdentifier, SIGCONT)
    }

    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
