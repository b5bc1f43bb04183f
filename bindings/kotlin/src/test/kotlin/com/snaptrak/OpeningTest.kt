package com.snaptrak

import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

@Timeout(10, unit = TimeUnit.MINUTES)
internal class OpeningTest {
    @TempDir
    lateinit var folder: Path

    private val config by lazy { Config(store = folder.resolve("store").toString(), ballastBytes = 0u) }

    @Test
    fun `the first call makes a store, the next ones open it`() =
        testing {
            val keyStore = MemoryKeyStore()
            val noted = SnapTrak.openOrCreate(config, keyStore).useThenShutdown { it.note("kept") }
            val again = SnapTrak.openOrCreate(config, keyStore).useThenShutdown { it.captures().toList() }
            assertEquals(listOf(noted.id), again.map { it.id })
        }

    @Test
    fun `a folder that holds something else is left alone`() =
        testing {
            val letter = File(config.store, "letter.txt")
            letter.parentFile.mkdirs()
            letter.writeText("no store")
            assertEquals("not_a_store", assertThrows<SnapTrakException.Refused> { SnapTrak.openOrCreate(config, MemoryKeyStore()) }.code)
            assertEquals("not_empty", assertThrows<SnapTrakException.Refused> { SnapTrak.create(config, MemoryKeyStore()) }.code)
            assertEquals(listOf(letter), letter.parentFile.listFiles().orEmpty().toList())
        }

    @Test
    fun `where a making was broken off there is no store yet`() =
        testing {
            val keyStore = MemoryKeyStore()
            assertEquals("no_store", assertThrows<SnapTrakException.Refused> { SnapTrak.open(config, keyStore) }.code)
            keyStore.instead = { error("an exception of the app") }
            assertEquals("not_yet", assertThrows<SnapTrakException.Unlock> { SnapTrak.create(config, keyStore) }.code)
            keyStore.instead = {}
            assertTrue(File(config.store).list().orEmpty().isNotEmpty(), "something was begun")
            assertEquals("no_store", assertThrows<SnapTrakException.Refused> { SnapTrak.open(config, keyStore) }.code)
            SnapTrak.create(config, keyStore).useThenShutdown { it.note("kept") }
            assertEquals("store_exists", assertThrows<SnapTrakException.Refused> { SnapTrak.create(config, keyStore) }.code)
            assertEquals(1, SnapTrak.open(config, keyStore).useThenShutdown { it.captures().toList().size })
        }

    @Test
    fun `a block that fails is told before anything else, and the store is free again`() =
        testing {
            val keyStore = MemoryKeyStore()
            val failure =
                assertThrows<IllegalStateException> {
                    SnapTrak.openOrCreate(config, keyStore).useThenShutdown { error("the app's own") }
                }
            assertEquals("the app's own", failure.message)
            SnapTrak.openOrCreate(config, keyStore).useThenShutdown { it.note("free") }
        }

    @Test
    fun `a block that is cancelled frees the store too`() =
        testing {
            val keyStore = MemoryKeyStore()
            val open = CompletableDeferred<SnapTrak>()
            val using =
                launch {
                    SnapTrak.openOrCreate(config, keyStore).useThenShutdown {
                        open.complete(it)
                        awaitCancellation()
                    }
                }
            val snapTrak = open.await()
            using.cancelAndJoin()
            assertTrue(snapTrak.uniffiIsDestroyed)
            SnapTrak.openOrCreate(config, keyStore).useThenShutdown { it.note("free") }
        }
}
