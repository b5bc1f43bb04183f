package com.snaptrak

import java.awt.Color
import java.awt.image.BufferedImage
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Path
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.TimeUnit
import javax.imageio.ImageIO
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestReporter
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val MIB = 1024 * 1024

/**
 * The tutorial: a day with the SDK, from a basement without a network to bytes that the server has signed for. Every line runs
 * against the real library and the real reference API.
 */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class JourneyTest {
    @TempDir
    lateinit var folder: Path

    /** What the camera sees, for captures that nobody has to understand. */
    private val photo: ByteArray by lazy {
        val picture = BufferedImage(640, 480, BufferedImage.TYPE_INT_RGB)
        picture.createGraphics().apply { color = Color.ORANGE }.fillRect(100, 100, 200, 200)
        ByteArrayOutputStream().also { ImageIO.write(picture, "jpeg", it) }.toByteArray()
    }

    /** A camera that delivers video in chunks of a MiB, always in the same buffer, as hardware does. */
    private val video = ByteArray(5 * MIB + 1234) { (it % 251).toByte() }
    private val camera =
        flow {
            val buffer = ByteBuffer.allocateDirect(MIB)
            for (start in video.indices step MIB) {
                buffer.clear()
                buffer.put(video, start, minOf(MIB, video.size - start)).flip()
                emit(buffer)
            }
        }

    @Test
    fun `a day in the field`(reporter: TestReporter) =
        testing {
            // One store a person; one process owns it. The key store is the platform's: it alone can open the store's keys.
            val cache = Surroundings.cache
            val config =
                Config(
                    store = path("store"),
                    models = cache?.let { File(it, "models").path },
                    runtimeLibrary = cache?.let { Surroundings.runtimeLibrary(it).path },
                    deviceName = "a phone in a basement",
                )
            SnapTrak.openOrCreate(config, MemoryKeyStore(), JavaSigner()).useThenShutdown { snapTrak ->
                // A screen watches from now on: what happens to each capture, and how the queue stands.
                val watched = Watched()
                val watching = launch { watched.watch(snapTrak) }

                // In the basement: no account and no network yet. When a call returns, a power cut loses nothing.
                val window = snapTrak.captureFile(file("window.jpg", photo), CaptureOptions(note = "third window", tags = listOf("window")))
                val noted = snapTrak.note("the door is jammed")
                val recorded = snapTrak.recordFrom(camera, Kind.VIDEO, recordOptions = RecordOptions(pieceBytes = (2 * MIB).toULong()))
                assertEquals(Kind.PHOTO, window.kind)
                assertEquals(Kind.NOTE, noted.kind)
                assertEquals(3u, recorded.pieces)
                assertEquals(video.size.toULong(), recorded.captured.bytes)

                // Understood on the spot, where the app brought models.
                if (cache == null) {
                    reporter.publishEntry("skipped", "analysis: no models were fetched (cargo xtask models)")
                } else {
                    understand(snapTrak, File(cache, "pictures/astronaut.png"))
                }

                // What waits, and why? There is always an answer.
                val captures = snapTrak.captures(pageSize = 2).toList()
                assertEquals(listOf(window.id, noted.id, recorded.captured.id), captures.take(3).map { it.id })
                assertEquals(captures.size.toULong(), snapTrak.status().waiting)
                val standing = snapTrak.whyNotUploaded(window.id).standing
                assertTrue(standing is Standing.OnItsWay && standing.code == "not_enrolled", "$standing")

                ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
                    // Upstairs: an account, and everything goes out, watched.
                    val enrolled = snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    assertTrue(enrolled.account.isNotEmpty())
                    bringAll(snapTrak, captures.size)
                    await("the screen shows what is there") {
                        captures.all { watched.states[it.id] == AssetState.VERIFIED } && watched.waiting == 0uL
                    }
                    watching.cancelAndJoin()

                    // The server has signed for the same bytes, which can be checked without it.
                    val verified = snapTrak.verify()
                    assertTrue(verified.chainOk)
                    assertEquals(emptyList<VerifyFailure>(), verified.failures)
                    assertEquals(verified.receipts, verified.signed)
                    assertEquals(verified.receipts, verified.countersigned)
                    assertEquals(Standing.Verified(isHere = true), snapTrak.whyNotUploaded(window.id).standing)

                    // A look at it: byte for byte what was captured.
                    snapTrak.view(recorded.captured.id, path("seen.mp4"))
                    assertArrayEquals(video, folder.resolve("seen.mp4").toFile().readBytes())
                    assertArrayEquals(photo, snapTrak.read(window.id, 0u, photo.size.toUInt()))

                    // Room for tomorrow: what the server signed for may go from this device, and comes back when it is wanted.
                    val purged = snapTrak.purge(listOf(recorded.captured.id))
                    assertEquals(1uL, purged.purged)
                    assertTrue(purged.freedBytes >= video.size.toULong())
                    val gone = assertThrows<SnapTrakException.Refused> { snapTrak.read(recorded.captured.id, 0u, 1u) }
                    assertEquals("purged", gone.code)

                    val fetched = (snapTrak.fetching(recorded.captured.id).toList().last() as Event.Finished).report
                    assertEquals(3uL, fetched.pieces)
                    assertEquals(AssetState.VERIFIED, fetched.state)
                    snapTrak.view(recorded.captured.id, path("seen again.mp4"))
                    assertArrayEquals(video, folder.resolve("seen again.mp4").toFile().readBytes())
                }
            }
        }

    /** What a screen shows: looked at once, and then told what changes. */
    private class Watched {
        val states = ConcurrentHashMap<String, AssetState>()
        @Volatile var waiting: ULong? = null

        suspend fun watch(snapTrak: SnapTrak) =
            coroutineScope {
                launch { snapTrak.queueHealthChanges().collect { waiting = it.waiting } }
                snapTrak.events().collect { batch ->
                    if (batch.missed) snapTrak.captures().collect { states[it.id] = it.state }
                    batch.events.filter { it.rendition == Rendition.ORIGINAL }.forEach { states[it.captureId] = it.state }
                }
            }
    }

    private suspend fun understand(
        snapTrak: SnapTrak,
        portrait: File,
    ) = coroutineScope {
        val captured = snapTrak.captureFile(portrait.path)
        // A screen that shows this capture is told what is found in it.
        val found = async { snapTrak.findings(captured.id).first { it.size == 2 } }
        val events = snapTrak.analysing().toList()
        val report = (events.last() as Event.Finished).report
        assertTrue(report.analysed >= 2uL)
        assertEquals(0uL, report.left)
        assertTrue(events.dropLast(1).all { it is Event.Advanced && it.progress.phase == Phase.ANALYSING })

        assertEquals(found.await(), snapTrak.show(captured.id).findings)
        val findings = found.await().associateBy { it.task }
        assertEquals("Person", findings.getValue("detect").boxes.first().label)
        assertEquals("Face", findings.getValue("find_faces").boxes.first().label)
        assertTrue(snapTrak.thumbnail(captured.id).isJpeg())
        assertTrue(snapTrak.annotate(captured.id).isJpeg())
    }

    private suspend fun bringAll(
        snapTrak: SnapTrak,
        captures: Int,
    ) {
        val events = snapTrak.syncing().toList()
        val report = (events.last() as Event.Finished).report
        assertEquals("done", report.stoppedBecause)
        assertEquals(captures.toULong(), report.verified)
        assertEquals(0uL, report.left)
        val steps = events.dropLast(1).map { (it as Event.Advanced).progress }
        assertTrue(steps.isNotEmpty())
        assertTrue(steps.zipWithNext().all { (before, after) -> before.done <= after.done })
        assertEquals(captures.toULong(), snapTrak.status().byState.getValue("verified"))
    }

    private fun ByteArray?.isJpeg() = this != null && size > 2 && this[0] == 0xFF.toByte() && this[1] == 0xD8.toByte()

    private fun path(name: String): String = folder.resolve(name).toString()

    private fun file(
        name: String,
        bytes: ByteArray,
    ): String = path(name).also { File(it).writeBytes(bytes) }
}
