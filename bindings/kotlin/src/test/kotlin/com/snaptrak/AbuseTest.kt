package com.snaptrak

import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Path
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

private const val CANCELLED_CALLS = 500
private const val MANY_CALLS = 10_000

/** What an app may do to the SDK on a bad day: nothing of it hangs, leaks, crashes or loses a capture. */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class AbuseTest {
    @TempDir
    lateinit var folder: Path

    private fun config(name: String = "store") = Config(store = folder.resolve(name).toString(), ballastBytes = 0u)

    private suspend fun opened(
        name: String = "store",
        keyStore: KeyStore = MemoryKeyStore(),
        signer: Signer? = null,
    ) = SnapTrak.openOrCreate(config(name), keyStore, signer)

    /** Calls that the generated code waits for, and listeners that the library holds. */
    private fun heldByTheLibrary() = uniffiContinuationHandleMap.size + FfiConverterTypeProgressListener.handleMap.size

    @Test
    fun `500 cancelled calls leave nothing behind`() =
        testing {
            val heldBefore = heldByTheLibrary()
            opened().useThenShutdown { snapTrak ->
                val calls =
                    listOf<suspend () -> Unit>(
                        { snapTrak.status() },
                        { snapTrak.note("cancelled") },
                        { snapTrak.captures().toList() },
                        { snapTrak.verify() },
                        { snapTrak.syncing().collect() },
                        { snapTrak.record(Kind.AUDIO).discard() },
                    )
                repeat(CANCELLED_CALLS) { turn ->
                    // Undispatched, so that the call has begun; then cancelled after a growing number of steps.
                    val call = launch(start = CoroutineStart.UNDISPATCHED) { calls[turn % calls.size]() }
                    repeat(turn / calls.size % 8) { yield() }
                    call.cancelAndJoin()
                }
                await("what had begun has ended") { callThreads() == 0 }
                // Notes that had begun are captures like others; nothing hangs half-made in the list.
                val captures = snapTrak.captures().toList()
                captures.forEach { capture -> assertEquals(Kind.NOTE, snapTrak.show(capture.id).kind) }
                assertEquals(captures.size.toULong(), snapTrak.verify().receipts)
            }
            await("the library lets go of what was cancelled") { heldByTheLibrary() == heldBefore }
            await("no thread of a call is left") { callThreads() == 0 }
        }

    @Test
    fun `a sync against a network that lets nothing through ends with its collector`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                opened().useThenShutdown { snapTrak ->
                    snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    snapTrak.syncing().collect()
                    val waiting = snapTrak.note("this one waits")
                    api.freeze()
                    val syncing = launch(start = CoroutineStart.UNDISPATCHED) { snapTrak.syncing().collect() }
                    await("a request waits for its answer") { api.hasUnreadRequest() }
                    assertTrue(syncing.isActive)
                    syncing.cancelAndJoin()
                    await("the sync's thread ends") { callThreads() == 0 }
                    assertEquals(1uL, snapTrak.status().waiting)
                    assertEquals(waiting.id, snapTrak.captures().toList().single { it.state != AssetState.VERIFIED }.id)
                }
            }
        }
    }

    @Test
    fun `a call right after one that was broken off is not told that it is still there`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                opened().useThenShutdown { snapTrak ->
                    snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    snapTrak.syncing().collect()
                    snapTrak.note("this one waits")
                    api.freeze()
                    repeat(20) {
                        val broken = launch(start = CoroutineStart.UNDISPATCHED) { snapTrak.sync() }
                        await("the sync has begun") { callThreads() > 0 }
                        broken.cancelAndJoin()
                        // It would wait for the server too: what counts is that it may.
                        val cancellation = Cancellation()
                        val next = async(start = CoroutineStart.UNDISPATCHED) { snapTrak.sync(cancellation = cancellation) }
                        delay(5)
                        cancellation.cancel()
                        assertEquals("cancelled", next.await().stoppedBecause)
                    }
                }
            }
        }
    }

    @Test
    fun `a shutdown ends calls that wait for a server that never answers, and returns at once`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                val keyStore = MemoryKeyStore()
                val snapTrak = opened(keyStore = keyStore)
                snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                snapTrak.syncing().collect()
                snapTrak.note("this one waits")
                api.freeze()
                val sync = async(start = CoroutineStart.UNDISPATCHED) { runCatching { snapTrak.sync() } }
                await("a request waits for its answer") { api.hasUnreadRequest() }
                // More than run at once, so that some wait for their turn.
                val others =
                    (1..40).map {
                        async(start = CoroutineStart.UNDISPATCHED) {
                            runCatching { snapTrak.signIn(SignIn(api.origin, "you@example.org"), "a long enough password") }
                        }
                    }
                val begun = System.nanoTime()
                snapTrak.shutdown()
                assertTrue(System.nanoTime() - begun < 900_000_000, "it waited for the server")
                opened(keyStore = keyStore).useThenShutdown { again -> assertEquals(1uL, again.status().waiting) }

                // A sync says itself that it was broken off, if the store was still open for it to say so.
                val code = { failure: Throwable -> (failure as SnapTrakException.Refused).code }
                assertEquals("cancelled", sync.await().fold({ it.stoppedBecause }, code))
                others.awaitAll().forEach { assertEquals("cancelled", code(it.exceptionOrNull()!!)) }
                snapTrak.destroy()
            }
        }
    }

    @Test
    fun `a recording that outlives its instance is kept, holds nothing and refuses what comes`() =
        testing {
            val keyStore = MemoryKeyStore()
            val snapTrak = opened(keyStore = keyStore)
            val recording = snapTrak.record(Kind.VIDEO)
            val bytes = ByteArray(300_000) { it.toByte() }
            recording.append(ByteBuffer.wrap(bytes))
            snapTrak.shutdown()
            opened(keyStore = keyStore).useThenShutdown { again ->
                assertArrayEquals(bytes, again.read(recording.id(), 0u, 300_000u))
                val calls =
                    listOf<suspend () -> Unit>(
                        { recording.append(ByteBuffer.wrap(bytes)) },
                        { recording.tick() },
                        { recording.pause() },
                        { recording.finish() },
                        { recording.finish() },
                        { recording.discard() },
                    )
                calls.forEach { call -> assertEquals("cancelled", assertThrows<SnapTrakException.Refused> { call() }.code) }
                assertEquals(1, again.captures().toList().size)
            }
            recording.destroy()
            snapTrak.destroy()
        }

    @Test
    fun `a recording that has ended says so until the shutdown`() =
        testing {
            val snapTrak = opened()
            val recording = snapTrak.record(Kind.AUDIO)
            recording.append(ByteBuffer.wrap(byteArrayOf(1)))
            recording.finish()
            val again = listOf<() -> Unit>({ recording.finish() }, { recording.discard() })
            again.forEach { call -> assertEquals("invalid_argument", assertThrows<SnapTrakException.Refused> { call() }.code) }
            snapTrak.shutdown()
            again.forEach { call -> assertEquals("cancelled", assertThrows<SnapTrakException.Refused> { call() }.code) }
            recording.destroy()
            snapTrak.destroy()
        }

    @Test
    fun `10,000 calls at once are all answered`() =
        testing {
            opened().useThenShutdown { snapTrak ->
                val noted = snapTrak.note("one of them all")
                val answers = (1..MANY_CALLS).map { async { snapTrak.list(limit = 1u) } }.awaitAll()
                assertTrue(answers.all { it.captures.single().id == noted.id })
            }
        }

    @Test
    fun `two instances on two stores know nothing of each other`() =
        testing {
            opened("one").useThenShutdown { one ->
                opened("two").useThenShutdown { two ->
                    val first = one.note("in the first")
                    val second = two.note("in the second")
                    assertEquals(listOf(first.id), one.captures().toList().map { it.id })
                    assertEquals(listOf(second.id), two.captures().toList().map { it.id })
                }
                assertEquals(1, one.captures().toList().size)
            }
        }

    @Test
    fun `a second instance on the same store is told so`() =
        testing {
            val keyStore = MemoryKeyStore()
            opened(keyStore = keyStore).useThenShutdown { snapTrak ->
                val refused = assertThrows<SnapTrakException.InUse> { opened(keyStore = keyStore) }
                assertEquals("in_use", refused.code)
                snapTrak.note("the first goes on")
            }
            opened(keyStore = keyStore).useThenShutdown { again -> assertEquals(1, again.captures().toList().size) }
        }

    @Test
    fun `calls after the shutdown are refused, and after the end too`() =
        testing {
            val keyStore = MemoryKeyStore()
            val snapTrak = opened(keyStore = keyStore)
            snapTrak.note("before")
            snapTrak.shutdown()
            val calls =
                listOf<suspend () -> Unit>(
                    { snapTrak.note("after") },
                    { snapTrak.list() },
                    { snapTrak.status() },
                    { snapTrak.recordFrom(flow { }, Kind.VIDEO) },
                    { snapTrak.captureBytes(byteArrayOf(1)) },
                    { snapTrak.analysing().collect() },
                    { snapTrak.verify() },
                    { snapTrak.purge() },
                    { snapTrak.forecast() },
                    { snapTrak.signUp(SignUp("http://127.0.0.1:9", "you@example.org"), "a long enough password") },
                    { snapTrak.enrol(Enrol("http://127.0.0.1:9")) },
                    { snapTrak.signOut() },
                    { snapTrak.sync() },
                    { snapTrak.syncing().collect() },
                )
            calls.forEachIndexed { place, call ->
                assertEquals("cancelled", assertThrows<SnapTrakException.Refused>("call $place") { call() }.code, "call $place")
            }
            snapTrak.shutdown()
            snapTrak.destroy()
            assertThrows<IllegalStateException> { snapTrak.list() }
            assertEquals(1, opened(keyStore = keyStore).useThenShutdown { it.captures().toList().size })
        }

    @Test
    fun `a shutdown amid calls answers each of them`() =
        testing {
            val keyStore = MemoryKeyStore()
            val snapTrak = opened(keyStore = keyStore)
            val noted =
                coroutineScope {
                    val calls =
                        (1..200).map { number ->
                            async(start = CoroutineStart.UNDISPATCHED) { runCatching { snapTrak.note("note $number") } }
                        }
                    calls.first().await()
                    snapTrak.shutdown()
                    calls.awaitAll()
                }
            snapTrak.destroy()
            val refused = noted.mapNotNull { it.exceptionOrNull() }
            assertTrue(refused.all { it is SnapTrakException.Refused && it.code == "cancelled" }, "$refused")
            // What was answered is there; what was refused is not.
            val kept = opened(keyStore = keyStore).useThenShutdown { again -> again.captures().toList().map { it.id } }
            assertEquals(noted.mapNotNull { it.getOrNull()?.id }.toSet(), kept.toSet())
        }

    @Test
    fun `an instance that is freed amid calls answers each of them`() =
        testing {
            val keyStore = MemoryKeyStore()
            val snapTrak = opened(keyStore = keyStore)
            val calls = (1..50).map { number -> async(start = CoroutineStart.UNDISPATCHED) { snapTrak.note("note $number") } }
            snapTrak.destroy()
            val noted = calls.awaitAll().map { it.id }
            // Nobody is told when the last call lets go of the store; the next owner is refused until then.
            lateinit var again: SnapTrak
            await("the store is free") {
                runCatching { again = opened(keyStore = keyStore) }.onFailure { check(it is SnapTrakException.InUse) }.isSuccess
            }
            again.useThenShutdown { assertEquals(noted.toSet(), it.captures().toList().map { capture -> capture.id }.toSet()) }
        }

    @Test
    fun `what a key store answers is what the app is told`() =
        testing {
            val keyStore = MemoryKeyStore()
            opened(keyStore = keyStore).useThenShutdown { it.note("kept") }
            val answers =
                listOf(
                    KeyStoreFailure.NotYet() to SnapTrakException.Unlock("not_yet", ""),
                    KeyStoreFailure.NeedsUser(wrongAnswer = false) to SnapTrakException.Unlock("needs_user", ""),
                    KeyStoreFailure.NeedsUser(wrongAnswer = true) to SnapTrakException.Unlock("wrong_key", ""),
                    KeyStoreFailure.Lost() to SnapTrakException.Report("keys_lost", ""),
                    KeyStoreFailure.Damaged() to SnapTrakException.Report("damaged", ""),
                    IllegalStateException("an exception of the app") to SnapTrakException.Unlock("not_yet", ""),
                    NotImplementedError("an error of the app") to SnapTrakException.Unlock("not_yet", ""),
                )
            for ((thrown, expected) in answers) {
                keyStore.instead = { throw thrown }
                val told = assertThrows<SnapTrakException> { opened(keyStore = keyStore) }
                assertEquals(expected.javaClass to expected.code, told.javaClass to told.code, "for $thrown: ${told.detail}")
            }
            keyStore.instead = {}
            assertEquals(1, opened(keyStore = keyStore).useThenShutdown { it.captures().toList().size })
        }

    @Test
    fun `a key store that fails while keys are made leaves no store behind`() =
        testing {
            val keyStore = MemoryKeyStore(instead = { error("an exception of the app") })
            assertEquals("not_yet", assertThrows<SnapTrakException.Unlock> { opened(keyStore = keyStore) }.code)
            keyStore.instead = {}
            opened(keyStore = keyStore).useThenShutdown { it.note("kept") }
        }

    @Test
    fun `old captures open only when the person is there, new ones are taken without`() =
        testing {
            val keyStore = MemoryKeyStore()
            val old = opened(keyStore = keyStore).useThenShutdown { it.captureBytes(byteArrayOf(1, 2, 3)) }
            keyStore.instead = { keyClass -> if (keyClass == KeyClass.VIEWING) throw KeyStoreFailure.NeedsUser(wrongAnswer = false) }
            opened(keyStore = keyStore).useThenShutdown { snapTrak ->
                snapTrak.captureBytes(byteArrayOf(4, 5, 6))
                val told = assertThrows<SnapTrakException.Unlock> { snapTrak.read(old.id, 0u, 3u) }
                assertEquals("needs_user", told.code)
                keyStore.instead = {}
                assertArrayEquals(byteArrayOf(1, 2, 3), snapTrak.read(old.id, 0u, 3u))
            }
        }

    @Test
    fun `a signer that throws holds up nothing, and its receipts are signed later`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                val signer = JavaSigner(instead = { error("an exception of the app") })
                opened(signer = signer).useThenShutdown { snapTrak ->
                    snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    snapTrak.note("taken all the same")
                    val without = snapTrak.sync()
                    assertEquals(1uL to 0uL, without.received to without.verified)
                    assertEquals("verification_pending" to 0uL, without.stoppedBecause to without.parked)
                    assertEquals(1uL to 0uL, snapTrak.verify().run { receipts to signed })

                    signer.instead = {}
                    snapTrak.note("and another one")
                    assertEquals(2uL to 2uL, snapTrak.verify().run { receipts to signed })
                    await("the server has signed for both") {
                        snapTrak.sync()
                        snapTrak.status().waiting == 0uL
                    }
                    assertEquals(2uL, snapTrak.verify().countersigned)
                }
            }
        }
    }

    @Test
    fun `what the app gives is called on threads of the library`() =
        testing {
            val threads: MutableSet<String> = ConcurrentHashMap.newKeySet()
            val called = { threads += File("/proc/thread-self/comm").readText().trim() }
            opened(keyStore = MemoryKeyStore(instead = { called() }), signer = JavaSigner(instead = called)).useThenShutdown { snapTrak ->
                assertEquals(setOf("snaptrak-call"), threads)
                snapTrak.note("who is calling?")
                threads.clear()
                assertEquals(1uL, snapTrak.verify().signed)
                assertEquals(setOf("snaptrak-call"), threads, "a signer may take its time: the store's writer never waits for it")
            }
        }

    @Test
    fun `a signer that cannot say its key is told to the app`() =
        testing {
            val signer =
                object : Signer {
                    override fun publicKey(): ByteArray = throw SignerFailure.NotNow()

                    override fun isHardware() = true

                    override fun sign(message: ByteArray) = ByteArray(64)
                }
            assertEquals("not_yet", assertThrows<SnapTrakException.Unlock> { opened(signer = signer) }.code)
            val short = object : Signer by signer {
                override fun publicKey() = ByteArray(64)
            }
            assertEquals("invalid_argument", assertThrows<SnapTrakException.Refused> { opened(signer = short) }.code)
        }

    @Test
    fun `a listener that throws is told nothing more, and the work goes on`() {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing {
                opened().useThenShutdown { snapTrak ->
                    repeat(3) { number -> snapTrak.captureBytes(ByteArray(100_000) { number.toByte() }) }
                    snapTrak.signUp(SignUp(api.origin, "you@example.org"), "a long enough password")
                    val told = AtomicInteger()
                    val report =
                        snapTrak.sync(
                            progress =
                                ProgressListener {
                                    told.incrementAndGet()
                                    error("an exception of the app")
                                },
                        )
                    assertEquals(3uL, report.verified)
                    assertEquals(1, told.get())
                }
            }
        }
    }

    @Test
    fun `a log that throws holds up nobody, and there is one a process`() =
        testing {
            val told = AtomicInteger()
            val sink =
                LogSink { _, _, _ ->
                    told.incrementAndGet()
                    error("an exception of the app")
                }
            setLogSink(sink, LogLevel.WARN)
            assertEquals("invalid_argument", assertThrows<SnapTrakException.Refused> { setLogSink(sink, LogLevel.WARN) }.code)
            // A key store that throws what it had not declared is worth a line.
            val keyStore = MemoryKeyStore(instead = { error("an exception of the app") })
            assertThrows<SnapTrakException.Unlock> { opened(keyStore = keyStore) }
            assertTrue(told.get() > 0)
        }
}
