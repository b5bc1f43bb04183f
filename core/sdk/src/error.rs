//! The public error: eight variants, each an answer to "what should the app do now?".
//!
//! Every error of the crates below is turned into one of these in one place a crate, so that nothing is classified twice.

use snaptrak_domain::{Reason, ReasonCode};
use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// The precise cause, stable across versions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

error_codes! {
    /// The passphrase, or whatever opens the key store, was wrong.
    WrongKey = "wrong_key";
    /// The person must unlock the store.
    NeedsUser = "needs_user";
    /// The device has not been unlocked since it started.
    NotYet = "not_yet";
    /// The platform key is gone.
    KeysLost = "keys_lost";
    /// No room on the disk.
    StorageFull = "storage_full";
    /// The server cannot be reached.
    Offline = "offline";
    /// The server's certificate is not trusted.
    TlsFailed = "tls_failed";
    /// The server failed.
    ServerFailed = "server_failed";
    /// The server took too long.
    TimedOut = "timed_out";
    /// The session ended.
    SignedOut = "signed_out";
    /// The app's token provider has no access token now.
    NoToken = "no_token";
    /// This device belongs to no account yet.
    NotEnrolled = "not_enrolled";
    /// E-mail or password is wrong.
    BadCredentials = "bad_credentials";
    /// There is an account with this e-mail.
    EmailTaken = "email_taken";
    /// The server refused the request.
    ServerRefused = "server_refused";
    /// The server gave other bytes than were sealed on this device.
    SealedMismatch = "sealed_mismatch";
    /// The server does not hold what was purged here any more.
    ServerLost = "server_lost";
    /// The organisation's keys do not chain to the pinned root.
    TrustNotChained = "trust_not_chained";
    /// The organisation's keys ran out.
    TrustExpired = "trust_expired";
    /// Plain HTTP to a host that is not this machine.
    PlainHttpRefused = "plain_http_refused";
    /// The store was made by a newer version.
    NewerVersion = "newer_version";
    /// Another process has the store open.
    InUse = "in_use";
    /// There is no store in this folder.
    NoStore = "no_store";
    /// The folder holds something that is no store.
    NotAStore = "not_a_store";
    /// The folder is not empty.
    NotEmpty = "not_empty";
    /// There is a store in this folder already.
    StoreExists = "store_exists";
    /// Database or files are damaged.
    Damaged = "damaged";
    /// The keyset is not there.
    KeysetMissing = "keyset_missing";
    /// There is no such capture.
    NotFound = "not_found";
    /// The bytes were purged: they are at the server.
    Purged = "purged";
    /// The file is empty.
    EmptyFile = "empty_file";
    /// The path is a folder.
    IsAFolder = "is_a_folder";
    /// The path is a named pipe.
    IsAFifo = "is_a_fifo";
    /// The path is a device or a socket.
    IsADevice = "is_a_device";
    /// There is nothing at this path.
    MissingPath = "missing_path";
    /// The file cannot be read.
    Unreadable = "unreadable";
    /// An argument is out of its range.
    InvalidArgument = "invalid_argument";
    /// Larger than a limit.
    TooLarge = "too_large";
    /// The inference library is not there.
    EngineMissing = "engine_missing";
    /// The model is not there.
    ModelMissing = "model_missing";
    /// The model is not what its manifest says.
    ModelDamaged = "model_damaged";
    /// A manifest of models is not one that this device accepts from its organisation.
    ModelsRefused = "models_refused";
    /// The capture is no picture that can be shown.
    NotAPicture = "not_a_picture";
    /// Somebody ended it.
    Cancelled = "cancelled";
    /// None of the above: a defect of this SDK or of the machine.
    Internal = "internal";
}

/// What the app should do, why, and words for a log or a developer (never contents of a capture).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Ask the person to sign in, or an administrator to look at the organisation's keys.
    SignIn(Cause),
    /// Ask the person to unlock.
    Unlock(Cause),
    /// Ask the person to free space.
    FreeSpace(Cause),
    /// Wait for a better network and call again.
    Network(Cause),
    /// Ask the person to update the app.
    UpdateApp(Cause),
    /// Close the other instance.
    InUse(Cause),
    /// Change the request: the same call would be refused again.
    Refused(Cause),
    /// Report it: something is damaged or broken; nothing was deleted.
    Report(Cause),
}

/// Code and words of an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The precise cause.
    pub code: ErrorCode,
    /// One sentence for a developer.
    pub message: String,
}

