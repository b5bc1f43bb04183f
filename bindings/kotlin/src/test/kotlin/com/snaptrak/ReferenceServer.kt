package com.snaptrak

import java.io.File
import java.net.URI
import java.util.concurrent.TimeUnit

/** The reference API as a process of its own, on a loopback port that the system picks. */
internal class ReferenceServer private constructor(
    private val process: Process,
    /** Where it listens, for example `http://127.0.0.1:40123`. */
    val origin: String,
) : AutoCloseable {
    /** Stops answering, while connections are still taken: a network that lets nothing through. */
    fun freeze() = signal("STOP")

    /** Whether a request lies in a connection of its that it has not read: only a frozen one leaves it there. */
    fun hasUnreadRequest(): Boolean {
        val port = ":%04X".format(URI(origin).port)
        return File("/proc/net/tcp").readLines().drop(1).map { it.trim().split(WHITESPACE) }.any { columns ->
            columns[LOCAL_ADDRESS].endsWith(port) && columns[STATE] == ESTABLISHED && !columns[QUEUES].endsWith(NOTHING_UNREAD)
        }
    }

    override fun close() {
        // SIGKILL, since a frozen process hears no other signal.
        process.destroyForcibly()
        check(process.waitFor(1, TimeUnit.MINUTES)) { "the server does not end" }
    }

    private fun signal(name: String) {
        val kill = ProcessBuilder("kill", "-$name", process.pid().toString()).inheritIO().start()
        check(kill.waitFor() == 0) { "the server could not be sent SIG$name" }
    }

    companion object {
        /** Columns and words of `/proc/net/tcp`. */
        private const val LOCAL_ADDRESS = 1
        private const val STATE = 3
        private const val QUEUES = 4
        private const val ESTABLISHED = "01"
        private const val NOTHING_UNREAD = ":00000000"
        private val WHITESPACE = Regex("\\s+")

        private val LISTENING = Regex("\"listening\":\\s*\"([^\"]+)\"")

        /** Starts one on the data in [folder]; returns when it listens. */
        fun start(folder: File): ReferenceServer {
            val command = listOf(Surroundings.server.path, "--log", "error", "serve", "--data", folder.path, "--listen", "127.0.0.1:0")
            val process = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
            val line = process.inputStream.bufferedReader().readLine()
            val listening = checkNotNull(line?.let(LISTENING::find)) { "the server said $line" }
            return ReferenceServer(process, listening.groupValues[1])
        }
    }
}
