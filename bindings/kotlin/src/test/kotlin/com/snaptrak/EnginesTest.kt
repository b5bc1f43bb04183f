package com.snaptrak

import java.io.File
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestReporter
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

internal class EnginesTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `an app that ships LiteRT alone understands its pictures`(reporter: TestReporter) =
        testing {
            val cache = Surroundings.cache
            if (cache == null) {
                reporter.publishEntry("skipped", "no models were fetched (cargo xtask models)")
                return@testing
            }
            val config =
                Config(
                    store = folder.resolve("store").toString(),
                    models = File(cache, "models").path,
                    tfliteLibrary = File(cache, "runtime/litert/libLiteRt.so").path,
                    ballastBytes = 0u,
                )
            SnapTrak.openOrCreate(config, MemoryKeyStore()).useThenShutdown { snapTrak ->
                val captured = snapTrak.captureFile(File(cache, "pictures/astronaut.png").path)
                val refused = assertThrows<SnapTrakException> { snapTrak.analyse(AnalyseOptions(engine = "ort")) }
                assertEquals("engine_missing", refused.code)
                assertEquals(1uL, snapTrak.analyse(AnalyseOptions(accelerator = Accelerator.CPU)).analysed)
                val findings = snapTrak.show(captured.id).findings.associateBy { it.task }
                assertEquals("Person", findings.getValue("detect").boxes.first().label)
                assertEquals("Face", findings.getValue("find_faces").boxes.first().label)
                assertTrue(findings.values.all { it.engine.startsWith("litert") && it.acceleratorRan == "cpu" }, "$findings")
            }
        }
}
