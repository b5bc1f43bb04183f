//! Registering devices.

use super::accounts::NAME_CHARACTERS_MAX;
use super::authenticate::SignedIn;
use super::body::{SMALL_BODY_BYTES_MAX, read_json};
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use crate::app::AppState;
use crate::database::{DeviceRow, devices};
use crate::edge::OsRandom;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{DeviceId, Sha256Digest};
use snaptrak_seal::key_id;
use snaptrak_seal::receipt::PUBLIC_KEY_BYTES;
use utoipa::ToSchema;
use uuid::Uuid;

const NAME_COLUMN: &str = "device.name";

/// The first byte of an uncompressed SEC1 point.
const SEC1_UNCOMPRESSED: u8 = 4;

/// A device as it registers.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Device {
    /// How the person calls it.
    name: String,
    /// The key that signs receipts: SEC1 uncompressed point of P-256, 65 bytes, base64.
    signing_public: String,
    /// SHA-256 of the device's media key, hexadecimal.
    media_key_id: String,
    /// For example `android`, `ios`, `linux`.
    platform: String,
}

/// The registered device.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    device_id: Uuid,
}

/// Registers a device, or brings what is known of it up to date. A new signing key is added to those known before.
#[utoipa::path(
    put, path = "/v1/devices/{device_id}", tag = "devices", security(("access" = [])),
    params(("device_id" = Uuid, Path, description = "Made by the device")), request_body = Device,
    responses(
        (status = 200, description = "It was known", body = Registered),
        (status = 201, description = "It is new", body = Registered),
        (status = 409, description = "`device_taken`: another account has it", body = ErrorBody),
        (status = 422, description = "`invalid_device`", body = ErrorBody),
    )
)]
pub(crate) async fn register(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(device_id): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Registered>), ApiError> {
    let device_id: DeviceId = id(&device_id)?;
    let device: Device = read_json(&app, body, SMALL_BODY_BYTES_MAX).await?;
    let invalid = |message: &str| ApiError::unprocessable("invalid_device", message);
    let signing_public = STANDARD.decode(&device.signing_public).unwrap_or_default();
    if signing_public.len() != PUBLIC_KEY_BYTES || signing_public[0] != SEC1_UNCOMPRESSED {
        return Err(invalid("signing_public is not the base64 of an uncompressed point"));
    }
    let media_key_id: Sha256Digest =
        device.media_key_id.parse().map_err(|_| invalid("media_key_id is not 64 hexadecimal digits"))?;
    if device.name.chars().count() > NAME_CHARACTERS_MAX || device.platform.chars().count() > NAME_CHARACTERS_MAX {
        return Err(invalid("a name has at most 200 characters"));
    }
    let row_id = device_id.to_string();
    let row = DeviceRow {
        id: device_id,
        name_sealed: app.at_rest.seal(NAME_COLUMN, row_id.as_bytes(), device.name.as_bytes(), &OsRandom)?,
        signing_key_id: key_id(&signing_public),
        signing_public,
        media_key_id,
        platform: device.platform,
    };
    let now = app.now();
    let status = app
        .database
        .write(move |transaction| match devices::register(transaction, &caller, &row, now)? {
            devices::Registered::Made => Ok(StatusCode::CREATED),
            devices::Registered::Known => Ok(StatusCode::OK),
            devices::Registered::Taken => {
                Err(ApiError::conflict("device_taken", "this device is registered by another account"))
            }
            devices::Registered::TooManyKeys => {
                Err(ApiError::unprocessable("invalid_device", "this device has had too many signing keys"))
            }
        })
        .await?;
    Ok((status, Json(Registered { device_id: device_id.0 })))
}
