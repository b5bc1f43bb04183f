package com.snaptrak

import java.nio.ByteBuffer
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

@Timeout(10, unit = TimeUnit.MINUTES)
internal class RecordFromTest {
    @TempDir
    lateinit var folder: Path

    private val bytes = ByteArray(100_000) { (it % 251).toByte() }

    private fun direct(content: ByteArray): ByteBuffer =
        ByteBuffer.allocateDirect(content.size).apply {
            put(content)
            rewind()
        }

    private fun recording(test: suspend CoroutineScope.(SnapTrak) -> Unit) =
        testing {
            val config = Config(store = folder.toString(), ballastBytes = 0u)
            SnapTrak.openOrCreate(config, MemoryKeyStore()).useThenShutdown { snapTrak -> test(snapTrak) }
        }

    private suspend fun SnapTrak.whole(id: String) = read(id, 0u, 1_000_000u)

    @Test
    fun `what remains in a buffer is recorded, wherever it begins and whatever it is made of`() =
        recording { snapTrak ->
            val part = direct(bytes).apply { position(10).limit(50_000) }
            val sliced = direct(bytes).apply { position(50_000).limit(60_000) }.slice()
            val heap = ByteBuffer.wrap(bytes, 60_000, 39_990)
            val readOnly = direct(bytes).asReadOnlyBuffer().apply { position(99_990) }
            val buffers = listOf(part, sliced, heap, readOnly)
            val recorded = snapTrak.recordFrom(flowOf(*buffers.toTypedArray()), Kind.AUDIO)
            assertEquals(listOf(0, 0, 0, 0), buffers.map { it.remaining() })
            assertEquals("input_ended", recorded.endedBecause)
            assertArrayEquals(bytes.copyOfRange(10, bytes.size), snapTrak.whole(recorded.captured.id))
        }

    @Test
    fun `a camera that fails costs nothing of what it had given`() =
        recording { snapTrak ->
            val camera =
                flow {
                    emit(direct(bytes))
                    error("the camera is gone")
                }
            assertEquals("the camera is gone", assertThrows<IllegalStateException> { snapTrak.recordFrom(camera, Kind.VIDEO) }.message)
            assertArrayEquals(bytes, snapTrak.whole(snapTrak.captures().toList().single().id))
        }

    @Test
    fun `a recording whose coroutine is cancelled ends with what it has`() =
        recording { snapTrak ->
            val written = CompletableDeferred<Unit>()
            val camera =
                flow {
                    emit(direct(bytes))
                    written.complete(Unit)
                    awaitCancellation()
                }
            val recording = launch { snapTrak.recordFrom(camera, Kind.VIDEO) }
            written.await()
            recording.cancelAndJoin()
            val kept = snapTrak.captures().toList().single()
            assertEquals(AssetState.PREPARED, kept.state)
            assertArrayEquals(bytes, snapTrak.whole(kept.id))
        }

    @Test
    fun `a limit ends the recording, and the camera is asked for no more`() =
        recording { snapTrak ->
            var asked = 0
            val camera =
                flow {
                    while (true) {
                        asked += 1
                        emit(direct(bytes))
                    }
                }
            val recorded = snapTrak.recordFrom(camera, Kind.VIDEO, recordOptions = RecordOptions(maxBytes = 250_000u))
            assertEquals("max_bytes", recorded.endedBecause)
            assertEquals(250_000uL, recorded.captured.bytes)
            assertEquals(3, asked)
        }

    @Test
    fun `time passes for a recording while its camera is silent`() =
        recording { snapTrak ->
            val camera =
                flow {
                    emit(direct(bytes))
                    awaitCancellation()
                }
            val recorded = snapTrak.recordFrom(camera, Kind.VIDEO, recordOptions = RecordOptions(maxMs = 200u))
            assertEquals("max_ms", recorded.endedBecause)
            assertArrayEquals(bytes, snapTrak.whole(recorded.captured.id))
        }

    @Test
    fun `a recording without a byte is refused and leaves nothing`() =
        recording { snapTrak ->
            assertEquals("empty_file", assertThrows<SnapTrakException.Refused> { snapTrak.recordFrom(flowOf(), Kind.VIDEO) }.code)
            assertEquals(0, snapTrak.captures().toList().size)
        }
}
