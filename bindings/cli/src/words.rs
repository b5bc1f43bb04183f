//! Sentences for codes, in English. The SDK says codes with parameters; a language is the app's, and this is an app.

use snaptrak::{EndedBecause, KeptCode, ReasonCode, StoppedBecause};

/// Why a path was not captured.
pub(crate) fn of_refusal(code: &str) -> &str {
    match code {
        "empty_file" => "the file is empty",
        "is_a_folder" => "it is a folder",
        "is_a_fifo" => "it is a named pipe (use `snaptrak record` for streams)",
        "is_a_device" => "it is a device or a socket",
        "missing_path" => "there is nothing at this path",
        "unreadable" => "it cannot be read",
        "too_large" => "it is larger than a capture can be",
        // A code that gets no sentence here is still a word.
        other => other,
    }
}

/// Why the bytes of a capture stay on this device.
pub(crate) fn of_kept(code: KeptCode) -> &'static str {
    match code {
        KeptCode::NotVerified => "the server has not signed for them",
        KeptCode::Pinned => "they are pinned",
        KeptCode::Viewed => "they were looked at within the last day",
        KeptCode::Open => "somebody reads them",
        KeptCode::NeedsUser => "a person must unlock the store before their receipts can be put beside them",
        KeptCode::Note => "notes take no room worth freeing",
        KeptCode::Damaged => "their envelope cannot be read",
    }
}

/// What ended a recording, where a signal asked for its end.
pub(crate) const ENDED_BY_SIGNAL: &str = "a signal ended it; everything up to here is safe";

/// What ended a recording.
pub(crate) fn of_end(because: EndedBecause) -> &'static str {
    match because {
        EndedBecause::InputEnded => "its input ended",
        EndedBecause::MaxBytes => "it has as many bytes as it may have",
        EndedBecause::MaxMs => "it is as long as it may be",
        EndedBecause::LowSpace => "the disk is nearly full; everything up to here is safe",
        EndedBecause::Interrupted => "it broke off; everything up to here is safe",
    }
}

/// Why something waits, or was set aside.
pub(crate) fn of_reason(code: ReasonCode) -> &'static str {
    use ReasonCode as R;
    match code {
        R::NotEnrolled => "no account yet: it waits until this device signs up or in",
        R::SignedOut => "the session ended: it waits until somebody signs in",
        R::NoToken => "the app had no access token: it waits for the next try",
        R::Offline => "the server cannot be reached",
        R::Waiting => "it waits for its turn",
        R::WaitsForStep => "it waits for an earlier step of the same capture",
        R::InFlight => "it is being sent",
        R::WindowEnded => "the time or the bytes granted ran out before its turn",
        R::RateLimited => "the server asked to slow down",
        R::ServerError => "the server failed; it is tried again by itself",
        R::ProtocolError => "the server answered something that is not the protocol",
        R::ServerRefused => "the server refuses this capture",
        R::VerificationPending => "the server has not finished checking",
        R::SealedMismatch => "the server holds other sealed bytes; they are sent again",
        R::PlaintextMismatch => "the server opened the bytes and found others than were captured",
        R::EnvelopeRefused => "the server cannot open the envelope with its key",
        R::ReceiptInvalid => "the server's signature does not hold",
        R::TrustNotChained => {
            "the organisation's keys do not chain to the root that this device trusts; nothing is sent"
        }
        R::TrustExpired => "the organisation's keys ran out",
        R::NeedsUser => "a person must unlock the store",
        R::LocalDamaged => "the sealed bytes on this device cannot be read",
        R::Purged => "its bytes are at the server alone",
        R::NotAPicture => "it is no picture",
        R::DecoderMissing => "this build has no decoder for the picture's format",
        R::PictureDamaged => "the picture is damaged",
        R::PictureTooLarge => "the picture claims more pixels than are decoded",
        R::EngineMissing => "no inference engine could be loaded",
        R::ModelMissing => "the model is not on this device",
        R::ModelDamaged => "the model's file is not what its manifest says",
        R::EngineFailed => "the inference engine failed; it is tried again by itself",
        R::ServerLost => "neither the server nor this device holds it any more",
        R::WithheldByPolicy => "a policy keeps it on this device",
        R::Cancelled => "somebody took it back",
        R::Recording => "it is still being recorded; its receipt comes after its end",
        R::RecordingBrokeOff => "the recording broke off and is closed as soon as the store is unlocked and has room",
        R::Verified => "everything is done: the server signed that it holds the same bytes",
    }
}

/// Why a sync ended, and what to do next where there is something to do.
pub(crate) fn of_stop(reason: StoppedBecause) -> &'static str {
    use StoppedBecause as S;
    match reason {
        S::Done => "Everything is at the server.",
        S::BudgetTime => "The time that was granted is over. Run it again to go on.",
        S::BudgetBytes => "The bytes that were granted are used. Run it again to go on.",
        S::Offline => "The server cannot be reached. Everything waits safely; run it again when there is a network.",
        S::SignedOut => "The session is over. Run `snaptrak sign-in`; everything waits safely.",
        S::NoToken => "There was no access token to send with. Everything waits safely; run it again later.",
        S::NotEnrolled => "This device belongs to no account yet. Run `snaptrak sign-up` or `snaptrak sign-in`.",
        S::TrustNotChained => {
            "The organisation's keys do not chain to the root that this device trusts. Nothing is sent; ask the organisation."
        }
        S::TrustExpired => {
            "The organisation's keys ran out. Everything waits safely; ask the organisation to renew them."
        }
        S::WaitingForRetry => "What is left waits for its next try. Run it again later.",
        S::VerificationPending => "The server has not finished checking. Run it again later.",
        S::Parked => "What is left was set aside: `snaptrak status` says why.",
        S::Cancelled => "It was stopped. Run it again to go on.",
        S::StorageFull => "The disk of this device is full. Free space and run it again.",
    }
}

/// What would let the work go on, from the code's own word.
pub(crate) fn of_unblocking(word: &str) -> &str {
    match word {
        "sign_in" => "run `snaptrak sign-up` or `snaptrak sign-in`",
        "network" => "run `snaptrak sync` when there is a network",
        "sync" => "run `snaptrak sync`",
        "time" => "run `snaptrak sync` later",
        "update" => "update this program",
        "person" => "somebody has to look at it",
        "unlock" => "run it with the passphrase",
        "install" => "run `cargo xtask models`, or name the files with --models and --runtime-library",
        "policy" => "the organisation has to change its policy",
        "end_of_recording" => "end the recording",
        "fetch" => "run `snaptrak fetch` with its id",
        "nothing" => "nothing needs to be done",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unblocking_word_has_a_sentence() {
        for code in ReasonCode::ALL {
            let word = code.unblocked_by();
            assert_ne!(of_unblocking(word), word, "{code:?}");
        }
    }
}
