package com.snaptrak

/** The precise cause, whichever the answer is: a word that stays the same across versions, for example `offline`. */
public val SnapTrakException.code: String
    get() =
        when (this) {
            is SnapTrakException.SignIn -> code
            is SnapTrakException.Unlock -> code
            is SnapTrakException.FreeSpace -> code
            is SnapTrakException.Network -> code
            is SnapTrakException.UpdateApp -> code
            is SnapTrakException.InUse -> code
            is SnapTrakException.Refused -> code
            is SnapTrakException.Report -> code
        }

/** One sentence for a developer, whichever the answer is; never contents of a capture. */
public val SnapTrakException.detail: String
    get() =
        when (this) {
            is SnapTrakException.SignIn -> detail
            is SnapTrakException.Unlock -> detail
            is SnapTrakException.FreeSpace -> detail
            is SnapTrakException.Network -> detail
            is SnapTrakException.UpdateApp -> detail
            is SnapTrakException.InUse -> detail
            is SnapTrakException.Refused -> detail
            is SnapTrakException.Report -> detail
        }
