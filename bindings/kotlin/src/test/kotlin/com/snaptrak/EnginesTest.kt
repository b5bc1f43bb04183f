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
        withModels(reporter) { cache ->
            SnapTrak.openOrCreate(liteRt(cache), MemoryKeyStore()).useThenShutdown { snapTrak ->
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

    @Test
    fun `a provider whose library is not there is named`(reporter: TestReporter) =
        withModels(reporter) { cache ->
            val missing = folder.resolve("libprovider.so").toString()
            val provider = OrtProvider("NoneExecutionProvider", missing, Accelerator.NPU, mapOf("key" to "value"))
            val config = Surroundings.config(folder.resolve("store"), cache).copy(runtimeProviders = listOf(provider))
            val refused = refusedToAnalyse(config, cache)
            assertEquals("engine_missing", refused.code)
            assertTrue(missing in refused.detail, refused.detail)
        }

    @Test
    fun `a model above the limit is not loaded`(reporter: TestReporter) =
        withModels(reporter) { cache ->
            assertEquals("model_missing", refusedToAnalyse(liteRt(cache).copy(modelBytesMax = 1uL), cache).code)
        }

    @Test
    fun `libraries for a GPU and an NPU are looked for where the app says`(reporter: TestReporter) =
        withModels(reporter) { cache ->
            val empty = folder.resolve("empty").toFile().also { check(it.mkdir()) }
            val beside = File(cache, "runtime/litert/intel")
            val options = listOf(NpuOption("intel_openvino", "graph.0.graph_backend = 0\n"))
            val plugin = NpuPlugin(File(beside, "compiler").path, File(beside, "dispatch").path, options)
            val notOffered = "not_offered"
            // None of these machines has such a device: a library that is there and finds none is told from one that is not there.
            val asShipped = codes(liteRt(cache))
            assertEquals(setOf(notOffered), asShipped[Accelerator.NPU])
            assertTrue(notOffered !in asShipped.getValue(Accelerator.GPU), "$asShipped")
            assertEquals(setOf(notOffered), codes(liteRt(cache).copy(tfliteAccelerators = empty.path))[Accelerator.GPU])
            val withPlugin = codes(liteRt(cache).copy(tfliteNpu = plugin))
            assertTrue(notOffered !in withPlugin.getValue(Accelerator.NPU), "$withPlugin")
        }

    private fun liteRt(cache: File) =
        Config(
            store = folder.resolve("store").toString(),
            models = File(cache, "models").path,
            tfliteLibrary = File(cache, "runtime/litert/libLiteRt.so").path,
            ballastBytes = 0u,
        )

    private suspend fun refusedToAnalyse(
        config: Config,
        cache: File,
    ): SnapTrakException =
        SnapTrak.openOrCreate(config, MemoryKeyStore()).useThenShutdown { snapTrak ->
            snapTrak.captureFile(File(cache, "pictures/astronaut.png").path)
            assertThrows<SnapTrakException> { snapTrak.analyse(AnalyseOptions(accelerator = Accelerator.CPU)) }
        }

    /** Why each accelerator is what it is, with the models; each time in a store of its own. */
    private suspend fun codes(config: Config): Map<Accelerator, Set<String>> {
        val store = folder.resolve("store-${stores++}").toString()
        return SnapTrak.openOrCreate(config.copy(store = store), MemoryKeyStore()).useThenShutdown { snapTrak ->
            val verdicts = snapTrak.tryAccelerators().verdicts
            verdicts.groupBy({ it.accelerator }, { it.code }).mapValues { (_, codes) -> codes.toSet() }
        }
    }

    private var stores = 0
}
