//! What was odd about the files, as words.

/// One oddity. None of them stops an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The file of verdicts could not be read: everything is tried again.
    VerdictsDamaged,
    /// Newer software wrote the file of verdicts: everything is tried again.
    VerdictsNewer,
    /// What stood in the marker could not be read: nothing is held against anybody.
    MarkerDamaged,
    /// The marker cannot be written: only the processor is used.
    MarkerUnavailable,
    /// An instance that is alive has the folder: only the processor is used.
    InUse,
    /// A verdict could not be written: it holds for this process only.
    NotSaved,
}

impl Note {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerdictsDamaged => "verdicts_damaged",
            Self::VerdictsNewer => "verdicts_newer",
            Self::MarkerDamaged => "marker_damaged",
            Self::MarkerUnavailable => "marker_unavailable",
            Self::InUse => "in_use",
            Self::NotSaved => "not_saved",
        }
    }
}
