package com.snaptrak.probe

import com.snaptrak.Config
import com.snaptrak.MemoryKeyStore
import com.snaptrak.SnapTrak
import com.snaptrak.SnapTrakException
import com.snaptrak.openOrCreate
import com.snaptrak.testing
import com.snaptrak.useThenShutdown
import java.nio.file.Path
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val PANICS = 20

/** A panic in the core is an error of its call, and of nothing else. */
@Tag("probe")
internal class PanicTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `a panic in the core is thrown, and the instance still answers`() =
        testing {
            val config = Config(store = folder.resolve("store").toString(), ballastBytes = 0u)
            val keys = MemoryKeyStore()
            SnapTrak.openOrCreate(config, keys).useThenShutdown { it.note("before") }
            val switch = PanicSwitch()

            switch.panic(1u)
            assertEquals("internal", assertThrows<SnapTrakException.Report> { openThatPanics(config, keys, switch) }.code)

            openThatPanics(config, keys, switch).useThenShutdown { snapTrak ->
                val note = snapTrak.note("beside the panics")
                snapTrak.lock()
                switch.panic(PANICS.toULong())
                val errors =
                    (1..PANICS).map { async { assertThrows<SnapTrakException.Report> { snapTrak.unlock() } } }.awaitAll()
                assertEquals(setOf("internal"), errors.map { it.code }.toSet())
                assertEquals((PANICS + 1).toULong(), switch.panicked())

                snapTrak.unlock()
                assertEquals("beside the panics", snapTrak.read(note.id, 0u, 100u).decodeToString())
                snapTrak.note("after")
                assertEquals(3, snapTrak.list().captures.size)
                assertEquals(3uL, snapTrak.verify().receipts)
            }
        }
}
