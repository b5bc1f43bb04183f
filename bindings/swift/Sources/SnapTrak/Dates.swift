import Foundation

extension Date {
    fileprivate init(unixMilliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(unixMilliseconds) / 1000)
    }
}

extension Captured {
    /// When it was taken in.
    public var created: Date { Date(unixMilliseconds: createdMs) }
}

extension CaptureSummary {
    /// When it was captured.
    public var created: Date { Date(unixMilliseconds: createdMs) }
}

extension CaptureDetail {
    /// When it was captured.
    public var created: Date { Date(unixMilliseconds: createdMs) }
}

extension Status {
    /// When the oldest capture that is still on its way was captured.
    public var oldest: Date? { oldestMs.map(Date.init(unixMilliseconds:)) }
}

extension SyncReport {
    /// When something will be tried again by itself.
    public var nextTry: Date? { nextTryMs.map(Date.init(unixMilliseconds:)) }
}

extension Why {
    /// Since when the capture is where it is.
    public var since: Date { Date(unixMilliseconds: sinceMs) }

    /// When something will be tried again by itself.
    public var nextTry: Date? { nextTryMs.map(Date.init(unixMilliseconds:)) }
}
