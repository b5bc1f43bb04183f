package com.snaptrak

import com.sun.jna.Memory
import com.sun.jna.NativeLibrary
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import java.nio.file.Path
import java.security.MessageDigest
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val SQLITE_OK = 0
private const val SQLITE_ROW = 100
private const val SHA256_BYTES = 32L
private const val ROUNDS = 20

/**
 * The library as it is shipped, in one process with the system's SQLite and the system's OpenSSL, as in an app that brings its own:
 * each does its work, and none takes another's.
 */
@Tag("shipped")
internal class NeighboursTest {
    @TempDir
    lateinit var folder: Path

    /** Before anything of the SDK, and with symbols that everyone may bind to: the worst order for a library that takes them. */
    private val sqlite = NativeLibrary.getInstance("libsqlite3.so.0")
    private val crypto = NativeLibrary.getInstance("libcrypto.so.3")

    @Test
    fun `the system's SQLite and OpenSSL work beside the SDK's own`() =
        testing {
            val plain = folder.resolve("plain.sqlite").toString()
            SnapTrak.openOrCreate(Config(folder.resolve("store").toString(), ballastBytes = 0u), MemoryKeyStore()).useThenShutdown { snapTrak ->
                repeat(ROUNDS) { round ->
                    snapTrak.note("sealed $round")
                    assertEquals("$round", rowFromSqlite(plain, round))
                    val bytes = "hashed $round".toByteArray()
                    assertArrayEquals(MessageDigest.getInstance("SHA-256").digest(bytes), hashFromOpenSsl(bytes))
                    assertEquals(round + 1, snapTrak.list().captures.size)
                }
                assertEquals(ROUNDS.toULong(), snapTrak.verify().receipts)
            }
            val header = { file: Path -> file.toFile().inputStream().use { it.readNBytes(15).decodeToString() } }
            assertEquals("SQLite format 3", header(folder.resolve("plain.sqlite")), "the system's SQLite writes plain files")
            val databases = folder.resolve("store").toFile().walk().filter { it.extension == "sqlite3" }.toList()
            assertTrue(databases.isNotEmpty())
            databases.forEach { assertNotEquals("SQLite format 3", header(it.toPath()), "the SDK's are encrypted") }
        }

    private fun rowFromSqlite(
        file: String,
        number: Int,
    ): String {
        val opened = PointerByReference()
        assertEquals(SQLITE_OK, sqlite.getFunction("sqlite3_open").invokeInt(arrayOf(file, opened)))
        val database = opened.value
        val statement = PointerByReference()
        val prepare = arrayOf(database, "select $number, sqlite_version()", -1, statement, Pointer.NULL)
        run(database, "create table if not exists numbers (number); insert into numbers values ($number)")
        assertEquals(SQLITE_OK, sqlite.getFunction("sqlite3_prepare_v2").invokeInt(prepare))
        assertEquals(SQLITE_ROW, sqlite.getFunction("sqlite3_step").invokeInt(arrayOf(statement.value)))
        val text = sqlite.getFunction("sqlite3_column_text").invokePointer(arrayOf(statement.value, 0)).getString(0)
        sqlite.getFunction("sqlite3_finalize").invokeInt(arrayOf(statement.value))
        assertEquals(SQLITE_OK, sqlite.getFunction("sqlite3_close").invokeInt(arrayOf(database)))
        return text
    }

    private fun run(
        database: Pointer,
        sql: String,
    ) = assertEquals(
        SQLITE_OK,
        sqlite.getFunction("sqlite3_exec").invokeInt(arrayOf(database, sql, Pointer.NULL, Pointer.NULL, Pointer.NULL)),
    )

    private fun hashFromOpenSsl(bytes: ByteArray): ByteArray {
        val digest = Memory(SHA256_BYTES)
        crypto.getFunction("SHA256").invokePointer(arrayOf(bytes, bytes.size.toLong(), digest))
        return digest.getByteArray(0, SHA256_BYTES.toInt())
    }
}
