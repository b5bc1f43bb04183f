package com.snaptrak

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.launch

/**
 * [SnapTrak.sync] as a flow: each collector brings what waits to the API, as far as [budget] goes. A collector that ends breaks
 * the work off, and nothing is lost by it.
 */
public fun SnapTrak.syncing(budget: Budget? = null): Flow<Event<SyncReport>> =
    watched { listener -> sync(budget, listener) }

/** [SnapTrak.fetch] as a flow. A collector that ends breaks the work off; the next one goes on where it ended. */
public fun SnapTrak.fetching(id: String): Flow<Event<FetchReport>> =
    watched { listener -> fetch(id, listener) }

/** [SnapTrak.updateModels] as a flow. A collector that ends breaks the work off; what has arrived waits for the next one. */
public fun SnapTrak.updatingModels(what: UpdateModels? = null): Flow<Event<ModelsUpdated>> =
    watched { listener -> updateModels(what, listener) }

/**
 * [SnapTrak.analyse] as a flow. A collector that ends breaks the work off after the picture that it is looking at; what was
 * understood is kept, and the next one goes on.
 */
public fun SnapTrak.analysing(options: AnalyseOptions? = null): Flow<Event<AnalyseReport>> =
    watched { listener -> analyse(options, listener) }

/**
 * [recover] as a flow, behind the check of [requireMatchingLibrary]. A collector that ends breaks the work off; the next one goes
 * on, and `from` is never changed.
 */
public fun SnapTrak.Companion.recovering(
    from: String,
    config: Config,
    keyStore: KeyStore,
    recoveryKey: String? = null,
): Flow<Event<RecoverReport>> =
    watched { listener ->
        requireMatchingLibrary()
        recover(from, config, keyStore, recoveryKey, listener)
    }

/** [quarantineAndRecover] as a flow, in everything else as [recovering]. */
public fun SnapTrak.Companion.recoveringInPlace(
    config: Config,
    keyStore: KeyStore,
    recoveryKey: String? = null,
): Flow<Event<RecoverReport>> =
    watched { listener ->
        requireMatchingLibrary()
        quarantineAndRecover(config, keyStore, recoveryKey, listener)
    }

/**
 * Two hand-overs, so that the core's thread never waits for a collector and nothing piles up: the listener leaves its newest
 * word where the next one replaces it, and a coroutine carries it to the collector when that is ready.
 */
internal fun <Report> watched(work: suspend (ProgressListener) -> Report): Flow<Event<Report>> =
    channelFlow {
        val newest = Channel<Progress>(Channel.CONFLATED)
        val telling = launch { for (progress in newest) send(Event.Advanced(progress)) }
        val report = work(ProgressListener { progress -> newest.trySend(progress) })
        newest.close()
        telling.join()
        send(Event.Finished(report))
    }.buffer(Channel.RENDEZVOUS)
