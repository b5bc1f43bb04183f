/// Where a capture stands, with what belongs to that alone: what a screen says about it, and what it offers to do.
public enum Standing: Equatable, Sendable {
    /// The recording goes on.
    case recording
    /// On its way to the server, as far as `state`: `code` says why it is not there yet, `unblockedBy` what lets it go on, and
    /// `nextTryMs` when that is tried again by itself, Unix time in milliseconds.
    case onItsWay(state: AssetState, code: String, unblockedBy: String, nextTryMs: Int64?)
    /// Kept on the device until `unblockedBy`; `code` says why.
    case withheld(code: String, unblockedBy: String)
    /// Set aside, because it failed and does not heal by itself: `code` with its `parameters` says why, `unblockedBy` what would
    /// let it go on, `serverStatus` what the server answered, if that was the reason. Nothing of it is lost.
    case parked(code: String, parameters: [String: String], unblockedBy: String, serverStatus: UInt16?)
    /// The server has signed that it holds the same bytes, which are on the device too unless they were purged since.
    case verified(isHere: Bool)
    /// It was taken back before anything of it could have left.
    case cancelled
}

extension Why {
    /// The answer of `whyNotUploaded` as one of the cases that there are.
    public var standing: Standing {
        switch state {
        case .recording: .recording
        case .saved, .queued, .prepared, .sending, .received:
            .onItsWay(state: state, code: code, unblockedBy: unblockedBy, nextTryMs: nextTryMs)
        case .withheld: .withheld(code: code, unblockedBy: unblockedBy)
        case .parked: .parked(code: code, parameters: parameters, unblockedBy: unblockedBy, serverStatus: serverStatus)
        case .verified: .verified(isHere: true)
        case .purged: .verified(isHere: false)
        case .cancelled: .cancelled
        }
    }
}
