package com.snaptrak.probe

import com.snaptrak.Config
import com.snaptrak.MemoryKeyStore
import com.snaptrak.SnapTrak
import com.snaptrak.StoreEvent
import com.snaptrak.await
import com.snaptrak.events
import com.snaptrak.openOrCreate
import com.snaptrak.testing
import com.snaptrak.useThenShutdown
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val A_SECOND = 10_000uL
private const val ROUNDS = 7
private const val BATCHES_A_SECOND = 10
private const val NANOSECONDS = 1e9

/** Events of a round: fewer in the gate than are kept for a collector, so that a busy machine makes none of them missed. */
private val EVENTS = Integer.getInteger("snaptrak.events", 2000)

/** How ten thousand events a second arrive, and what that takes of the processor. */
@Tag("probe")
internal class ManyEventsTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `many events arrive in few batches`() =
        testing {
            val config = Config(store = folder.resolve("store").toString(), ballastBytes = 0u)
            SnapTrak.openOrCreate(config, MemoryKeyStore()).useThenShutdown { snapTrak ->
                told(snapTrak)
                val seconds = EVENTS / A_SECOND.toDouble()
                val shares =
                    List(ROUNDS) {
                        val untold = processorTime { rehearse(snapTrak, EVENTS.toULong(), A_SECOND) }
                        100 * (processorTime { told(snapTrak) } - untold) / NANOSECONDS / seconds
                    }.sorted()
                println(listOf("bench-ffi-events", "Kotlin", shares[ROUNDS / 2], shares.first(), shares.last()).joinToString("\t"))
            }
        }

    private suspend fun told(snapTrak: SnapTrak) =
        coroutineScope {
            val events = mutableListOf<StoreEvent>()
            val count = AtomicInteger()
            var batches = 0
            val begun = CompletableDeferred<Unit>()
            val collecting =
                launch {
                    snapTrak.events().collect { batch ->
                        assertEquals(batches == 0, batch.missed)
                        batches++
                        events += batch.events
                        count.set(events.size)
                        begun.complete(Unit)
                    }
                }
            begun.await()
            val started = System.nanoTime()
            rehearse(snapTrak, EVENTS.toULong(), A_SECOND)
            await("everything was told") { count.get() == EVENTS }
            val seconds = (System.nanoTime() - started) / NANOSECONDS
            collecting.cancelAndJoin()
            assertEquals(EVENTS, events.distinct().size)
            // The word to look comes first; one batch may be on its way when the time begins and one when it ends.
            assertTrue(batches <= 3 + seconds * BATCHES_A_SECOND, "$batches batches in $seconds s")
        }

    private suspend fun processorTime(work: suspend () -> Unit): Double {
        val before = processorTime()
        work()
        return (processorTime() - before).toDouble()
    }
}
