package com.snaptrak

import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val CANCELLED = 100
private const val NOTES = 50

@Timeout(10, unit = TimeUnit.MINUTES)
internal class EventsTest {
    @TempDir
    lateinit var folder: Path

    private fun config() = Config(store = folder.resolve("store").toString(), ballastBytes = 0u)

    @Test
    fun `a note is told once, after the word to look at what is there`() =
        testing {
            SnapTrak.openOrCreate(config(), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val batches = Channel<EventBatch>(Channel.UNLIMITED)
                val collecting = launch { snapTrak.events().collect(batches::send) }
                assertEquals(EventBatch(emptyList(), missed = true), batches.receive())
                val noted = snapTrak.note("the door is jammed")
                val told = batches.receive()
                assertEquals(listOf(noted.id to EventKind.ADDED), told.events.map { it.captureId to it.kind })
                assertEquals(noted.state to false, told.events.single().state to told.missed)
                // Settling it is nothing that happens to it.
                assertEquals(1, snapTrak.captures().toList().size)
                val next = snapTrak.note("the key is lost")
                assertEquals(listOf(next.id), batches.receive().events.map { it.captureId })
                collecting.cancelAndJoin()
            }
        }

    @Test
    fun `the queue and the findings begin with how they are`() =
        testing {
            SnapTrak.openOrCreate(config(), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val noted = snapTrak.note("one")
                val health = Channel<QueueHealth>(Channel.UNLIMITED)
                val collecting = launch { snapTrak.queueHealthChanges().collect(health::send) }
                assertEquals(1uL to "not_enrolled", health.receive().run { waiting to blockedBy })
                snapTrak.note("two")
                assertEquals(2uL, health.receive().waiting)
                assertEquals(2uL, snapTrak.queueHealth().waiting)
                collecting.cancelAndJoin()
                assertEquals(emptyList<Finding>(), snapTrak.findings(noted.id).first())
                val stranger = "0193e6f6-0000-7000-8000-000000000000"
                assertEquals("not_found", assertThrows<SnapTrakException.Refused> { snapTrak.findings(stranger).first() }.code)
            }
        }

    @Test
    fun `what people say of a capture is told, shown and removed`() =
        testing {
            SnapTrak.openOrCreate(config(), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val noted = snapTrak.note("the door is jammed")
                val batches = Channel<EventBatch>(Channel.UNLIMITED)
                val collecting = launch { snapTrak.events().collect(batches::send) }
                batches.receive()
                snapTrak.setAnnotations(noted.id, mapOf("room" to "12", "state" to "jammed"))
                assertEquals(listOf(noted.id to EventKind.ANNOTATED), batches.receive().events.map { it.captureId to it.kind })
                snapTrak.setAnnotations(noted.id, mapOf("state" to null))
                val annotations = snapTrak.show(noted.id).annotations
                assertEquals(listOf("room" to "12"), annotations.map { it.field to it.value })
                assertEquals(
                    "invalid_argument",
                    assertThrows<SnapTrakException.Refused> { snapTrak.setAnnotations(noted.id, mapOf("Room" to "12")) }.code,
                )
                collecting.cancelAndJoin()
            }
        }

    @Test
    fun `a collector that takes its time is told everything in fewer batches`() =
        testing {
            SnapTrak.openOrCreate(config(), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val begun = Channel<Unit>()
                val goOn = Channel<Unit>()
                val told = mutableListOf<StoreEvent>()
                val collecting =
                    launch {
                        snapTrak.events().collect { batch ->
                            if (batch.missed) {
                                begun.send(Unit)
                                goOn.receive()
                            }
                            told += batch.events
                        }
                    }
                begun.receive()
                val noted = (1..NOTES).map { snapTrak.note("note $it").id }
                goOn.send(Unit)
                await("everything was told") { told.size == NOTES }
                assertEquals(noted, told.map { it.captureId })
                collecting.cancelAndJoin()
            }
        }

    @Test
    fun `no collector runs on the thread that has just written`() =
        testing {
            SnapTrak.openOrCreate(config(), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val told = Channel<String>(Channel.UNLIMITED)
                val collecting =
                    launch(Dispatchers.Unconfined) {
                        snapTrak.events().collect { told.send(File("/proc/thread-self/comm").readText().trim()) }
                    }
                told.receive()
                repeat(NOTES / 10) {
                    snapTrak.note("note $it")
                    val thread = told.receive()
                    assertFalse(thread.startsWith("snaptrak"), "it ran on $thread")
                }
                collecting.cancelAndJoin()
            }
        }

    @Test
    fun `collectors that are cancelled leave nothing, and the shutdown ends the others`() =
        testing {
            val snapTrak = SnapTrak.openOrCreate(config(), MemoryKeyStore())
            repeat(CANCELLED) { number ->
                val begun = Channel<Unit>(Channel.CONFLATED)
                val collecting =
                    launch {
                        if (number % 2 == 0) {
                            snapTrak.events().collect { begun.send(Unit) }
                        } else {
                            snapTrak.queueHealthChanges().collect { begun.send(Unit) }
                        }
                    }
                begun.receive()
                if (number % 4 < 2) snapTrak.note("in between")
                collecting.cancelAndJoin()
            }
            assertEquals(1, snapTrak.events().take(1).toList().size)
            val watching = snapTrak.watchEvents()
            val ended = listOf(launch { snapTrak.events().collect {} }, launch { snapTrak.queueHealthChanges().collect {} })
            snapTrak.shutdown()
            ended.forEach { it.join() }
            assertNull(watching.next())
            watching.close()
            assertEquals("cancelled", assertThrows<SnapTrakException.Refused> { snapTrak.events().first() }.code)
            snapTrak.close()
            await("no thread of the library is left") { callThreads() == 0 }
        }
}
