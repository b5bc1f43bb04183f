package com.snaptrak

import java.io.File
import java.nio.file.Path
import kotlinx.coroutines.CoroutineScope
import org.junit.jupiter.api.TestReporter

/** Where the build put what the tests run against; the pom says so. */
internal object Surroundings {
    /** The repository. */
    val repository: File = file("snaptrak.repository")

    /** The folder of the native library. */
    val native: File = file("snaptrak.native")

    /** The reference API's program. */
    val server: File = file("snaptrak.server")

    /** Models and inference library; nothing where nobody fetched them. A cache that was named must be there. */
    val cache: File? =
        System.getProperty("snaptrak.cache").orEmpty().ifEmpty { System.getenv("SNAPTRAK_CACHE").orEmpty() }.let { named ->
            if (named.isEmpty()) nearest() else File(named).also { check(hasModels(it)) { "no models in $it" } }
        }

    /** The inference library of the cache; of several the last by name. */
    fun runtimeLibrary(cache: File): File =
        File(cache, "runtime").listFiles().orEmpty().filter { "libonnxruntime." in it.name }.maxBy { it.name }

    /** A store with the models and the inference library of the cache. */
    fun config(
        store: Path,
        cache: File,
    ) = Config(
        store = store.toString(),
        models = File(cache, "models").path,
        runtimeLibrary = runtimeLibrary(cache).path,
        ballastBytes = 0u,
    )

    private fun file(property: String): File {
        val path = checkNotNull(System.getProperty(property)) { "$property is not set: run the tests by Maven" }
        return File(path).canonicalFile
    }

    /** As the command line looks for it: the folders above the program, the nearest first. */
    private fun nearest(): File? = generateSequence(native) { it.parentFile }.map { File(it, ".cache") }.firstOrNull(::hasModels)

    private fun hasModels(cache: File) = File(cache, "models/manifest.json").isFile && File(cache, "runtime").isDirectory
}

/** Runs a test's coroutines with the cache of models, or says that there is none. */
internal fun withModels(
    reporter: TestReporter,
    test: suspend CoroutineScope.(File) -> Unit,
): Unit =
    testing {
        val cache = Surroundings.cache
        if (cache == null) reporter.publishEntry("skipped", "no models were fetched (cargo xtask models)") else test(cache)
    }
