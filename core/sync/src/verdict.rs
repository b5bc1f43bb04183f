//! What an answer says of the item that was sent. 401 concerns the session, 408, 409, 425, 429 and 5xx concern the moment,
//! and only the rest of 4xx is a verdict on the data.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{Reason, ReasonCode};

use crate::api::ApiError;

/// Whom an answer concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The session: refresh it and ask again.
    Session,
    /// This attempt: it may work later.
    Later {
        /// Why.
        reason: Reason,
        /// When, if the server said.
        retry_after_ms: Option<i64>,
        /// The server is in trouble as a whole, so that its other items would fare no better.
        server_wide: bool,
    },
    /// The item: the same attempt would end the same way.
    Refused(Reason),
}

impl Verdict {
    /// The outcome of the attempt; `Session` after a fresh token is a failure like any other.
    pub(crate) fn into_outcome(self) -> Outcome {
        match self {
            Self::Session => {
                Outcome::Failed { reason: Reason::new(ReasonCode::SignedOut).with_status(401), retry_after_ms: None }
            }
            Self::Later { reason, retry_after_ms, server_wide: _ } => Outcome::Failed { reason, retry_after_ms },
            Self::Refused(reason) => Outcome::Refused(reason),
        }
    }
}

/// Judges an error that the server answered.
pub(crate) fn of_error(error: &ApiError) -> Verdict {
    let later = |code: ReasonCode, server_wide: bool| Verdict::Later {
        reason: reason(code, error),
        retry_after_ms: error.retry_after_ms,
        server_wide,
    };
    if error.is_protocol() {
        return later(ReasonCode::ProtocolError, false);
    }
    match error.status {
        401 => Verdict::Session,
        429 => later(ReasonCode::RateLimited, true),
        // 423: tus servers hold a lock while another request to the same upload is being ended.
        408 | 409 | 423 | 425 => later(ReasonCode::ServerError, false),
        500..=599 => later(ReasonCode::ServerError, true),
        400..=499 => Verdict::Refused(reason(ReasonCode::ServerRefused, error)),
        _ => later(ReasonCode::ProtocolError, false),
    }
}

/// A reason that keeps the server's own code and status.
pub(crate) fn reason(code: ReasonCode, error: &ApiError) -> Reason {
    Reason::new(code).with_status(error.status).with("server_code", error.code.clone())
}

/// Judges the lack of an answer, once it is known that the network as such is there.
pub(crate) fn of_transfer_error(error: &TransferError) -> Outcome {
    let failed = |code: ReasonCode, detail: &str| Outcome::Failed {
        reason: Reason::new(code).with("detail", detail),
        retry_after_ms: None,
    };
    match error {
        TransferError::Offline => failed(ReasonCode::Offline, "connection_broke"),
        TransferError::TimedOut => failed(ReasonCode::Offline, "timed_out"),
        TransferError::Tls => failed(ReasonCode::Offline, "tls_failed"),
        TransferError::PlainHttp => failed(ReasonCode::ProtocolError, "plain_http"),
        TransferError::Malformed => failed(ReasonCode::ProtocolError, "malformed_answer"),
        // The file may have been renamed between the question where it is and the reading: another attempt finds it.
        TransferError::Source => failed(ReasonCode::LocalDamaged, "source_unreadable"),
        // Nothing that is sent in a window is answered into a file.
        TransferError::Destination | TransferError::Full => failed(ReasonCode::ProtocolError, "answer_not_kept"),
        TransferError::Cancelled => Outcome::NotAttempted(Reason::new(ReasonCode::WindowEnded)),
    }
}

/// Judges a store that could not give what was to be sent; `None` if it is no matter of this item.
pub(crate) fn of_queue_error(error: &QueueError) -> Option<Outcome> {
    match error {
        // A read that a disk failed once looks like damage to SQLCipher, whose pages then do not verify: another attempt reads
        // it again, and what is damaged indeed is set aside after some of them.
        QueueError::Damaged { .. } => Some(Outcome::Failed {
            reason: Reason::new(ReasonCode::LocalDamaged).with("detail", "unreadable"),
            retry_after_ms: None,
        }),
        QueueError::Missing { .. } => Some(Outcome::Refused(Reason::new(ReasonCode::LocalDamaged))),
        QueueError::NeedsUser => Some(Outcome::Refused(Reason::new(ReasonCode::NeedsUser))),
        QueueError::Full | QueueError::Closed | QueueError::Unavailable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16) -> ApiError {
        ApiError { status, code: "some_code".into(), message: String::new(), retry_after_ms: Some(5) }
    }

    #[test]
    fn a_read_that_failed_is_tried_again_and_what_is_gone_is_not() {
        let damaged = of_queue_error(&QueueError::Damaged { detail: "database".to_owned() });
        assert!(matches!(damaged, Some(Outcome::Failed { retry_after_ms: None, .. })), "{damaged:?}");
        let gone = of_queue_error(&QueueError::Missing { what: "capture" });
        assert!(matches!(gone, Some(Outcome::Refused(_))), "{gone:?}");
    }

    #[test]
    fn only_verdicts_on_the_data_refuse() {
        assert_eq!(of_error(&error(401)), Verdict::Session);
        for status in [408, 409, 423, 425, 429, 500, 502, 503, 504, 507] {
            let Verdict::Later { retry_after_ms, .. } = of_error(&error(status)) else {
                panic!("{status} is no verdict on the data")
            };
            assert_eq!(retry_after_ms, Some(5));
        }
        for status in [400, 403, 404, 410, 413, 415, 422] {
            let Verdict::Refused(reason) = of_error(&error(status)) else { panic!("{status} refuses") };
            assert_eq!(reason.server_status, Some(status));
            assert_eq!(reason.parameters["server_code"], "some_code");
        }
        for status in [100, 204, 302, 600] {
            assert!(matches!(of_error(&error(status)), Verdict::Later { .. }), "{status}");
        }
    }
}
