package com.snaptrak

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

private const val NO_STORE = "no_store"

/**
 * Opens the store of the configuration. Behind the check of [requireMatchingLibrary], in everything else as the generated
 * `openUnchecked`.
 */
public suspend fun SnapTrak.Companion.open(
    config: Config,
    keyStore: KeyStore,
    signer: Signer? = null,
    tokenProvider: TokenProvider? = null,
): SnapTrak {
    requireMatchingLibrary()
    return openUnchecked(config, keyStore, signer, tokenProvider)
}

/**
 * Makes a store in an empty or absent folder and opens it. Behind the check of [requireMatchingLibrary], in everything else as the
 * generated `createUnchecked`.
 */
public suspend fun SnapTrak.Companion.create(
    config: Config,
    keyStore: KeyStore,
    signer: Signer? = null,
    tokenProvider: TokenProvider? = null,
): SnapTrak {
    requireMatchingLibrary()
    return createUnchecked(config, keyStore, signer, tokenProvider)
}

/**
 * Opens the store of the configuration, or makes one where there is none: an app's way in. Behind the check of
 * [requireMatchingLibrary].
 *
 * Without a [signer] a software key signs receipts, which say so. A [tokenProvider] gives access tokens to [SnapTrak.enrol] and all
 * that follows it, for an app that signs its people in itself. One process owns a store: a second gets
 * [SnapTrakException.InUse]. Close it with [SnapTrak.shutdown], or use it within [useThenShutdown].
 */
public suspend fun SnapTrak.Companion.openOrCreate(
    config: Config,
    keyStore: KeyStore,
    signer: Signer? = null,
    tokenProvider: TokenProvider? = null,
): SnapTrak =
    try {
        open(config, keyStore, signer, tokenProvider)
    } catch (refused: SnapTrakException.Refused) {
        // A making that was broken off is none yet. A store that cannot be opened, and anything else in the folder, is another answer,
        // and stays as it is.
        if (refused.code != NO_STORE) throw refused
        create(config, keyStore, signer, tokenProvider)
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
