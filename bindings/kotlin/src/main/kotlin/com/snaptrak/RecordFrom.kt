package com.snaptrak

import java.nio.Buffer
import java.nio.ByteBuffer
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull

/**
 * Records [chunks] until they end, a limit of [recordOptions] is reached or the coroutine is cancelled, and does what falls due
 * while none come: the file is synced and pieces are finished on time. A chunk is the recording's until the flow's `emit`
 * returns; after that its buffer may be filled again. Direct buffers are borrowed, others are copied.
 *
 * Evidence that was taken stays: when the flow fails or the coroutine is cancelled, the recording ends with what it has, and
 * the failure is thrown. A recording without a byte is refused and leaves nothing.
 */
public suspend fun SnapTrak.recordFrom(
    chunks: Flow<ByteBuffer>,
    kind: Kind,
    options: CaptureOptions? = null,
    recordOptions: RecordOptions? = null,
): Recorded {
    val recording = record(kind, options, recordOptions)
    try {
        recording.take(chunks)
    } catch (failure: Throwable) {
        try {
            recording.end()
        } catch (another: SnapTrakException) {
            failure.addSuppressed(another)
        }
        throw failure
    }
    return recording.end()
}

/**
 * Adds what remains in [bytes] and moves its position to the limit; answers the pieces that became durable by it. A direct
 * buffer is borrowed, another one is copied first. Runs on [Dispatchers.IO], since a disk may take its time.
 *
 * The generated `writeFromStart` takes a direct buffer from its very beginning, whatever its position says.
 */
public suspend fun Recording.append(bytes: ByteBuffer): List<PieceDone> =
    withContext(Dispatchers.IO) {
        val done = writeFromStart(if (bytes.isDirect) bytes.slice() else copied(bytes))
        val read: Buffer = bytes
        read.position(read.limit())
        done
    }

private fun copied(bytes: ByteBuffer): ByteBuffer {
    val copy = ByteBuffer.allocateDirect(bytes.remaining()).put(bytes.duplicate())
    // As a Buffer: before Java 9 a ByteBuffer has no `rewind` of its own, and this byte code runs there too.
    val written: Buffer = copy
    written.rewind()
    return copy
}

private suspend fun Recording.take(chunks: Flow<ByteBuffer>) =
    coroutineScope {
        val written = Channel<Unit>(Channel.CONFLATED)
        val taking =
            launch {
                chunks
                    .takeWhile { chunk ->
                        append(chunk)
                        written.trySend(Unit)
                        endedBecause() == null
                    }.collect()
            }
        val ticking = launch(Dispatchers.IO) { tickUntilEnded(written, taking) }
        taking.join()
        ticking.cancel()
    }

/** Sleeps until something falls due or bytes come, and not at all while nothing can fall due. */
private suspend fun Recording.tickUntilEnded(
    written: ReceiveChannel<Unit>,
    taking: Job,
) {
    while (endedBecause() == null) {
        val due = nextTickMs()
        if (due == null) {
            written.receive()
        } else if (withTimeoutOrNull(due.toLong()) { written.receive() } == null) {
            tick()
        }
    }
    taking.cancel()
}

private suspend fun Recording.end(): Recorded =
    withContext(NonCancellable + Dispatchers.IO) {
        try {
            finish()
        } finally {
            destroy()
        }
    }
