package com.snaptrak

import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpRequest.BodyPublishers
import java.net.http.HttpResponse
import java.nio.file.Path
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.future.await
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

/** An app that signs its people in itself: the SDK gets its tokens one by one, and never a password. */
@Timeout(10, unit = TimeUnit.MINUTES)
internal class TokensTest {
    @TempDir
    lateinit var folder: Path

    private val config by lazy { Config(store = folder.resolve("store").toString(), ballastBytes = 0u) }
    private val keyStore = MemoryKeyStore()

    private suspend fun opened(tokens: TokenProvider?) = SnapTrak.openOrCreate(config, keyStore, tokenProvider = tokens)

    private fun served(test: suspend CoroutineScope.(ReferenceServer, App) -> Unit) {
        ReferenceServer.start(folder.resolve("server").toFile()).use { api ->
            testing { test(api, App(api.origin).also { it.signUp() }) }
        }
    }

    @Test
    fun `an app enrols with its own token and gives another when one is refused`() =
        served { api, app ->
            val tokens = TokenProvider { refused -> app.accessToken(instead = refused) }
            opened(tokens).useThenShutdown { snapTrak ->
                snapTrak.note("third window")
                val enrolled = snapTrak.enrol(Enrol(api.origin))
                assertTrue(enrolled.account.isNotEmpty() && !enrolled.trustRootGiven)
                assertEquals("done" to 1uL, snapTrak.sync().run { stoppedBecause to verified })
                assertTrue(app.refused.all { it == null }, "nothing was refused")

                val ended = checkNotNull(app.token)
                app.endSession()
                snapTrak.note("the server knows this token no more")
                assertEquals("done" to 1uL, snapTrak.sync().run { stoppedBecause to verified })
                assertEquals(ended, app.refused.last())
                assertNotEquals(ended, app.token)
            }
            // The device stays enrolled, and the app is asked after a restart too.
            opened(tokens).useThenShutdown { snapTrak ->
                snapTrak.note("another day")
                assertEquals(1uL, snapTrak.sync().verified)
            }
            assertEquals(setOf("snaptrak-token"), app.threads, "it is asked on a thread that does nothing else")
        }

    @Test
    fun `what a token provider throws is what the app is told, and captures wait for it`() =
        served { api, app ->
            var instead: (() -> String)? = null
            opened(TokenProvider { refused -> instead?.invoke() ?: app.accessToken(instead = refused) }).useThenShutdown { snapTrak ->
                val answers =
                    listOf<Pair<String, () -> String>>(
                        "no_token" to { throw TokenFailure.NotNow() },
                        "no_token" to { throw TokenFailure.Unexpected("the daemon is gone") },
                        "no_token" to { error("an exception of the app") },
                        "no_token" to { "no token: it has spaces" },
                        "signed_out" to { throw TokenFailure.SignedOut() },
                        "signed_out" to { "a-token-that-nobody-gave" },
                    )
                for ((code, answer) in answers) {
                    instead = answer
                    val told = assertThrows<SnapTrakException> { snapTrak.enrol(Enrol(api.origin)) }
                    assertEquals(code, told.code)
                    assertEquals(code == "signed_out", told is SnapTrakException.SignIn)
                    assertEquals(code == "no_token", told is SnapTrakException.Network)
                }
                instead = null
                snapTrak.enrol(Enrol(api.origin))
                val noted = snapTrak.note("taken all the same")
                for ((code, answer) in answers) {
                    instead = answer
                    assertEquals(code, snapTrak.sync().stoppedBecause)
                    val standing = snapTrak.whyNotUploaded(noted.id).standing
                    assertTrue(standing is Standing.OnItsWay && standing.code == code, "$standing")
                }
                instead = null
                assertEquals(1uL, snapTrak.sync().verified)
            }
        }

