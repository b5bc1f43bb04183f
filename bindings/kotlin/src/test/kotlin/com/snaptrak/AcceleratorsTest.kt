package com.snaptrak

import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestReporter
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val FACES = "blazeface_back"

/** What a machine without a GPU and an NPU answers; what follows from each case is held by the core's own tests. */
internal class AcceleratorsTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `what is known of the accelerators is measured, explained and forgotten`(reporter: TestReporter) =
        withStore(reporter) { snapTrak ->
            assertEquals(AcceleratorsReport(emptyList(), emptyList()), snapTrak.accelerators(), "nothing was asked for yet")

            val tried = snapTrak.tryAccelerators(TryAccelerators(model = FACES))
            assertEquals(listOf(Accelerator.NPU, Accelerator.GPU), tried.verdicts.map { it.accelerator })
            for (verdict in tried.verdicts) {
                assertEquals(listOf("ort", FACES, "unusable", "not_offered"), verdict.run { listOf(engine, modelId, this.verdict, code) })
                assertEquals(Place.FOREGROUND to 0.toUByte(), verdict.place to verdict.strikes)
                assertTrue(checkNotNull(verdict.retryAtMs) > verdict.sinceMs, "$verdict")
                assertEquals(listOf(null, null, null), listOf(verdict.runMs, verdict.cpuMs, verdict.difference), "nothing ran")
            }
            assertEquals(tried, snapTrak.accelerators())
            assertEquals(4, snapTrak.tryAccelerators().verdicts.size, "the detector's two beside them")

            assertEquals(emptyList<AcceleratorVerdict>(), snapTrak.forgetAccelerators().verdicts)
            assertEquals(emptyList<AcceleratorVerdict>(), snapTrak.accelerators().verdicts)
        }

    @Test
    fun `the moment decides whether and for which place is measured`(reporter: TestReporter) =
        withStore(reporter) { snapTrak ->
            for (moment in listOf(Conditions(thermal = Thermal.CRITICAL), Conditions(lowPower = true))) {
                val tried = snapTrak.tryAccelerators(TryAccelerators(model = FACES, conditions = moment))
                assertEquals(emptyList<AcceleratorVerdict>(), tried.verdicts, "$moment")
            }
            val behind = Conditions(place = Place.BACKGROUND)
            val tried = snapTrak.tryAccelerators(TryAccelerators(model = FACES, conditions = behind))
            assertEquals(listOf(Place.BACKGROUND, Place.BACKGROUND), tried.verdicts.map { it.place })
        }

    @Test
    fun `a model that nobody knows is refused`(reporter: TestReporter) =
        withStore(reporter) { snapTrak ->
            val refused = assertThrows<SnapTrakException> { snapTrak.tryAccelerators(TryAccelerators(model = "abacus")) }
            assertEquals("model_missing", refused.code)
            val engine = assertThrows<SnapTrakException> { snapTrak.tryAccelerators(TryAccelerators(engine = "abacus")) }
            assertEquals("engine_missing", engine.code)
        }

    private fun withStore(
        reporter: TestReporter,
        test: suspend (SnapTrak) -> Unit,
    ) = withModels(reporter) { cache ->
        val config = Surroundings.config(folder.resolve("store"), cache)
        SnapTrak.openOrCreate(config, MemoryKeyStore()).useThenShutdown(test)
    }
}
