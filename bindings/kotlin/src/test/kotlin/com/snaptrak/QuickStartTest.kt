package com.snaptrak

import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir

/** The README's quick start: the same lines, run. */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class QuickStartTest {
    @TempDir
    lateinit var folder: Path

    private val said = mutableListOf<String>()

    @Test
    fun `the quick start works`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            val picture = folder.resolve("window.jpg").toFile().apply { writeBytes(byteArrayOf(1, 2, 3)) }
            testing {
                quickStart(folder.resolve("store").toString(), MemoryKeyStore(), picture.path, api.origin, "a long enough password")
            }
        }
        assertEquals("on the server, signed for: 1", said.last())
    }

    @Test
    fun `the README shows the lines that ran`() {
        val kotlin = File(Surroundings.repository, "bindings/kotlin")
        val shown = File(kotlin, "README.md").readText().substringAfter("```kotlin\n").substringBefore("```")
        val source = File(kotlin, "src/test/kotlin/com/snaptrak/QuickStartTest.kt").readText()
        val ran = source.substringAfter("// The quick start begins.\n").substringBefore("// The quick start ends.")
        assertEquals(shown.trimEnd(), ran.trimIndent().trimEnd())
    }

    private suspend fun quickStart(
        folder: String,
        keyStore: KeyStore,
        photo: String,
        server: String,
        password: String,
    ) {
        // The quick start begins.
        SnapTrak.openOrCreate(Config(store = folder), keyStore).useThenShutdown { snapTrak ->
            snapTrak.captureFile(photo, CaptureOptions(note = "third window")) // sealed and durable from here on
            snapTrak.signUp(SignUp(server, "you@example.org"), password)
            snapTrak.syncing().collect { event ->
                when (event) {
                    is Event.Advanced -> println("${event.progress.bytesDone} of ${event.progress.bytesTotal} bytes")
                    is Event.Finished -> println("on the server, signed for: ${event.report.verified}")
                }
            }
        }
        // The quick start ends.
    }

    /** What the quick start prints, kept instead. */
    private fun println(line: String) {
        said += line
    }
}
