//! Fetching the organisation's trust bundle. The bytes are judged by `crate::trust`; here they are only bounded.

use snaptrak_domain::transport::{Body, Method, Plan, Response};

use snaptrak_seal::trust::TRUST_BYTES_MAX;

use super::{ApiError, Call, expect_status};

/// Plans the request; it needs no token.
#[must_use]
pub fn plan_fetch(call: &Call<'_>) -> Plan {
    call.plan(Method::Get, "/v1/trust", Vec::new(), Body::Empty)
}

/// The bundle's exact bytes.
pub fn read_fetch(response: &Response) -> Result<&[u8], ApiError> {
    expect_status(response, &[200])?;
    if response.body.len() > TRUST_BYTES_MAX {
        return Err(ApiError::protocol(response, "a trust bundle longer than any"));
    }
    Ok(&response.body)
}
