import Foundation
import SnapTrak

/// A key store that forgets everything with its process: the "sealed" blob is a ticket, and what it stands for lies in a table. It
/// can be told to answer with a failure instead.
final class MemoryKeyStore: KeyStore {
    private struct Kept {
        let keyClass: KeyClass
        let keys: Data
        let associatedData: Data
    }

    private let kept = Locked<[Data: Kept]>([:])
    /// What it answers instead of a key.
    let failure = Locked<(any Error)?>(nil)
    /// Calls that it has had.
    let calls = Locked(0)
    /// Calls that came on the main thread.
    let callsOnTheMainThread = Locked(0)

    func wrap(keyClass: KeyClass, keys: Data, associatedData: Data) throws -> WrappedKeys {
        try count()
        let ticket = Data(UUID().uuidString.utf8)
        kept.with { $0[ticket] = Kept(keyClass: keyClass, keys: keys, associatedData: associatedData) }
        return WrappedKeys(parametersJson: #"{"kind": "memory"}"#, sealed: ticket)
    }

    func unwrap(keyClass: KeyClass, wrapped: WrappedKeys, associatedData: Data) throws -> Data {
        try count()
        guard let found = kept.with({ $0[wrapped.sealed] }), found.keyClass == keyClass,
            found.associatedData == associatedData
        else {
            throw KeyStoreFailure.Damaged
        }
        return found.keys
    }

    private func count() throws {
        calls.with { $0 += 1 }
        if Thread.isMainThread {
            callsOnTheMainThread.with { $0 += 1 }
        }
        if let failure = failure.now {
            throw failure
        }
    }
}
