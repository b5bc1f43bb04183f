package com.snaptrak

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

private val NO_STORE_YET = setOf("no_store", "not_a_store")

/**
 * Opens the store of the configuration, or makes one where there is none: an app's way in. Behind the check of
 * [requireMatchingLibrary].
 *
 * Without a [signer] a software key signs receipts, which say so. One process owns a store: a second gets
 * [SnapTrakException.InUse]. Close it with [SnapTrak.shutdown], or use it within [useThenShutdown].
 */
public suspend fun SnapTrak.Companion.openOrCreate(
    config: Config,
    keyStore: KeyStore,
    signer: Signer? = null,
): SnapTrak {
    requireMatchingLibrary()
    return try {
        open(config, keyStore, signer)
    } catch (refused: SnapTrakException.Refused) {
        // A store that cannot be opened is another answer, and stays as it is. Of what is no store, a making that was broken off
        // is begun again; any other content is the core's to refuse.
        if (refused.code !in NO_STORE_YET) throw refused
        create(config, keyStore, signer)
    }
}

/**
 * Runs [block], then ends the work in progress, writes down what is only in memory and frees the store, whatever became of the
 * block: also when its coroutine was cancelled. What goes wrong at the end is thrown, unless the block failed before.
 *
 * `AutoCloseable.use` would free the store too, but on the calling thread and without an answer.
 */
public suspend fun <Result> SnapTrak.useThenShutdown(block: suspend (SnapTrak) -> Result): Result {
    val result =
        try {
            block(this)
        } catch (failure: Throwable) {
            try {
                shutdownAndDestroy()
            } catch (another: SnapTrakException) {
                failure.addSuppressed(another)
            }
            throw failure
        }
    shutdownAndDestroy()
    return result
}

private suspend fun SnapTrak.shutdownAndDestroy() =
    withContext(NonCancellable) {
        try {
            shutdown()
        } finally {
            destroy()
        }
    }
