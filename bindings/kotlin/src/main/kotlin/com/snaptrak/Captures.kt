package com.snaptrak

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/** Captures of a page when nobody says how many: some kilobytes, and a list's first screen. */
private const val PAGE_SIZE = 100

/**
 * Every capture in order of arrival, oldest first; with a [state] only those that stand there. Pages of [pageSize] (1 to 1,000)
 * are read as they are collected, so that a collector that ends early reads no more than it needs. What is captured meanwhile
 * comes at the end.
 */
public fun SnapTrak.captures(
    state: AssetState? = null,
    pageSize: Int = PAGE_SIZE,
): Flow<CaptureSummary> =
    flow {
        var after: String? = null
        do {
            val page = list(state, pageSize.toUInt(), after)
            page.captures.forEach { capture -> emit(capture) }
            after = page.next
        } while (after != null)
    }
