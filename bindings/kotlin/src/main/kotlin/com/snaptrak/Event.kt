package com.snaptrak

/**
 * What long work says of itself: how far it is, any number of times, and at last what came of it. An error is no event: it ends
 * the flow as a [SnapTrakException].
 */
public sealed class Event<out Report> {
    /** One step further. A collector that is slower than the work sees the newest step only, and never holds the work up. */
    public data class Advanced(
        /** How far it is. */
        public val progress: Progress,
    ) : Event<Nothing>()

    /** The work is done; nothing follows. */
    public data class Finished<out Report>(
        /** What came of it. */
        public val report: Report,
    ) : Event<Report>()
}
