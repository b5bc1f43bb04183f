//! Registering this device.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use snaptrak_domain::transport::{Method, Plan, Response};
use snaptrak_domain::{DeviceId, Sha256Digest};

use super::{ApiError, Call, expect_status};

/// What the API is told of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id, made once a store.
    pub device_id: DeviceId,
    /// What a person would call it.
    pub name: String,
    /// The key that signs its receipts: SEC1 uncompressed point.
    pub signing_public: [u8; 65],
    /// SHA-256 of its public media key.
    pub media_key_id: Sha256Digest,
    /// For example `linux`.
    pub platform: String,
}

/// Plans the registration; repeating it changes nothing.
#[must_use]
pub fn plan_register(call: &Call<'_>, device: &Device) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        name: &'a str,
        signing_public: String,
        media_key_id: Sha256Digest,
        platform: &'a str,
    }
    let request = Request {
        name: &device.name,
        signing_public: STANDARD.encode(device.signing_public),
        media_key_id: device.media_key_id,
        platform: &device.platform,
    };
    call.json(Method::Put, &format!("/v1/devices/{}", device.device_id), &request)
}

/// Reads the answer.
pub fn read_register(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[200, 201, 204])
}
