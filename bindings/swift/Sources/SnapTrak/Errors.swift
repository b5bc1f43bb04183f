extension SnapTrakError {
    /// The precise cause, a word that stays the same across versions: `offline`, `not_found`, `cancelled`, ... The case says what
    /// the app should do, the code says why.
    public var code: String {
        words.code
    }

    /// One sentence for a developer, without contents of a capture.
    public var detail: String {
        words.detail
    }

    private var words: (code: String, detail: String) {
        switch self {
        case .SignIn(let code, let detail), .Unlock(let code, let detail), .FreeSpace(let code, let detail),
            .Network(let code, let detail), .UpdateApp(let code, let detail), .InUse(let code, let detail),
            .Refused(let code, let detail), .Report(let code, let detail):
            (code, detail)
        }
    }
}
