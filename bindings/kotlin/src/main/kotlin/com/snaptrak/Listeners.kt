package com.snaptrak

import kotlinx.coroutines.runBlocking

/**
 * A listener from a lambda: `snapTrak.sync(progress = ProgressListener { println(it.bytesDone) })`.
 *
 * [onProgress] is called on a thread of the instance and must not block. One that throws is told nothing more, and the work
 * goes on.
 */
public fun ProgressListener(onProgress: (Progress) -> Unit): ProgressListener =
    object : ProgressListener {
        override fun onProgress(progress: Progress) = onProgress(progress)
    }

/**
 * A log sink from a lambda: `setLogSink(LogSink { level, target, message -> ... }, LogLevel.INFO)`.
 *
 * [onLog] is called on any thread; what it throws is dropped.
 */
public fun LogSink(onLog: (level: LogLevel, target: String, message: String) -> Unit): LogSink =
    object : LogSink {
        override fun onLog(level: LogLevel, target: String, message: String) = onLog(level, target, message)
    }

/**
 * A token provider from a suspending lambda: `TokenProvider { refused -> session.accessToken(instead = refused) }`. What it throws
 * is told apart as [TokenFailure] says; any other exception is "not now".
 *
 * [token] runs on a thread of the library that does nothing else. Nothing cancels it: what waits for it goes on without it when
 * its own time is over.
 */
public fun TokenProvider(token: suspend (refused: String?) -> String): TokenProvider =
    object : TokenProvider {
        override fun token(refused: String?): String = runBlocking { token(refused) }
    }
