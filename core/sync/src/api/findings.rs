//! Sending what was found in a capture.

use serde::Serialize;
use snaptrak_domain::transport::{Method, Plan, Response};
use snaptrak_domain::{CaptureId, Finding};

use super::{ApiError, Call, expect_status};

/// Plans the request; it replaces what the same models said before.
#[must_use]
pub fn plan_send(call: &Call<'_>, capture_id: CaptureId, findings: &[Finding]) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        findings: &'a [Finding],
    }
    call.json(Method::Put, &format!("/v1/captures/{capture_id}/findings"), &Request { findings })
}

/// Reads the answer.
pub fn read_send(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[200, 204])
}
