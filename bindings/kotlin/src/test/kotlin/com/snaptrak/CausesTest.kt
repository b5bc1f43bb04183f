package com.snaptrak

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

internal class CausesTest {
    @Test
    fun `every answer tells its cause`() {
        val answers: List<SnapTrakException> =
            listOf(
                SnapTrakException.SignIn("code 0", "detail 0"),
                SnapTrakException.Unlock("code 1", "detail 1"),
                SnapTrakException.FreeSpace("code 2", "detail 2"),
                SnapTrakException.Network("code 3", "detail 3"),
                SnapTrakException.UpdateApp("code 4", "detail 4"),
                SnapTrakException.InUse("code 5", "detail 5"),
                SnapTrakException.Refused("code 6", "detail 6"),
                SnapTrakException.Report("code 7", "detail 7"),
            )
        answers.forEachIndexed { index, answer ->
            assertEquals("code $index", answer.code)
            assertEquals("detail $index", answer.detail)
        }
    }
}
