extension SnapTrak {
    /// The captures of the store in order of arrival, oldest first.
    ///
    /// They are read page by page while the iteration goes on, so that a store with very many of them takes no more memory than one
    /// with few. What is captured meanwhile comes at the end.
    ///
    /// - Parameters:
    ///   - state: Only captures in this state.
    ///   - pageSize: How many are read at once, 1 to 1,000.
    public func captures(state: AssetState? = nil, pageSize: UInt32 = 100) -> Captures {
        Captures(snaptrak: self, state: state, pageSize: pageSize)
    }
}

/// The captures of a store, read page by page. See ``SnapTrak/captures(state:pageSize:)``.
public struct Captures: AsyncSequence, Sendable {
    /// A capture as lists show it.
    public typealias Element = CaptureSummary

    let snaptrak: SnapTrak
    let state: AssetState?
    let pageSize: UInt32

    /// Begins at the oldest capture.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(captures: self)
    }

    /// Where an iteration stands.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let captures: Captures
        private var page: ArraySlice<CaptureSummary> = []
        private var after: String?
        private var lastPageWasRead = false

        init(captures: Captures) {
            self.captures = captures
        }

        /// The next capture; nothing: that was all.
        ///
        /// - Throws: ``SnapTrakError``, or `CancellationError` when the task was cancelled before a page was read.
        public mutating func next() async throws -> CaptureSummary? {
            while page.isEmpty, !lastPageWasRead {
                try Task.checkCancellation()
                let read = try await captures.snaptrak.list(
                    state: captures.state, limit: captures.pageSize, after: after)
                page = read.captures[...]
                after = read.next
                lastPageWasRead = read.next == nil
            }
            return page.popFirst()
        }
    }
}
