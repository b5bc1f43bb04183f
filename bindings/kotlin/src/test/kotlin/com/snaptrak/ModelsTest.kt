package com.snaptrak

import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestReporter
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val MEBIBYTE: ULong = 1_048_576u
private const val GIBIBYTE: ULong = 1_073_741_824u

/** The organisation's models: from its server, tested on this device, and back again. */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class ModelsTest {
    @TempDir
    lateinit var folder: Path

    private val data by lazy { folder.resolve("server").toFile() }
    private val publisher by lazy { Publisher(data, folder.toFile()) }

    /** An app that was packaged without models. */
    private fun config(
        cache: File,
        quotaBytes: ULong = GIBIBYTE,
    ) = Config(
        store = folder.resolve("store").toString(),
        runtimeLibrary = Surroundings.runtimeLibrary(cache).path,
        modelsQuotaBytes = quotaBytes,
        ballastBytes = 0u,
    )

    private fun published(
        reporter: TestReporter,
        test: suspend (File, MemoryKeyStore, ReferenceServer) -> Unit,
    ) {
        val cache = Surroundings.cache ?: return reporter.publishEntry("skipped", "no models were fetched (cargo xtask models)")
        publisher.vouch()
        ReferenceServer.start(data).use { api ->
            testing {
                val keyStore = MemoryKeyStore()
                SnapTrak.openOrCreate(config(cache), keyStore).useThenShutdown { snapTrak ->
                    val enrolled = snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    assertEquals(UpdateOutcome.UP_TO_DATE, snapTrak.updateModels().outcome, "nothing was published yet")
                    publisher.publish(enrolled.organisation, 2)
                }
                test(cache, keyStore, api)
            }
        }
    }

    @Test
    fun `models come from the server, are tested here, and go back on demand`(reporter: TestReporter) =
        published(reporter) { cache, keyStore, _ ->
            SnapTrak.openOrCreate(config(cache), keyStore).useThenShutdown { snapTrak ->
                snapTrak.models().run { assertTrue(inUse == null && models.isEmpty() && newest == null) }
                val metered = snapTrak.updateModels(UpdateModels(Budget(bytes = 0u)))
                assertEquals(UpdateOutcome.BUDGET_BYTES to 0uL, metered.outcome to metered.files)
                assertTrue(metered.leftBytes > 1_000_000u, "$metered")

                val events = snapTrak.updatingModels().toList()
                val updated = (events.last() as Event.Finished).report
                assertEquals(UpdateOutcome.ACTIVATED to 2uL, updated.outcome to updated.version)
                assertEquals(metered.leftBytes to 4uL, updated.bytes to updated.files)
                assertNull(updated.rolledBack)
                assertEquals(setOf("detect", "find_faces"), updated.report.models.map { it.task }.toSet())
                val advanced = events.filterIsInstance<Event.Advanced>().map { it.progress }
                assertTrue(advanced.isNotEmpty() && advanced.all { it.phase == Phase.FETCHING && it.total == 4uL }, "$advanced")

                assertEquals(listOf(VerifiedModels(2u, true, null)), snapTrak.verifyModels())
                assertEquals(UpdateOutcome.UP_TO_DATE, snapTrak.updateModels().outcome)
                val back = snapTrak.rollbackModels()
                assertEquals(null to RefusedModels(2u, "rolled_back"), back.inUse to back.refused)
                assertEquals(UpdateOutcome.REFUSED_BEFORE, snapTrak.updateModels().outcome)
                val again = snapTrak.updateModels(UpdateModels(again = true))
                assertEquals(UpdateOutcome.ACTIVATED to 0uL, again.outcome to again.files)

                val forged = ActivateModels(signed = "{}".toByteArray(), files = folder.toString())
                assertEquals("models_refused", assertThrows<SnapTrakException> { snapTrak.activateModels(forged) }.code)
                val byHand = ActivateModels(folder.resolve("signed-2.json").toFile().readBytes(), File(cache, "models").path)
                assertEquals(2uL, snapTrak.activateModels(byHand).report.inUse)
            }
        }

    @Test
    fun `what does not fit is refused before its download, and a download ends with its coroutine`(reporter: TestReporter) =
        published(reporter) { cache, keyStore, api ->
            SnapTrak.openOrCreate(config(cache, quotaBytes = MEBIBYTE), keyStore).useThenShutdown { snapTrak ->
                assertEquals("storage_full", assertThrows<SnapTrakException.FreeSpace> { snapTrak.updateModels() }.code)
                api.freeze()
                testing {
                    val updating = launch(start = CoroutineStart.UNDISPATCHED) { snapTrak.updateModels() }
                    await("a request waits for its answer") { api.hasUnreadRequest() }
                    updating.cancelAndJoin()
                    await("the update's thread ends") { callThreads() == 0 }
                }
            }
        }
}
