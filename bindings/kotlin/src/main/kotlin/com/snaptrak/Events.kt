package com.snaptrak

import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext

/** After a collector was told something, what happens is gathered for this long: many commits become one batch and one wake-up. */
private val GATHERED = 100.milliseconds

/**
 * What happens to captures, in batches, each after it is durable. The first batch comes at once, is empty and says
 * [EventBatch.missed]: look at what is there and show it. The same word comes again where a collector was so slow that more
 * happened than is kept for it; it holds up nobody. What happens alone comes at once, what happens much comes at most ten times a
 * second. Ends when the store is shut down. Nothing runs while nothing happens.
 */
public fun SnapTrak.events(): Flow<EventBatch> =
    flow {
        watchEvents().use { watcher ->
            emit(EventBatch(events = emptyList(), missed = true))
            emitAll(watcher::next)
        }
    }

/**
 * How the queue stands: at once, and whenever it stands otherwise. A collector that is slow is told the newest. At most ten times
 * a second. Ends when the store is shut down.
 */
public fun SnapTrak.queueHealthChanges(): Flow<QueueHealth> =
    flow { watchQueue().use { watcher -> emitAll(watcher::next) } }

/** What was found in the capture [id]: at once, and whenever that changes, at most ten times a second. Ends when the store is shut down. */
public fun SnapTrak.findings(id: String): Flow<List<Finding>> =
    flow { watchFindings(id).use { watcher -> emitAll(watcher::next) } }

private suspend fun <T : Any> FlowCollector<T>.emitAll(next: suspend () -> T?) {
    while (true) {
        // Whoever has just written wakes this coroutine; with a dispatcher of its own, no collector ever runs on that thread.
        emit(withContext(Dispatchers.Default) { next() } ?: return)
        delay(GATHERED)
    }
}
