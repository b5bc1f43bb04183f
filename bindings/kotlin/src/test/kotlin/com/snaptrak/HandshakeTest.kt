package com.snaptrak

import java.io.File
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

@Timeout(10, unit = TimeUnit.MINUTES)
internal class HandshakeTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `package, pom, library and workspace have one version`() {
        val workspace = File(Surroundings.repository, "Cargo.toml").readText().substringAfter("[workspace.package]")
        val pom = File(Surroundings.repository, "bindings/kotlin/pom.xml").readText()
        assertEquals(PACKAGE_VERSION, libraryVersion())
        assertEquals(PACKAGE_VERSION, workspace.substringAfter("version = \"").substringBefore('"'))
        assertEquals(PACKAGE_VERSION, pom.substringAfter("<version>").substringBefore('<'))
        SnapTrak.requireMatchingLibrary()
    }

    @Test
    fun `the library itself refuses a package of another version and names both`() {
        val refused = assertThrows<SnapTrakException> { requireVersion("9.9.9") }
        assertTrue("9.9.9" in refused.detail && PACKAGE_VERSION in refused.detail, refused.detail)
    }

    @Test
    fun `a library of another version is refused before anything is asked of it`() {
        val answer = answerWith(library("9.9.9"))
        assertEquals("library_mismatch", answer.lines().first())
        assertTrue("9.9.9" in answer && PACKAGE_VERSION in answer, answer)
    }

    @Test
    fun `a library that tells no version is refused`() {
        assertEquals("library_mismatch", answerWith(library(version = null)).lines().first())
    }

    @Test
    fun `a library of the same version and other functions is refused`() {
        val answer = answerWith(library(PACKAGE_VERSION))
        assertEquals("library_mismatch", answer.lines().first())
        assertTrue(PACKAGE_VERSION in answer, answer)
    }

    /** A native library that has of ours the version alone. */
    private fun library(version: String?): File {
        val source = folder.resolve("other.c").toFile()
        val tells =
            """
            #include <stdint.h>
            #include <string.h>
            typedef struct { uint64_t capacity; uint64_t len; uint8_t *data; } Buffer;
            typedef struct { int8_t code; Buffer error; } Status;
            static char version[] = "$version";
            Buffer uniffi_snaptrak_ffi_fn_func_library_version(Status *status) {
                Buffer buffer = { sizeof version - 1, sizeof version - 1, (uint8_t *) version };
                return buffer;
            }
            void ffi_snaptrak_ffi_rustbuffer_free(Buffer buffer, Status *status) {}
            """.trimIndent()
        source.writeText(if (version == null) "int nothing;" else tells)
        val library = folder.resolve("libother.so").toFile()
        run(listOf("cc", "-shared", "-fPIC", "-o", library.path, source.path))
        return library
    }

    /** What the package says in a process of its own, since a library stays as it was loaded. */
    private fun answerWith(library: File): String {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val override = "-Duniffi.component.snaptrak_ffi.libraryOverride=${library.path}"
        return run(listOf(java, override, "-cp", System.getProperty("java.class.path"), AskOnce::class.java.name))
    }

    private fun run(command: List<String>): String {
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        val said = process.inputStream.bufferedReader().readText()
        assertEquals(0, process.waitFor(), said)
        return said
    }
}

/** A program that asks whether the library matches, and prints the code and the sentence of a refusal. */
internal object AskOnce {
    @JvmStatic
    fun main(arguments: Array<String>) {
        try {
            SnapTrak.requireMatchingLibrary()
            println("matches")
        } catch (refused: SnapTrakException.UpdateApp) {
            println(refused.code)
            println(refused.detail)
        }
    }
}
