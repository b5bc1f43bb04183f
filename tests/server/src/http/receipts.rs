//! Receipts: the countersignature, or what it waits for, or what is wrong.

use super::authenticate::SignedIn;
use super::body::{RECEIPTS_BODY_BYTES_MAX, read_json};
use super::envelopes::unknown_asset;
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use crate::app::AppState;
use crate::database::{AssetState, Caller, captures, verification};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use snaptrak_domain::AssetId;
use snaptrak_domain::limits::RECEIPTS_BATCH_MAX;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an asset stands.
#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Receipt {
    /// The server durably holds the same bytes and signs for it.
    Verified {
        /// Base64 of the server's COSE_Sign1.
        countersigned: String,
    },
    /// Not yet.
    Pending {
        /// `envelope` (none, or not closed), `pieces`, `device_receipt`, `verification`.
        waiting_for: Vec<&'static str>,
    },
    /// Something does not fit.
    Failed {
        /// `sealed_mismatch`, `plaintext_mismatch`, `envelope_unreadable`, `receipt_invalid`.
        code: &'static str,
        /// Which piece, if it is one's fault. After `sealed_mismatch` it may be sent again.
        #[serde(skip_serializing_if = "Option::is_none")]
        piece: Option<u32>,
        message: &'static str,
    },
    /// No record of this account announced it. In batches only; alone it is a 404.
    Unknown {
        /// `unknown_asset`.
        code: &'static str,
    },
}

/// Assets to ask for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Assets {
    /// At most 200.
    #[schema(value_type = Vec<Uuid>)]
    assets: Vec<AssetId>,
}

/// The answers, in the order of the question.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipts {
    results: Vec<AssetReceipt>,
}

/// One answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssetReceipt {
    asset_id: Uuid,
    #[serde(flatten)]
    receipt: Receipt,
}

/// Where one asset stands.
#[utoipa::path(
    get, path = "/v1/assets/{asset_id}/receipt", tag = "assets", security(("access" = [])),
    params(("asset_id" = Uuid, Path)),
    responses((status = 200, body = Receipt), (status = 404, description = "`unknown_asset`", body = ErrorBody))
)]
pub(crate) async fn one(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(asset_id): Path<String>,
) -> Result<Json<Receipt>, ApiError> {
    let asset_id: AssetId = id(&asset_id)?;
    let receipt = app.database.read(move |transaction| receipt(transaction, &caller, asset_id)).await?;
    receipt.map(Json).ok_or_else(unknown_asset)
}

/// Where many assets stand.
#[utoipa::path(
    post, path = "/v1/receipts", tag = "assets", security(("access" = [])), request_body = Assets,
    responses(
        (status = 200, body = Receipts),
        (status = 413, description = "`too_many_assets`", body = ErrorBody),
    )
)]
pub(crate) async fn many(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    body: Body,
) -> Result<Json<Receipts>, ApiError> {
    let Assets { assets } = read_json(&app, body, RECEIPTS_BODY_BYTES_MAX).await?;
    if assets.len() > RECEIPTS_BATCH_MAX {
        let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        return Err(ApiError::new(status, "too_many_assets", "a batch has at most 200 assets"));
    }
    let results = app
        .database
        .read(move |transaction| {
            let answer = |asset_id: AssetId| {
                let receipt = receipt(transaction, &caller, asset_id)?;
                let receipt = receipt.unwrap_or(Receipt::Unknown { code: "unknown_asset" });
                Ok(AssetReceipt { asset_id: asset_id.0, receipt })
            };
            assets.into_iter().map(answer).collect::<Result<Vec<_>, ApiError>>()
        })
        .await?;
    Ok(Json(Receipts { results }))
}

fn receipt(transaction: &Transaction<'_>, caller: &Caller, asset_id: AssetId) -> Result<Option<Receipt>, ApiError> {
    if captures::asset(transaction, caller, asset_id)?.is_none() {
        return Ok(None);
    }
    let row = verification::of_asset(transaction, asset_id)?;
    let contradiction = |what| ApiError::from(crate::error::Error::Contradiction { what });
    let receipt = match row.state {
        AssetState::Verified => {
            let countersigned =
                row.countersigned.ok_or_else(|| contradiction("verified without a countersignature"))?;
            Receipt::Verified { countersigned: STANDARD.encode(countersigned) }
        }
        AssetState::Failed => {
            let failure = row.failure.ok_or_else(|| contradiction("failed without a code"))?;
            let code = failure.code;
            Receipt::Failed { code: code.as_str(), piece: failure.piece, message: code.message() }
        }
        AssetState::Ready => Receipt::Pending { waiting_for: vec!["verification"] },
        AssetState::Open => {
            let waits = [
                ("envelope", !row.has_envelope || !row.closed),
                ("pieces", verification::pieces_are_missing(transaction, asset_id)?),
                ("device_receipt", !row.has_receipt),
            ];
            let waiting_for = waits.into_iter().filter(|(_, waits)| *waits).map(|(word, _)| word).collect();
            Receipt::Pending { waiting_for }
        }
    };
    Ok(Some(receipt))
}
