package com.snaptrak

/**
 * Where a capture stands, with what belongs to that alone: what a screen says about it, and what it offers to do. A `when` over it
 * needs no `else`.
 */
public sealed class Standing {
    /** The recording goes on. */
    public data object Recording : Standing()

    /**
     * On its way to the server, as far as [state]. [code] says why it is not there yet, [unblockedBy] what lets it go on, and
     * [nextTryMs] when that is tried again by itself, Unix time in milliseconds.
     */
    public data class OnItsWay(
        val state: AssetState,
        val code: String,
        val unblockedBy: String,
        val nextTryMs: Long?,
    ) : Standing()

    /** Kept on the device until [unblockedBy]; [code] says why. */
    public data class Withheld(
        val code: String,
        val unblockedBy: String,
    ) : Standing()

    /**
     * Set aside, because it failed and does not heal by itself: [code] with its [parameters] says why, [unblockedBy] what would let
     * it go on, and [serverStatus] what the server answered, if that was the reason. Nothing of it is lost.
     */
    public data class Parked(
        val code: String,
        val parameters: Map<String, String>,
        val unblockedBy: String,
        val serverStatus: UShort?,
    ) : Standing()

    /** The server has signed that it holds the same bytes; [isHere] unless they were purged from this device since. */
    public data class Verified(
        val isHere: Boolean,
    ) : Standing()

    /** It was taken back before anything of it could have left. */
    public data object Cancelled : Standing()
}

/** The answer of [SnapTrak.whyNotUploaded] as one of the cases that there are. */
public val Why.standing: Standing
    get() =
        when (state) {
            AssetState.RECORDING -> Standing.Recording
            AssetState.SAVED, AssetState.QUEUED, AssetState.PREPARED, AssetState.SENDING, AssetState.RECEIVED ->
                Standing.OnItsWay(state, code, unblockedBy, nextTryMs)
            AssetState.WITHHELD -> Standing.Withheld(code, unblockedBy)
            AssetState.PARKED -> Standing.Parked(code, parameters, unblockedBy, serverStatus)
            AssetState.VERIFIED -> Standing.Verified(isHere = true)
            AssetState.PURGED -> Standing.Verified(isHere = false)
            AssetState.CANCELLED -> Standing.Cancelled
        }
