/// Long work as a sequence: how far it is, again and again, and at the end its report.
///
/// Nothing begins before the iteration does, and each iteration is one run of the work. Cancelling the task breaks the work off:
/// the iteration then waits for its end, which is a moment, and ends without a report. Leaving the loop breaks it off too, without
/// waiting: what is called next waits for its end instead. Nothing is lost either way: the next run goes on where this one was.
///
/// ```swift
/// for try await event in snaptrak.syncing() {
///     switch event {
///     case .progress(let progress): bar.value = Double(progress.done) / Double(max(progress.total, 1))
///     case .finished(let report): label.text = "\(report.verified) verified"
///     }
/// }
/// ```
public struct Work<Report: Sendable>: AsyncSequence, Sendable {
    /// What an iteration gives.
    public enum Event: Sendable {
        /// How far the work is. A reader that is slow is told the newest steps and not every one.
        case progress(WorkProgress)
        /// The work has ended: the last event.
        case finished(Report)
    }

    /// What an iteration gives.
    public typealias Element = Event
    /// Steps that wait for a slow reader. The report is the newest event when it comes, so that it is never what is dropped.
    private static var eventsWaitingMax: Int { 64 }

    let run: @Sendable (_ listener: (any ProgressListener)?, _ cancellation: Cancellation) async throws -> Report

    /// Begins the work.
    public func makeAsyncIterator() -> AsyncIterator {
        let (events, listener) = AsyncThrowingStream<Event, any Error>.makeStream(
            bufferingPolicy: .bufferingNewest(Self.eventsWaitingMax))
        let task = Task {
            do {
                listener.yield(.finished(try await report(listener: Listener { listener.yield(.progress($0)) })))
                listener.finish()
            } catch {
                listener.finish(throwing: error)
            }
        }
        listener.onTermination = { _ in task.cancel() }
        return AsyncIterator(events: events.makeAsyncIterator(), task: task)
    }

    /// One run of the work. It is broken off when its iterator goes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var events: AsyncThrowingStream<Event, any Error>.AsyncIterator
        let task: Task<Void, Never>

        /// What happens next; nothing: the work has ended.
        public mutating func next() async throws -> Event? {
            if let event = try await events.next() { return event }
            await task.value
            return nil
        }
    }

    /// Does the work without telling how far it is. Cancelling the task breaks it off.
    public func report() async throws -> Report {
        try await report(listener: nil)
    }

    private func report(listener: (any ProgressListener)?) async throws -> Report {
        try await cancellable { try await run(listener, $0) }
    }
}

/// How far long work is. The same as the generated `Progress`, whose name Foundation has taken.
public typealias WorkProgress = SnapTrakGenerated.Progress

/// A closure as the library calls it.
private final class Listener: ProgressListener {
    private let tell: @Sendable (WorkProgress) -> Void

    init(tell: @escaping @Sendable (WorkProgress) -> Void) {
        self.tell = tell
    }

    func onProgress(progress: WorkProgress) throws {
        tell(progress)
    }
}

extension SnapTrak {
    /// Brings what waits to the API, and says how far it is.
    ///
    /// - Parameter budget: How much it may use; nothing given means as much as there is to do.
    public func syncing(budget: Budget? = nil) -> Work<SyncReport> {
        Work { [self] in try await sync(budget: budget, progress: $0, cancellation: $1) }
    }

    /// Brings what waits to the API, as far as the budget goes. Cancelling the task breaks it off, and nothing is lost.
    ///
    /// - Parameter budget: How much it may use; nothing given means as much as there is to do.
    /// - Returns: What was brought and what is left. It says `cancelled` in ``SyncReport/stoppedBecause`` when it was broken off.
    public func sync(budget: Budget? = nil) async throws -> SyncReport {
        try await syncing(budget: budget).report()
    }

    /// Brings a purged original back, and says how far it is.
    ///
    /// - Parameter id: The capture.
    public func fetching(id: String) -> Work<FetchReport> {
        Work { [self] in try await fetch(id: id, progress: $0, cancellation: $1) }
    }

    /// Brings a purged original back. Cancelling the task breaks it off; what has come is kept for the next time.
    ///
    /// - Parameter id: The capture.
    /// - Throws: ``SnapTrakError/Refused(code:detail:)`` with the code `cancelled` when it was broken off.
    public func fetch(id: String) async throws -> FetchReport {
        try await fetching(id: id).report()
    }

    /// Asks the organisation's server for newer models, and says how far it is.
    ///
    /// - Parameter what: How much the download may use, and whether a version that was refused is tried again.
    public func updatingModels(what: UpdateModels? = nil) -> Work<ModelsUpdated> {
        Work { [self] in try await updateModels(what: what, progress: $0, cancellation: $1) }
    }

    /// Asks the organisation's server for newer models, and uses them from then on if they work on this device. Cancelling the task
    /// breaks it off; what has arrived waits for the next time.
    ///
    /// - Parameter what: How much the download may use, and whether a version that was refused is tried again.
    /// - Throws: ``SnapTrakError/Refused(code:detail:)`` with the code `cancelled` when it was broken off.
    public func updateModels(what: UpdateModels? = nil) async throws -> ModelsUpdated {
        try await updatingModels(what: what).report()
    }

    /// Understands the pictures that wait, and says how far it is. Broken off, it finishes the picture that it is looking at; what was
    /// understood is kept, and the next run goes on.
    ///
    /// - Parameter options: Which model, and how many captures.
    public func analysing(options: AnalyseOptions? = nil) -> Work<AnalyseReport> {
        Work { [self] in try await analyse(options: options, progress: $0, cancellation: $1) }
    }

    /// Understands the pictures that wait. Cancelling the task breaks it off after the picture that it is looking at.
    ///
    /// - Parameter options: Which model, and how many captures.
    /// - Throws: ``SnapTrakError/Refused(code:detail:)`` with the code `cancelled` when it was broken off.
    public func analyse(options: AnalyseOptions? = nil) async throws -> AnalyseReport {
        try await analysing(options: options).report()
    }

    /// Makes a new store of everything in a folder that can still be read, and says how far it is. Broken off, the next run goes on.
    ///
    /// - Parameters:
    ///   - folder: What is read; it is never changed.
    ///   - config: Where the new store is made.
    ///   - keyStore: The app's keys.
    ///   - recoveryKey: The text of the organisation's private key file, for what the device's own keys do not open.
    public static func recovering(
        from folder: String, into config: Config, keyStore: any KeyStore, recoveryKey: String? = nil
    ) -> Work<RecoverReport> {
        Work { listener, cancellation in
            try requireMatchingLibrary()
            return try await SnapTrakGenerated.recover(
                from: folder, config: config, keyStore: keyStore, recoveryKey: recoveryKey, progress: listener,
                cancellation: cancellation)
        }
    }

    /// The same in place, for what ``SnapTrak/openOrCreate(_:keyStore:signer:tokenProvider:)`` answers with `damaged` or `keys_lost`: the folder is
    /// renamed and stays, and a new store takes its place.
    ///
    /// - Parameters:
    ///   - config: Where the store is.
    ///   - keyStore: The app's keys.
    ///   - recoveryKey: The text of the organisation's private key file, for what the device's own keys do not open.
    public static func recoveringInPlace(
        _ config: Config, keyStore: any KeyStore, recoveryKey: String? = nil
    ) -> Work<RecoverReport> {
        Work { listener, cancellation in
            try requireMatchingLibrary()
            return try await SnapTrakGenerated.quarantineAndRecover(
                config: config, keyStore: keyStore, recoveryKey: recoveryKey, progress: listener, cancellation: cancellation)
        }
    }
}