impl Error {
    /// The error whose variant belongs to the code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        use ErrorCode as C;
        let cause = Cause { code, message: message.into() };
        match code {
            C::SignedOut
            | C::NotEnrolled
            | C::BadCredentials
            | C::EmailTaken
            | C::TrustNotChained
            | C::TrustExpired => Self::SignIn(cause),
            C::WrongKey | C::NeedsUser | C::NotYet => Self::Unlock(cause),
            C::StorageFull => Self::FreeSpace(cause),
            C::Offline | C::TlsFailed | C::ServerFailed | C::TimedOut | C::NoToken => Self::Network(cause),
            C::NewerVersion => Self::UpdateApp(cause),
            C::InUse => Self::InUse(cause),
            C::PlainHttpRefused
            | C::ServerRefused
            | C::NoStore
            | C::NotAStore
            | C::NotEmpty
            | C::StoreExists
            | C::NotFound
            | C::Purged
            | C::EmptyFile
            | C::IsAFolder
            | C::IsAFifo
            | C::IsADevice
            | C::MissingPath
            | C::Unreadable
            | C::InvalidArgument
            | C::TooLarge
            | C::EngineMissing
            | C::ModelMissing
            | C::ModelsRefused
            | C::NotAPicture
            | C::Cancelled => Self::Refused(cause),
            C::KeysLost
            | C::Damaged
            | C::KeysetMissing
            | C::ModelDamaged
            | C::SealedMismatch
            | C::ServerLost
            | C::Internal => Self::Report(cause),
        }
    }

    fn cause(&self) -> &Cause {
        match self {
            Self::SignIn(cause)
            | Self::Unlock(cause)
            | Self::FreeSpace(cause)
            | Self::Network(cause)
            | Self::UpdateApp(cause)
            | Self::InUse(cause)
            | Self::Refused(cause)
            | Self::Report(cause) => cause,
        }
    }

    /// The precise cause.
    pub fn code(&self) -> ErrorCode {
        self.cause().code
    }

    /// One sentence for a developer.
    pub fn message(&self) -> &str {
        &self.cause().message
    }

    /// What to do next, for a developer.
    pub fn next(&self) -> &'static str {
        use ErrorCode as C;
        match self.code() {
            C::WrongKey => "give the passphrase (or the recovery key) that belongs to this store; nothing was changed",
            C::NeedsUser => "let the person unlock the store and call again",
            C::NotYet => "call again after the device's first unlock",
            C::KeysLost => {
                "keep the folder and recover from it with the organisation's recovery key; what that key opens is not lost"
            }
            C::StorageFull => "free space on this disk and call again; what was captured before is safe",
            C::Offline => "check the address and the network and call again; captures wait safely",
            C::TlsFailed => "give the server's root certificate, or correct the device's clock",
            C::ServerFailed | C::TimedOut => "call again later; captures wait safely",
            C::SignedOut => "sign in again",
            C::NoToken => "call again once the app has an access token; captures wait safely",
            C::NotEnrolled => "sign up or sign in first",
            C::BadCredentials => "check e-mail and password",
            C::EmailTaken => "sign in instead, or use another e-mail",
            C::SealedMismatch => {
                "ask whoever runs the server: what it holds is not what this device sealed; nothing here changed"
            }
            C::ServerLost => {
                "ask whoever runs the server to restore it from a backup; the receipt says what it signed for"
            }
            C::ServerRefused => "read the server's reason; the same request would be refused again",
            C::TrustNotChained => {
                "ask the organisation for the right root fingerprint; nothing is sent until it matches"
            }
            C::TrustExpired => "ask the organisation to renew its keys; captures wait safely",
            C::PlainHttpRefused => "use https, or a loopback address for development",
            C::NewerVersion => "update the app; this store was written by a newer version",
            C::InUse => "close the other process that has this store open",
            C::NoStore => "make a store first (init), or check the path",
            C::NotAStore | C::NotEmpty => "choose an empty folder for the store",
            C::StoreExists => "use the store that is there, or another folder",
            C::Damaged => {
                "keep the folder as it is and recover from it into a new store (recover); nothing was changed or deleted"
            }
            C::KeysetMissing => {
                "restore the keyset folder from where it was, or recover with the organisation's recovery key; nothing was deleted"
            }
            C::NotFound => "list the captures and check the id",
            C::Purged => "fetch it back from the server, and pin it to keep it here",
            C::EmptyFile => "an empty file is no evidence; capture it when it has content",
            C::IsAFolder | C::IsAFifo | C::IsADevice => "give regular files",
            C::MissingPath => "check the path",
            C::Unreadable => "check the file's permissions",
            C::InvalidArgument => "correct the argument and call again",
            C::TooLarge => "make it smaller",
            C::EngineMissing => "install the inference library (cargo xtask models) or say where it is",
            C::ModelMissing => "fetch the models (cargo xtask models) or say where they are",
            C::ModelDamaged => "fetch the models again (cargo xtask models)",
            C::ModelsRefused => {
                "go on with the models in use; the organisation has to sign a manifest that this device accepts"
            }
            C::NotAPicture => "only pictures can be shown this way; use view for the original bytes",
            C::Cancelled => "call again to go on",
            C::Internal => "report this with the log",
        }
    }

    /// The error for a reason with which something waits or parks.
    pub(crate) fn from_reason(reason: &Reason) -> Self {
        use ReasonCode as R;
        let code = match reason.code {
            R::NotEnrolled => ErrorCode::NotEnrolled,
            R::SignedOut => ErrorCode::SignedOut,
            R::NoToken => ErrorCode::NoToken,
            R::Offline => ErrorCode::Offline,
            R::TrustNotChained => ErrorCode::TrustNotChained,
            R::TrustExpired => ErrorCode::TrustExpired,
            R::NeedsUser => ErrorCode::NeedsUser,
            R::RateLimited | R::ServerError => ErrorCode::ServerFailed,
            R::ServerRefused => ErrorCode::ServerRefused,
            R::LocalDamaged => ErrorCode::Damaged,
            R::Purged => ErrorCode::Purged,
            R::NotAPicture | R::DecoderMissing | R::PictureDamaged | R::PictureTooLarge => ErrorCode::NotAPicture,
            R::EngineMissing => ErrorCode::EngineMissing,
            R::ModelMissing => ErrorCode::ModelMissing,
            R::ModelDamaged => ErrorCode::ModelDamaged,
            R::Cancelled => ErrorCode::Cancelled,
            R::Waiting
            | R::WaitsForStep
            | R::InFlight
            | R::WindowEnded
            | R::ProtocolError
            | R::VerificationPending
            | R::SealedMismatch
            | R::PlaintextMismatch
            | R::EnvelopeRefused
            | R::ReceiptInvalid
            | R::EngineFailed
            | R::ServerLost
            | R::WithheldByPolicy
            | R::Recording
            | R::RecordingBrokeOff
            | R::Verified => ErrorCode::Internal,
        };
        let detail: Vec<String> = reason.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let words = sentence(reason.code);
        Self::new(code, if detail.is_empty() { words.to_owned() } else { format!("{words} ({})", detail.join(", ")) })
    }
}

