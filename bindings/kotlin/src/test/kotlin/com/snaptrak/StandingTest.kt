package com.snaptrak

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

internal class StandingTest {
    private fun why(state: AssetState) =
        Why(
            state = state,
            code = "a code",
            parameters = mapOf("status" to "422"),
            sinceMs = 1,
            nextTryMs = 2,
            unblockedBy = "retry",
            serverStatus = 422u,
        )

    @Test
    fun `every state has its case, with what belongs to it`() {
        val onItsWay = listOf(AssetState.SAVED, AssetState.QUEUED, AssetState.PREPARED, AssetState.SENDING, AssetState.RECEIVED)
        for (state in onItsWay) {
            assertEquals(Standing.OnItsWay(state, "a code", "retry", 2), why(state).standing)
        }
        val others =
            mapOf(
                AssetState.RECORDING to Standing.Recording,
                AssetState.WITHHELD to Standing.Withheld("a code", "retry"),
                AssetState.PARKED to Standing.Parked("a code", mapOf("status" to "422"), "retry", 422u),
                AssetState.VERIFIED to Standing.Verified(isHere = true),
                AssetState.PURGED to Standing.Verified(isHere = false),
                AssetState.CANCELLED to Standing.Cancelled,
            )
        others.forEach { (state, standing) -> assertEquals(standing, why(state).standing) }
        assertEquals(AssetState.entries.toSet(), onItsWay.toSet() + others.keys)
    }
}
