package com.snaptrak

import java.io.File
import java.io.RandomAccessFile
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir

/** So much takes seconds: what is broken off in its first moments is never done by then. */
private const val FILM_BYTES = 2L shl 30

private const val CLIP_BYTES = 100L shl 20

/** Calls on captures of a length that nobody wants to wait for. */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class CancelledCallsTest {
    @TempDir
    lateinit var folder: Path

    private fun store() = folder.resolve("store").toFile()

    private suspend fun opened() =
        SnapTrak.openOrCreate(Config(store = store().path, ballastBytes = 0u), MemoryKeyStore())

    /** A file of zeros, which takes no room. */
    private fun file(
        name: String,
        bytes: Long,
    ): String = folder.resolve(name).toFile().also { file -> RandomAccessFile(file, "rw").use { it.setLength(bytes) } }.path

    private fun sealed(): List<File> = store().walk().filter { it.extension == "piece" }.toList()

    @Test
    fun `a capture is broken off by its cancellation, and nothing of it is kept`() =
        testing {
            val film = file("film", FILM_BYTES)
            opened().useThenShutdown { snapTrak ->
                val cancellation = Cancellation()
                val capturing =
                    async(start = CoroutineStart.UNDISPATCHED) {
                        runCatching { snapTrak.captureFile(film, cancellation = cancellation) }
                    }
                await("some of it is sealed") { sealed().isNotEmpty() }
                cancellation.cancel()
                assertEquals("cancelled", code(capturing.await()))
                assertEquals(0, snapTrak.captures().toList().size)
                assertEquals(emptyList<File>(), sealed())

                val used = runCatching { snapTrak.captureBytes(byteArrayOf(1), cancellation = cancellation) }
                assertEquals("cancelled", code(used), "it cannot be used again")
                snapTrak.captureBytes(byteArrayOf(1))
                assertEquals(1, snapTrak.captures().toList().size)
                cancellation.destroy()
            }
        }

    @Test
    fun `a capture is not lost with the coroutine that began it, and a view that nobody waits for leaves no file`() =
        testing {
            val clip = file("clip", CLIP_BYTES)
            opened().useThenShutdown { snapTrak ->
                val capturing = launch(start = CoroutineStart.UNDISPATCHED) { snapTrak.captureFile(clip) }
                await("some of it is sealed") { sealed().isNotEmpty() }
                capturing.cancelAndJoin()
                await("it is a capture") { snapTrak.captures().toList().size == 1 }
                val captured = snapTrak.captures().toList().single()
                assertEquals(CLIP_BYTES.toULong(), captured.bytes)

                val seen = folder.resolve("seen").toFile()
                val viewing = launch(start = CoroutineStart.UNDISPATCHED) { snapTrak.view(captured.id, seen.path) }
                await("some of it is written") { seen.length() > 0 }
                viewing.cancelAndJoin()
                await("the view's thread has ended") { callThreads() == 0 }
                assertFalse(seen.exists())
                assertEquals(captured.sha256, snapTrak.view(captured.id, seen.path).sha256)
            }
        }

    @Test
    fun `every long call takes a cancellation`() =
        testing {
            opened().useThenShutdown { snapTrak ->
                val note = snapTrak.note("it stays")
                val path = folder.resolve("seen").toString()
                Cancellation().use { cancellation ->
                    cancellation.cancel()
                    val calls =
                        mapOf<String, suspend () -> Unit>(
                            "captureFile" to { snapTrak.captureFile(file("small", 10), cancellation = cancellation) },
                            "captureBytes" to { snapTrak.captureBytes(byteArrayOf(1), cancellation = cancellation) },
                            "view" to { snapTrak.view(note.id, path, cancellation) },
                            "verify" to { snapTrak.verify(cancellation) },
                            "purge" to { snapTrak.purge(cancellation = cancellation) },
                            "fetch" to { snapTrak.fetch(note.id, cancellation = cancellation) },
                            "verifyModels" to { snapTrak.verifyModels(cancellation = cancellation) },
                            "analyse" to { snapTrak.analyse(cancellation = cancellation) },
                        )
                    val told = calls.mapValues { (_, call) -> code(runCatching { call() }) }
                    assertEquals(calls.mapValues { "cancelled" }, told)
                }
                assertEquals(listOf(note.id), snapTrak.captures().toList().map { it.id })
                assertFalse(File(path).exists())
                assertEquals(1uL, snapTrak.verify().receipts)
            }
        }

    private fun code(result: Result<*>) = (result.exceptionOrNull() as? SnapTrakException.Refused)?.code
}