/// A reason in words for a developer; a person's language is the app's.
fn sentence(code: ReasonCode) -> &'static str {
    use ReasonCode as R;
    match code {
        R::NotEnrolled => "this device belongs to no account yet",
        R::SignedOut => "the session ended",
        R::NoToken => "the app has no access token now",
        R::Offline => "the server cannot be reached",
        R::TrustNotChained => "the organisation's keys do not chain to the pinned root",
        R::TrustExpired => "the organisation's keys ran out",
        R::NeedsUser => "the person must unlock the store",
        R::RateLimited => "the server asks for patience",
        R::ServerError => "the server failed",
        R::ServerRefused => "the server refused it",
        R::LocalDamaged => "the sealed bytes on this device are damaged or gone",
        R::Purged => "its bytes are at the server alone",
        R::NotAPicture => "the file is no picture",
        R::DecoderMissing => "this build has no decoder for the picture's format",
        R::PictureDamaged => "the picture is damaged",
        R::PictureTooLarge => "the picture has more pixels than are decoded",
        R::EngineMissing => "the inference engine or accelerator is not there",
        R::ModelMissing => "the model is not there",
        R::ModelDamaged => "the model is not what its manifest says",
        R::EngineFailed => "the inference engine failed",
        R::Cancelled => "it was taken back",
        R::ServerLost => "the server no longer holds it",
        R::WithheldByPolicy => "a policy keeps it on this device",
        R::Waiting | R::WaitsForStep | R::InFlight | R::WindowEnded | R::VerificationPending => "it is not done yet",
        R::ProtocolError => "the server answered something that is not the protocol",
        R::SealedMismatch | R::PlaintextMismatch => "the server holds other bytes than this device",
        R::EnvelopeRefused => "the server cannot open the envelope",
        R::ReceiptInvalid => "the server's countersignature does not verify",
        R::Recording => "it is still being recorded",
        R::RecordingBrokeOff => "a recording that broke off has not been closed yet",
        R::Verified => "everything is done",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_variant_a_word_and_a_next_step() {
        let mut words: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            let error = Error::new(*code, "words");
            assert_eq!(error.code(), *code);
            assert!(error.next().len() > 10, "{code:?}");
        }
    }
}
