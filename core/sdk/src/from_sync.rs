//! What an error of sync means for the app.

use crate::{Error, ErrorCode};
use snaptrak_domain::transport::TransferError;
use snaptrak_seal::TrustError;
use snaptrak_sync::{ApiError, OriginError, SyncError};

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        use ErrorCode as C;
        let code = match &error {
            SyncError::Queue(queue) => return queue.clone().into(),
            SyncError::Origin(OriginError::PlainHttp) => C::PlainHttpRefused,
            SyncError::Origin(OriginError::NotAnOrigin | OriginError::OtherOrigin) => C::InvalidArgument,
            SyncError::Transfer(transfer) => transfer_code(transfer),
            SyncError::Api(api) => api_code(api),
            SyncError::Trust(TrustError::Expired) => C::TrustExpired,
            SyncError::Trust(
                TrustError::UntrustedRoot
                | TrustError::BadSignature
                | TrustError::VersionRollback { .. }
                | TrustError::Malformed { .. }
                | TrustError::Newer { .. }
                | TrustError::WrongOrganisation,
            )
            | SyncError::OtherRoot { .. } => C::TrustNotChained,
            SyncError::OtherAccount => C::InvalidArgument,
            SyncError::NotEnrolled => C::NotEnrolled,
            SyncError::SignedOut => C::SignedOut,
            SyncError::NoToken => C::NoToken,
            SyncError::NoProvider => C::InvalidArgument,
            SyncError::OtherBytes => C::SealedMismatch,
            SyncError::ServerLost => C::ServerLost,
            SyncError::AlreadyRunning => C::InUse,
            SyncError::Random(_) => C::Internal,
        };
        Self::new(code, error.to_string())
    }
}

fn transfer_code(error: &TransferError) -> ErrorCode {
    match error {
        TransferError::Offline => ErrorCode::Offline,
        TransferError::TimedOut => ErrorCode::TimedOut,
        TransferError::Tls => ErrorCode::TlsFailed,
        TransferError::Cancelled => ErrorCode::Cancelled,
        TransferError::PlainHttp => ErrorCode::PlainHttpRefused,
        TransferError::Source | TransferError::Destination => ErrorCode::Damaged,
        TransferError::Full => ErrorCode::StorageFull,
        TransferError::Malformed => ErrorCode::ServerFailed,
    }
}

fn api_code(error: &ApiError) -> ErrorCode {
    match error.code.as_str() {
        "bad_credentials" => ErrorCode::BadCredentials,
        "email_taken" => ErrorCode::EmailTaken,
        _ if error.status == 401 => ErrorCode::SignedOut,
        _ if error.status == 429 || error.status >= 500 => ErrorCode::ServerFailed,
        _ => ErrorCode::ServerRefused,
    }
}
