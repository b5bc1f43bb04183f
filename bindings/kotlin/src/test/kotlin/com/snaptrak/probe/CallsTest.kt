package com.snaptrak.probe

import com.snaptrak.Cancellation
import com.snaptrak.Config
import com.snaptrak.FfiConverterTypeKeyStore
import com.snaptrak.FfiConverterTypeProgressListener
import com.snaptrak.Kind
import com.snaptrak.MemoryKeyStore
import com.snaptrak.Progress
import com.snaptrak.ProgressListener
import com.snaptrak.SnapTrak
import com.snaptrak.SnapTrakException
import com.snaptrak.await
import com.snaptrak.openOrCreate
import com.snaptrak.testing
import com.snaptrak.uniffiContinuationHandleMap
import com.snaptrak.useThenShutdown
import com.sun.jna.Native
import com.sun.jna.Pointer
import java.nio.ByteBuffer
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val ROUNDS = 7
private const val RUNS_MAX = 4
private const val CHUNK_BYTES = 1 shl 20
private const val SMALL_CHUNK_BYTES = 64
private const val SEALED_BYTES = 200

/** Calls of each kind: few in the gate, 100,000 in `cargo xtask bench ffi`. */
private val CALLS = Integer.getInteger("snaptrak.calls", 700)

/** What calls cost beside calls that cross in the same way and do nothing, and that they leave nothing in the library. */
@Tag("probe")
internal class CallsTest {
    @TempDir
    lateinit var folder: Path

    private object Echo : BareCallback {
        override fun answer(bytes: ByteArray) = bytes
    }

    private object Listener : ProgressListener {
        override fun onProgress(progress: Progress) = Unit
    }

    private suspend fun opened() =
        SnapTrak.openOrCreate(Config(store = folder.resolve("store").toString(), ballastBytes = 0u), MemoryKeyStore())

    /** The first run may make what stays: caches, connections, what a note left to be done. A leak grows with every run. */
    @Test
    fun `calls of each kind leave in the library what it held before`() =
        testing {
            opened().useThenShutdown { snapTrak ->
                val note = snapTrak.note("looked at often")
                callEach(snapTrak, note.id, maxOf(CALLS / 10, ROUNDS))
                val held = mutableListOf(settled())
                repeat(RUNS_MAX) {
                    callEach(snapTrak, note.id, CALLS)
                    held += settled()
                    val (before, after) = held.takeLast(2)
                    if (after.zip(before).all { (now, then) -> now <= then }) return@useThenShutdown
                }
                fail<Unit>("the library held, run after run, bytes, blocks, the database's bytes and handles: $held")
            }
        }

    private suspend fun callEach(
        snapTrak: SnapTrak,
        note: String,
        calls: Int,
    ) {
        val cancellation = Cancellation()
        val bare = Bare()
        val handle = BareHandle()
        val sealed = ByteArray(SEALED_BYTES)
        val hop = suspend { bareHop(bare, 1u).let {} }
        timed("call", calls, { cancellation.isCancelled() }, { handle.number(1u) })
        timed("handle made and freed", calls, { Cancellation().destroy() }, { BareHandle().destroy() })
        timed("suspend call", calls, { idle(snapTrak) }, hop)
        timed("suspend call that looks for what waits", calls, { snapTrak.unlock() }, hop)
        timed("suspend call that reads a capture", calls, { snapTrak.show(note) }, hop)
        timed("suspend call that reads a page", calls, { snapTrak.list(limit = 1u) }, hop)
        timed("suspend call that is refused", calls, { refused { snapTrak.show("no id") } }, hop)
        timed("suspend call with a listener", calls, { snapTrak.sync(progress = Listener) }, hop)
        val relock = suspend { snapTrak.lock().also { snapTrak.unlock() } }
        timed("unlock by the app's key store", calls, relock, { bareCallback(bare, Echo, sealed) })
        // Small chunks, so that many calls fit on a disk; a large one, for its time.
        timedRecording(snapTrak, "chunk of 64 bytes, recorded", SMALL_CHUNK_BYTES, calls)
        timedRecording(snapTrak, "chunk of 1 MiB, recorded", CHUNK_BYTES, minOf(calls, ROUNDS * ROUNDS))
        cancellation.destroy()
        handle.destroy()
        bare.destroy()
    }

    private suspend fun timedRecording(
        snapTrak: SnapTrak,
        name: String,
        bytes: Int,
        calls: Int,
    ) {
        val chunk = ByteBuffer.allocateDirect(bytes)
        snapTrak.record(Kind.VIDEO).use { recording ->
            timed(name, calls, { recording.writeFromStart(chunk) }, { bareBorrow(chunk) })
            recording.discard()
        }
    }

    @Test
    fun `a chunk of a recording is lent, not copied`() =
        testing {
            val chunk = ByteBuffer.allocateDirect(CHUNK_BYTES)
            val address = Pointer.nativeValue(Native.getDirectBufferPointer(chunk))
            assertEquals(address.toULong(), bareBorrow(chunk))
            opened().useThenShutdown { snapTrak ->
                snapTrak.record(Kind.VIDEO).use { recording ->
                    recording.writeFromStart(chunk)
                    val before = held().everBytes
                    recording.writeFromStart(chunk)
                    val asked = held().everBytes - before
                    assertTrue(asked < CHUNK_BYTES.toULong() / 2u, "the library asked for $asked bytes")
                    recording.discard()
                }
            }
        }

    /**
     * Everything that a call could leave: blocks and bytes in the library, handles of what the app implements, waiting calls. Threads
     * that wait a little for the next call hold memory of their own; what they leave is what counts.
     */
    private suspend fun settled(): List<Long> {
        await("no thread of the library waits for a call") { callThreads() == 0uL }
        val held = held()
        val handles =
            FfiConverterTypeKeyStore.handleMap.size + FfiConverterTypeProgressListener.handleMap.size + uniffiContinuationHandleMap.size
        return listOf(held.liveBytes, held.liveBlocks, held.databaseBytes, handles.toLong())
    }

    private suspend fun timed(
        name: String,
        calls: Int,
        ours: suspend () -> Unit,
        bare: suspend () -> Unit,
    ) {
        val rounds =
            (1..ROUNDS).map { nanoseconds(calls / ROUNDS, ours) to nanoseconds(calls / ROUNDS, bare) }
        val ratios = rounds.map { (ours, bare) -> ours / bare }.sorted()
        val median = { figures: List<Double> -> figures.sorted()[ROUNDS / 2] }
        println(
            listOf("bench-ffi", "Kotlin", name, median(rounds.map { it.first }), median(rounds.map { it.second }))
                .plus(listOf(median(ratios), ratios.first(), ratios.last()))
                .joinToString("\t"),
        )
    }

    private suspend fun nanoseconds(
        calls: Int,
        call: suspend () -> Unit,
    ): Double {
        val started = System.nanoTime()
        repeat(calls) { call() }
        return (System.nanoTime() - started).toDouble() / calls
    }

    private suspend fun refused(call: suspend () -> Unit) {
        try {
            call()
        } catch (_: SnapTrakException) {
            return
        }
        error("it was not refused")
    }
}
