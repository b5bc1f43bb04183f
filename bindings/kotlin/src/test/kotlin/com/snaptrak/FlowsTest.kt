package com.snaptrak

import java.awt.image.BufferedImage
import java.io.ByteArrayOutputStream
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import javax.imageio.ImageIO
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val PICTURES = 12
private const val PICTURE_PIXELS = 2_000

@Timeout(10, unit = TimeUnit.MINUTES)
internal class FlowsTest {
    @TempDir
    lateinit var folder: Path

    private fun config(name: String) = Config(store = folder.resolve(name).toString(), ballastBytes = 0u)

    @Test
    fun `pages are one list to a collector`() =
        testing {
            SnapTrak.openOrCreate(config("store"), MemoryKeyStore()).useThenShutdown { snapTrak ->
                val noted = (1..10).map { number -> snapTrak.note("note $number").id }
                for (pageSize in listOf(1, 3, 5, 10, 1_000)) {
                    assertEquals(noted, snapTrak.captures(pageSize = pageSize).toList().map { it.id })
                }
                assertEquals(noted.take(4), snapTrak.captures(pageSize = 3).take(4).toList().map { it.id })
                assertEquals(emptyList<CaptureSummary>(), snapTrak.captures(AssetState.VERIFIED).toList())
                assertEquals("invalid_argument", assertThrows<SnapTrakException.Refused> { snapTrak.captures(pageSize = 0).toList() }.code)
            }
        }

    @Test
    fun `a collector that takes its time holds the work up by nothing`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                SnapTrak.openOrCreate(config("store"), MemoryKeyStore()).useThenShutdown { snapTrak ->
                    repeat(20) { number -> snapTrak.captureBytes(ByteArray(10_000) { number.toByte() }) }
                    snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    val events = mutableListOf<Event<SyncReport>>()
                    snapTrak.syncing().collect { event ->
                        if (events.isEmpty()) {
                            await("the work ends while the collector still looks at the first step") {
                                snapTrak.status().byState["verified"] == 20uL
                            }
                        }
                        events += event
                    }
                    assertEquals(20uL, (events.last() as Event.Finished).report.verified)
                }
            }
        }
    }

    @Test
    fun `a collector that takes its time sees the newest step and the report`() =
        testing {
            val steps = 1_000uL
            val worked = CompletableDeferred<Unit>()
            val events =
                watched { listener ->
                    for (done in 1uL..steps) listener.onProgress(Progress(Phase.SENDING, done, steps, 0u, 0u))
                    worked.complete(Unit)
                    "the report"
                }.onEach { worked.await() }.toList()
            // At most: the first, one that was already on its way, the newest, the report.
            assertTrue(events.size in 2..4, "$events")
            assertEquals(steps, (events[events.size - 2] as Event.Advanced).progress.done)
            assertEquals(Event.Finished("the report"), events.last())
        }

    @Test
    fun `a store comes back as a flow`() =
        testing {
            val keyStore = MemoryKeyStore()
            val noted = SnapTrak.openOrCreate(config("store"), keyStore).useThenShutdown { it.note("not lost") }
            val elsewhere = SnapTrak.recovering(config("store").store, config("new"), keyStore).toList().last() as Event.Finished
            assertEquals(1uL to 1uL, elsewhere.report.run { readable to recovered })
            SnapTrak.openOrCreate(config("new"), keyStore).useThenShutdown { snapTrak ->
                assertEquals("not lost", String(snapTrak.read(noted.id, 0u, 100u)))
            }
            val inPlace = SnapTrak.recoveringInPlace(config("store"), keyStore).toList().last() as Event.Finished
            assertEquals(1uL, inPlace.report.recovered)
        }

    @Test
    fun `a recovery that is broken off goes on with the next collector`() =
        testing {
            val keyStore = MemoryKeyStore()
            SnapTrak.openOrCreate(config("store"), keyStore).useThenShutdown { snapTrak ->
                repeat(50) { number -> snapTrak.captureBytes(ByteArray(10_000) { number.toByte() }) }
            }
            val recovering = SnapTrak.recovering(config("store").store, config("new"), keyStore)
            repeat(3) {
                assertTrue(recovering.first() is Event.Advanced)
                // Nobody is told when it lets go of the new folder, which the next one would be told is in use.
                await("the recovery's thread ends its work") { callThreads() == 0 }
            }
            val finished = recovering.toList().last() as Event.Finished
            assertEquals(50uL to 50uL, finished.report.run { readable to recovered })
            SnapTrak.openOrCreate(config("new"), keyStore).useThenShutdown { assertEquals(50, it.captures().toList().size) }
            SnapTrak.openOrCreate(config("store"), keyStore).useThenShutdown { assertEquals(50, it.captures().toList().size) }
        }

    @Test
    fun `an analysis that is broken off leaves the rest to the next one`() =
        testing {
            SnapTrak.openOrCreate(config("store"), MemoryKeyStore()).useThenShutdown { snapTrak ->
                // Without an engine every picture is still made small, which takes its time with ones as large as these.
                val ids = (1..PICTURES).map { snapTrak.captureBytes(picture(it)).id }
                val made = suspend { ids.count { id -> snapTrak.show(id).assets.any { it.rendition == Rendition.THUMBNAIL } } }
                val analysing = launch { snapTrak.analyse() }
                await("the first picture was looked at") { made() > 0 }
                analysing.cancelAndJoin()
                await("the analysis has ended") { callThreads() == 0 }
                assertTrue(made() < PICTURES, "it went on to its end")
                assertEquals("engine_missing", assertThrows<SnapTrakException.Refused> { snapTrak.analyse() }.code)
                assertEquals(PICTURES, made())
            }
        }

    private fun picture(number: Int): ByteArray {
        val image = BufferedImage(PICTURE_PIXELS, PICTURE_PIXELS, BufferedImage.TYPE_INT_RGB)
        for (line in 0 until PICTURE_PIXELS) image.setRGB(line, line, number * line)
        return ByteArrayOutputStream().also { ImageIO.write(image, "jpeg", it) }.toByteArray()
    }

    @Test
    fun `an error ends the flow as what it is`() =
        testing {
            SnapTrak.openOrCreate(config("store"), MemoryKeyStore()).useThenShutdown { snapTrak ->
                snapTrak.note("one")
                assertEquals("not_found", assertThrows<SnapTrakException.Refused> {
                    snapTrak.fetching("01890000-0000-7000-8000-000000000000").toList()
                }.code)
                snapTrak.captureBytes(byteArrayOf(0xFF.toByte(), 0xD8.toByte(), 0xFF.toByte()))
                assertEquals("engine_missing", assertThrows<SnapTrakException.Refused> { snapTrak.analysing().toList() }.code)
            }
        }
}
