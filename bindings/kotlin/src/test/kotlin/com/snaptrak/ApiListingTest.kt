package com.snaptrak

import java.io.File
import java.util.ServiceLoader
import org.jetbrains.kotlin.abi.tools.AbiFilters
import org.jetbrains.kotlin.abi.tools.AbiToolsFactory
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What the generator makes public for its own code, and no app calls. */
private val GENERATORS_OWN = listOf("FfiConverter", "Uniffi", "RustBuffer", "ForeignBytes").map { "com/snaptrak/$it" }

/** Writes down everything that an app can call. The gate compares it with what was accepted: `cargo xtask api`. */
internal class ApiListingTest {
    @Test
    fun `everything public is listed, and nothing internal`() {
        val listing = StringBuilder()
        val folder = File(checkNotNull(System.getProperty("snaptrak.classes")))
        val classes = folder.walk().filter { it.extension == "class" }.sorted().toList()
        ServiceLoader.load(AbiToolsFactory::class.java).first().get().printJvmDump(listing, classes, AbiFilters.EMPTY)
        val ours = listing.split("\n\n").filterNot { declaration -> GENERATORS_OWN.any { "class $it" in declaration.lines().first() } }
        File(checkNotNull(System.getProperty("snaptrak.listing"))).writeText(ours.joinToString("\n\n"))
        assertTrue(ours.any { "public abstract interface class com/snaptrak/KeyStore " in it })
    }
}
