import Foundation
import XCTest

/// What this process holds, as the system counts it.
enum ProcessCounts {
    /// Open files, sockets and pipes.
    static func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    /// Threads of the library by their names, and those of Swift that inherited one.
    static func libraryThreads() throws -> [String] {
        try threads().filter { $0.hasPrefix("snaptrak") }
    }

    /// How many of some threads cannot be Swift's own: its pool has one a processor, may begin it from a call's thread that
    /// resumes a task, and on Linux a thread inherits the name of the one that began it. Any other thread counts.
    static func own(_ names: [String]) -> Int {
        let calls = names.filter { $0 == "snaptrak-call" || $0 == "bare-call" }.count
        return names.count - min(calls, ProcessInfo.processInfo.activeProcessorCount)
    }

    /// Names of all threads.
    static func threads() throws -> [String] {
        let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
        // A thread may end between the listing and the reading.
        let names = tasks.compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
        return names.map { $0.trimmingCharacters(in: .newlines) }
    }

    static func nameOfThisThread() -> String {
        let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        return name?.trimmingCharacters(in: .newlines) ?? ""
    }
}

/// Waits until something holds that nobody announces: a thread that ends by itself, a file that is closed behind a call.
func eventually(
    _ what: String, within seconds: TimeInterval = 30, file: StaticString = #filePath, line: UInt = #line,
    _ holds: () throws -> Bool
) async throws {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while try !holds() {
        if Date() > deadline {
            XCTFail("not within \(seconds) s: \(what)", file: file, line: line)
            return
        }
        try await Task.sleep(nanoseconds: 20_000_000)
    }
}
