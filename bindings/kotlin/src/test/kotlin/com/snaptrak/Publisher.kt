package com.snaptrak

import java.io.File
import java.util.concurrent.TimeUnit

/** An organisation that publishes models at a server's folder, with the commands that people use. */
internal class Publisher(
    private val data: File,
    private val folder: File,
) {
    private val xtask = File(Surroundings.server.parentFile, "xtask")
    private val key = File(folder, "models-key.json")

    /** Makes a key and has the server's organisation vouch for it; the server must not have begun to serve yet. */
    fun vouch() {
        ReferenceServer.start(data).close()
        run(xtask, "models", "key", "-o", key.path)
        val public = checkNotNull(PUBLIC.find(key.readText())) { "no public key" }.groupValues[1]
        run(Surroundings.server, "add-models-key", "--data", data.path, "--public", public)
    }

    /** Publishes the shipped models under another number. */
    fun publish(
        organisation: String,
        version: Int,
    ) {
        val models = File(Surroundings.cache, "models").path
        val signed = File(folder, "signed-$version.json").path
        run(
            xtask,
            *arrayOf("models", "sign", "--manifest", "$models/manifest.json", "--key", key.path, "--organisation", organisation),
            *arrayOf("--version", "$version", "--expires", "2999-12-31", "-o", signed),
        )
        run(Surroundings.server, "publish-models", "--data", data.path, "--signed", signed, "--from", models)
    }

    private fun run(
        program: File,
        vararg arguments: String,
    ) {
        val process = ProcessBuilder(program.path, *arguments).redirectErrorStream(true).start()
        val said = process.inputStream.bufferedReader().readText()
        check(process.waitFor(1, TimeUnit.MINUTES) && process.exitValue() == 0) { "${program.name} ${arguments.first()}: $said" }
    }

    private companion object {
        private val PUBLIC = Regex("\"public\":\"([^\"]+)\"")
    }
}
