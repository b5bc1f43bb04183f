//! Why something waits or was set aside: a code with parameters. Sentences in a person's language are the app's.

use crate::capture::UnknownWord;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, str::FromStr};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, unblocked_by $by:literal;)*) => {
        /// Every reason code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ReasonCode {
            $($(#[$doc])* $name,)*
        }

        impl ReasonCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in SQL, JSON and the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What would let the work go on, as a word.
            pub fn unblocked_by(self) -> &'static str {
                match self { $(Self::$name => $by,)* }
            }
        }
    };
}

codes! {
    /// No account yet: captures wait until someone enrols this device.
    NotEnrolled = "not_enrolled", unblocked_by "sign_in";
    /// The session ended and could not be refreshed.
    SignedOut = "signed_out", unblocked_by "sign_in";
    /// The app that signs its people in itself had no access token to give; the next window asks it again.
    NoToken = "no_token", unblocked_by "sync";
    /// No network, or the server cannot be reached.
    Offline = "offline", unblocked_by "network";
    /// Waits for its turn.
    Waiting = "waiting", unblocked_by "sync";
    /// Waits for an earlier step of the same capture.
    WaitsForStep = "waits_for_step", unblocked_by "sync";
    /// A transfer is under way.
    InFlight = "in_flight", unblocked_by "sync";
    /// The window ended before its turn.
    WindowEnded = "window_ended", unblocked_by "sync";
    /// The server said to slow down.
    RateLimited = "rate_limited", unblocked_by "time";
    /// The server failed (5xx).
    ServerError = "server_error", unblocked_by "time";
    /// The server answered something that is not the protocol.
    ProtocolError = "protocol_error", unblocked_by "update";
    /// The server refuses this item.
    ServerRefused = "server_refused", unblocked_by "person";
    /// The server has not finished checking.
    VerificationPending = "verification_pending", unblocked_by "time";
    /// The server holds other sealed bytes than ours.
    SealedMismatch = "sealed_mismatch", unblocked_by "sync";
    /// The server opened the bytes and found another plaintext.
    PlaintextMismatch = "plaintext_mismatch", unblocked_by "person";
    /// The server could not open the envelope with its key.
    EnvelopeRefused = "envelope_refused", unblocked_by "person";
    /// The countersignature does not verify.
    ReceiptInvalid = "receipt_invalid", unblocked_by "person";
    /// The organisation's keys do not chain to the pinned root.
    TrustNotChained = "trust_not_chained", unblocked_by "person";
    /// The trust bundle ran out.
    TrustExpired = "trust_expired", unblocked_by "network";
    /// A key of the viewing class is needed.
    NeedsUser = "needs_user", unblocked_by "unlock";
    /// The sealed bytes on this device cannot be read.
    LocalDamaged = "local_damaged", unblocked_by "person";
    /// Its bytes are at the server alone, and have to be fetched back first.
    Purged = "purged", unblocked_by "fetch";
    /// The file is no picture that this build can decode.
    NotAPicture = "not_a_picture", unblocked_by "nothing";
    /// The picture's format has no decoder in this build (the parameter `format` names it).
    DecoderMissing = "decoder_missing", unblocked_by "update";
    /// The picture is damaged.
    PictureDamaged = "picture_damaged", unblocked_by "nothing";
    /// The picture claims more pixels than are decoded.
    PictureTooLarge = "picture_too_large", unblocked_by "nothing";
    /// No inference engine could be loaded.
    EngineMissing = "engine_missing", unblocked_by "install";
    /// The model is not on this device.
    ModelMissing = "model_missing", unblocked_by "install";
    /// The model's file is not what the manifest says.
    ModelDamaged = "model_damaged", unblocked_by "install";
    /// The engine failed.
    EngineFailed = "engine_failed", unblocked_by "time";
    /// The server no longer holds it, and neither does the device.
    ServerLost = "server_lost", unblocked_by "person";
    /// A policy keeps it on the device.
    WithheldByPolicy = "withheld_by_policy", unblocked_by "policy";
    /// The person took it back.
    Cancelled = "cancelled", unblocked_by "nothing";
    /// It is still being recorded: its finished pieces may leave, its receipt comes after its end.
    Recording = "recording", unblocked_by "end_of_recording";
    /// A recording that broke off waits to be closed with what it has: that needs a key of the viewing class, or room.
    RecordingBrokeOff = "recording_broke_off", unblocked_by "unlock";
    /// Everything is done.
    Verified = "verified", unblocked_by "nothing";
}

impl FromStr for ReasonCode {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownWord { what: "reason code" })
    }
}

/// A code with its parameters (numbers, format names, a server's own code; never contents of a capture).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The code.
    pub code: ReasonCode,
    /// HTTP status, where a server said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_status: Option<u16>,
    /// Further parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub parameters: BTreeMap<String, String>,
}

impl Reason {
    /// A reason without parameters.
    pub fn new(code: ReasonCode) -> Self {
        Self { code, server_status: None, parameters: BTreeMap::new() }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the server's status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.server_status = Some(status);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_read_back_and_equal_to_serde() {
        for code in ReasonCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(serde_json::to_value(code).expect("a unit variant serialises"), code.as_str());
        }
    }
}
