//! Sending an asset's envelope, byte for byte as it lies on disk.

use base64::{Engine, engine::general_purpose::STANDARD};
use snaptrak_domain::AssetId;
use snaptrak_domain::queue_store::OutgoingEnvelope;
use snaptrak_domain::transport::{Body, Method, Plan, Response};

use super::{ApiError, Call, expect_status};

/// The server's code for a wrap under a key that it no longer has: a newer trust bundle is out.
pub(crate) const WRAP_UNKNOWN_KEY: &str = "wrap_unknown_key";

/// Plans the request.
#[must_use]
pub fn plan_send(call: &Call<'_>, asset_id: AssetId, envelope: &OutgoingEnvelope) -> Plan {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if let Some(receipt) = &envelope.device_receipt {
        headers.push(("snaptrak-device-receipt".to_owned(), STANDARD.encode(receipt)));
    }
    let path = format!("/v1/assets/{asset_id}/envelope");
    call.plan(Method::Put, &path, headers, Body::Bytes(envelope.bytes.clone()))
}

/// Reads the answer.
pub fn read_send(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[200, 201, 204])
}
