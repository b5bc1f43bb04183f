package com.snaptrak

import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking

private const val LOOK_AGAIN_MS = 5L

/** Generous, since a machine under load is no defect; a condition that holds is seen at once. */
private const val PATIENCE_NS = 300_000_000_000L

/** Runs a test's coroutines on several threads. JUnit passes over a test that answers something, and this answers nothing. */
internal fun testing(test: suspend CoroutineScope.() -> Unit): Unit = runBlocking(Dispatchers.Default, test)

/** Waits until [condition] holds, for what nobody announces: the end of a thread, a row of another process. */
internal suspend fun await(
    what: String,
    condition: suspend () -> Boolean,
) {
    val start = System.nanoTime()
    while (!condition()) {
        check(System.nanoTime() - start < PATIENCE_NS) { "never: $what" }
        delay(LOOK_AGAIN_MS)
    }
}

/** Names of this process's threads as the kernel knows them, Rust's among them. */
internal fun threadNames(): List<String> =
    File("/proc/self/task").listFiles().orEmpty().mapNotNull { task ->
        // A thread may end between the listing and the look.
        runCatching { File(task, "comm").readText().trim() }.getOrNull()
    }

/** Threads of instances that still run a call, or wait a little for the next one. */
internal fun callThreads(): Int = threadNames().count { it.startsWith("snaptrak-call") }