    @Test
    fun `who signs out is asked for no token until the app enrols again`() =
        served { api, app ->
            val tokens = TokenProvider { refused -> app.accessToken(instead = refused) }
            opened(tokens).useThenShutdown { snapTrak ->
                snapTrak.enrol(Enrol(api.origin))
                snapTrak.signOut()
                val asked = app.refused.size
                val noted = snapTrak.note("it waits")
                assertEquals("signed_out", snapTrak.sync().stoppedBecause)
                assertEquals("signed_out", snapTrak.whyNotUploaded(noted.id).code)
                assertEquals(asked, app.refused.size)
                snapTrak.enrol(Enrol(api.origin))
                assertEquals(1uL, snapTrak.sync().verified)
            }
            opened(null).useThenShutdown { snapTrak ->
                assertEquals("invalid_argument", assertThrows<SnapTrakException.Refused> { snapTrak.enrol(Enrol(api.origin)) }.code)
            }
        }

    @Test
    fun `a token provider that never answers stops neither a window nor its caller nor the shutdown`() =
        served { api, app ->
            val (asked, never) = CountDownLatch(1) to CountDownLatch(1)
            var hangs = false
            val tokens =
                TokenProvider { refused ->
                    if (hangs) {
                        asked.countDown()
                        never.await()
                    }
                    app.accessToken(instead = refused)
                }
            val snapTrak = opened(tokens)
            snapTrak.enrol(Enrol(api.origin))
            hangs = true
            snapTrak.note("before")
            assertEquals("budget_time", snapTrak.sync(Budget(timeMs = 50u)).stoppedBecause)
            asked.await()
            val broken = async(start = CoroutineStart.UNDISPATCHED) { runCatching { snapTrak.sync() } }
            snapTrak.note("captures go on")
            // Joined, so that the library has heard of it: what comes before that is told that a sync is under way.
            broken.cancelAndJoin()
            val waiting = async(start = CoroutineStart.UNDISPATCHED) { runCatching { snapTrak.sync() } }
            snapTrak.shutdown()
            val told = waiting.await().fold({ it.stoppedBecause }, { (it as SnapTrakException.Refused).code })
            assertEquals("cancelled", told)
            assertEquals(1, threadNames().count { it == "snaptrak-token" }, "one question at a time")
            never.countDown()
            snapTrak.destroy()
            opened(null).useThenShutdown { assertEquals(2uL, it.status().waiting) }
        }
}

/** The app's own session at the API, which a real one gets from its sign-in. */
private class App(
    private val origin: String,
) {
    private val http = HttpClient.newHttpClient()

    /** What it was told of refused tokens, one entry a question. */
    val refused = CopyOnWriteArrayList<String?>()

    /** Threads on which it was asked. */
    val threads: MutableSet<String> = ConcurrentHashMap.newKeySet()

    @Volatile var token: String? = null

    suspend fun accessToken(instead: String?): String {
        refused += instead
        threads += File("/proc/thread-self/comm").readText().trim()
        return token.takeIf { it != instead } ?: signIn().also { token = it }
    }

    suspend fun signUp() = check(send("POST", "/v1/accounts", CREDENTIALS).statusCode() == 201)

    suspend fun endSession() = check(send("DELETE", "/v1/sessions", "").statusCode() == 204)

    private suspend fun signIn(): String {
        val answer = send("POST", "/v1/sessions", CREDENTIALS).body()
        return checkNotNull(ACCESS_TOKEN.find(answer)).groupValues[1]
    }

    private suspend fun send(
        method: String,
        path: String,
        body: String,
    ): HttpResponse<String> {
        val request = HttpRequest.newBuilder(URI(origin + path)).method(method, BodyPublishers.ofString(body))
        token?.let { request.header("authorization", "Bearer $it") }
        return http.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString()).await()
    }

    private companion object {
        const val CREDENTIALS = """{"email": "you@example.org", "password": "a long enough password"}"""
        val ACCESS_TOKEN = Regex("\"access_token\":\\s*\"([^\"]+)\"")
    }
}
