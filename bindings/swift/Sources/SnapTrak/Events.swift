import Dispatch

/// What is told again and again until the store is shut down: see ``SnapTrak/events()``, ``SnapTrak/queueHealthChanges()`` and
/// ``SnapTrak/findings(id:)``.
///
/// Nothing begins before the iteration does. Each iteration watches by itself, and watches no longer once its iterator is gone. A
/// reader that is slow holds up nobody. Cancelling the task ends the iteration. What happens alone comes at once; after that, what
/// happens is gathered for a tenth of a second, so that many commits are one step of the iteration and one wake-up.
public struct Told<Element: Sendable>: AsyncSequence, Sendable {
    /// Begins to watch.
    let begin: @Sendable () async throws -> Watch<Element>

    /// Watches from the first step of the iteration on.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(begin: begin)
    }

    /// Where an iteration stands.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let begin: @Sendable () async throws -> Watch<Element>
        private var watch: Watch<Element>?
        private var gathered = Gathered()

        init(begin: @escaping @Sendable () async throws -> Watch<Element>) {
            self.begin = begin
        }

        /// What is told next; nothing: the store was shut down, or the task cancelled.
        ///
        /// - Throws: ``SnapTrakError``.
        public mutating func next() async throws -> Element? {
            guard let watch else {
                let begun = try await begin()
                watch = begun
                guard let first = begun.first else { return try await next() }
                return first
            }
            await gathered.wait()
            let told = try await withTaskCancellationHandler {
                try await watch.next()
            } onCancel: {
                watch.stop()
            }
            gathered.began()
            return told
        }
    }
}

/// A generated watcher, whose type is not known any more. It lives as long as this.
struct Watch<Element: Sendable>: Sendable {
    /// What is told before something happens, if anything is.
    let first: Element?
    /// What is told next.
    let next: @Sendable () async throws -> Element?
    /// Ends `next`.
    let stop: @Sendable () -> Void
}

/// Leaves time between two things that are told.
private struct Gathered {
    private static let nanoseconds: UInt64 = 100_000_000
    private var since: UInt64?

    /// Something was told now.
    mutating func began() {
        since = DispatchTime.now().uptimeNanoseconds
    }

    /// Waits for what is left of the time. A cancelled task waits no longer.
    func wait() async {
        guard let since else { return }
        let passed = DispatchTime.now().uptimeNanoseconds - since
        if passed < Self.nanoseconds { try? await Task.sleep(nanoseconds: Self.nanoseconds - passed) }
    }
}

extension SnapTrak {
    /// What happens to captures, in batches, each after it is durable.
    ///
    /// The first batch comes at once, is empty and says ``EventBatch/missed``: look at what is there and show it. The same word comes
    /// again where a reader was so slow that more happened than is kept for it. Nothing runs while nothing happens.
    ///
    /// ```swift
    /// for try await batch in snaptrak.events() {
    ///     if batch.missed { await showEverything() }
    ///     for event in batch.events { show(event.captureId, as: event.state) }
    /// }
    /// ```
    public func events() -> Told<EventBatch> {
        Told { [self] in
            let watcher = try watchEvents()
            // Stopping only throws what a panic of the library would be, and there is nobody to tell.
            return Watch(first: EventBatch(events: [], missed: true), next: { try await watcher.next() }, stop: { try? watcher.stop() })
        }
    }

    /// How the queue stands: at once, and whenever it stands otherwise. A reader that is slow is told the newest.
    public func queueHealthChanges() -> Told<QueueHealth> {
        Told { [self] in
            let watcher = try watchQueue()
            return Watch(first: nil, next: { try await watcher.next() }, stop: { try? watcher.stop() })
        }
    }

    /// What was found in a capture: at once, and whenever that changes.
    ///
    /// - Parameter id: The capture.
    public func findings(id: String) -> Told<[Finding]> {
        Told { [self] in
            let watcher = try await watchFindings(id: id)
            return Watch(first: nil, next: { try await watcher.next() }, stop: { try? watcher.stop() })
        }
    }
}
