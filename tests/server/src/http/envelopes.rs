//! Envelopes: opened with the organisation's key and authenticated before anything of them is believed or kept.

use super::authenticate::SignedIn;
use super::body::read_bytes;
use super::content::Content;
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use crate::app::{App, AppState};
use crate::database::{AssetState, EnvelopeRow, NewEnvelopeRow, StoredAsset, captures, envelopes, verification};
use crate::organisation::Organisation;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Transaction;
use snaptrak_domain::{AssetId, SealedMetadata, UnixMs};
use snaptrak_seal::envelope::ENVELOPE_BYTES_MAX;
use snaptrak_seal::{Envelope, EnvelopeContent, EnvelopeError, RecipientRole, UntrustedEnvelope, UntrustedReceipt};

/// The device's receipt as base64 of its COSE_Sign1. Assets of very many pieces carry it inside the envelope instead,
/// because a header has a bound.
pub(crate) const RECEIPT_HEADER: &str = "snaptrak-device-receipt";

/// Why an envelope does not open.
pub(crate) enum OpenError {
    /// No wrap for a key that this organisation has.
    UnknownKey,
    /// It does not open, is not authentic, or contradicts itself.
    Unreadable(&'static str),
}

/// An envelope that was opened.
pub(crate) struct Opened {
    pub(crate) envelope: Envelope,
    pub(crate) metadata: SealedMetadata,
    pub(crate) data_key: snaptrak_seal::DataKey,
    pub(crate) wrap_key_id: snaptrak_domain::Sha256Digest,
}

/// Opens an envelope with the organisation's key and checks everything that it says of itself.
pub(crate) fn open(untrusted: UntrustedEnvelope, organisation: &Organisation) -> Result<Opened, OpenError> {
    let claims = untrusted.claims();
    let mut wraps = claims.wraps.iter().filter(|wrap| wrap.recipient == RecipientRole::Organisation);
    let (wrap, key) =
        wraps.find_map(|wrap| Some((wrap, organisation.upload_key(&wrap.key_id)?))).ok_or(OpenError::UnknownKey)?;
    if claims.organisation_id != Some(organisation.id) {
        return Err(OpenError::Unreadable("the envelope names another organisation"));
    }
    let wrap_key_id = wrap.key_id;
    let data_key = wrap
        .open(key, claims.organisation_id, claims.asset_id)
        .map_err(|_| OpenError::Unreadable("the organisation's wrap does not open"))?;
    let envelope = untrusted
        .authenticate(&data_key)
        .map_err(|_| OpenError::Unreadable("the envelope is not authentic under its data key"))?;
    let metadata = envelope
        .metadata(&data_key)
        .map_err(|_| OpenError::Unreadable("the sealed metadata does not open or contradicts the envelope"))?;
    Ok(Opened { envelope, metadata, data_key, wrap_key_id })
}

/// Replaces an asset's envelope whole. Pieces that were listed stay listed; wraps and receipts may change.
#[utoipa::path(
    put, path = "/v1/assets/{asset_id}/envelope", tag = "assets", security(("access" = [])),
    params(
        ("asset_id" = Uuid, Path),
        ("SnapTrak-Device-Receipt" = Option<String>, Header, description = "Base64 of the device's COSE_Sign1; may be \
          absent until the envelope is closed, or stand inside the envelope"),
    ),
    request_body(content_type = "application/json", description = "The exact bytes of the envelope file"),
    responses(
        (status = 204, description = "Durable"),
        (status = 404, description = "`unknown_asset`: send its record first", body = ErrorBody),
        (status = 409, description = "`wrap_unknown_key`: fetch the trust bundle; `envelope_conflict`: pieces that were \
          listed are missing or differ", body = ErrorBody),
        (status = 422, description = "`envelope_invalid`, `receipt_invalid`", body = ErrorBody),
    )
)]
pub(crate) async fn put_envelope(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(asset_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let asset_id: AssetId = id(&asset_id)?;
    let find = move |transaction: &Transaction<'_>| captures::asset(transaction, &caller, asset_id);
    let asset = app.database.read(find).await?.ok_or_else(unknown_asset)?;
    let file = read_bytes(&app, body, ENVELOPE_BYTES_MAX).await?;
    let header = receipt_header(&headers)?;
    let now = app.now();
    let state = app.clone();
    let prepare = move || new_row(&state, &asset, asset_id, file, header);
    let row = tokio::task::spawn_blocking(prepare).await.map_err(|_| crate::error::Error::ThreadEnded)??;
    let ready = app.database.write(move |transaction| replace(transaction, &row, now)).await?;
    if ready {
        app.ready.notify_one();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The exact bytes of an asset's envelope.
#[utoipa::path(
    get, path = "/v1/assets/{asset_id}/envelope", tag = "assets", security(("access" = [])),
    params(("asset_id" = Uuid, Path)),
    responses(
        (status = 200, description = "The envelope file", content_type = "application/json"),
        (status = 404, description = "`unknown_asset`, `no_envelope`", body = ErrorBody),
    )
)]
pub(crate) async fn get_envelope(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(asset_id): Path<String>,
) -> Result<Response, ApiError> {
    let asset_id: AssetId = id(&asset_id)?;
    let file = app
        .database
        .read(move |transaction| match captures::asset(transaction, &caller, asset_id)? {
            None => Err(unknown_asset()),
            Some(_) => Ok(envelopes::file(transaction, asset_id)?),
        })
        .await?;
    let file = file.ok_or_else(|| ApiError::not_found("no_envelope", "the asset has no envelope yet"))?;
    Ok(([(CONTENT_TYPE, "application/json")], Body::from(file)).into_response())
}

pub(crate) fn unknown_asset() -> ApiError {
    ApiError::not_found("unknown_asset", "no record of yours announced this asset")
}

fn receipt_header(headers: &HeaderMap) -> Result<Option<Vec<u8>>, ApiError> {
    headers.get(RECEIPT_HEADER).map(|value| STANDARD.decode(value).map_err(|_| invalid_receipt())).transpose()
}

fn invalid_receipt() -> ApiError {
    ApiError::unprocessable("receipt_invalid", "the device's receipt is not the base64 of a tagged COSE_Sign1")
}

fn new_row(
    app: &App,
    asset: &StoredAsset,
    asset_id: AssetId,
    file: Vec<u8>,
    header: Option<Vec<u8>>,
) -> Result<NewEnvelopeRow, ApiError> {
    let invalid = |message: String| ApiError::unprocessable("envelope_invalid", message);
    let untrusted = UntrustedEnvelope::parse(&file).map_err(|error: EnvelopeError| invalid(error.to_string()))?;
    if !is_of(untrusted.claims(), asset, asset_id) {
        return Err(invalid("the envelope is of another asset, capture, device or rendition".to_owned()));
    }
    let opened = open(untrusted, &app.organisation).map_err(|error| match error {
        OpenError::UnknownKey => {
            ApiError::conflict("wrap_unknown_key", "the data key is not wrapped for a key of this organisation")
        }
        OpenError::Unreadable(message) => invalid(message.to_owned()),
    })?;
    let content = opened.envelope.content();
    let device_receipt = header.or_else(|| content.receipt.as_ref().map(|receipt| receipt.device.clone()));
    if device_receipt.as_deref().is_some_and(|receipt| UntrustedReceipt::parse(receipt).is_err()) {
        return Err(invalid_receipt());
    }
    let summary = Content { bytes: opened.metadata.bytes, sha256: opened.metadata.sha256 };
    Ok(NewEnvelopeRow {
        asset_id,
        envelope: file,
        closed: content.closed,
        pieces: content.pieces.clone(),
        device_receipt,
        content_sealed: summary.seal(&app.at_rest, asset_id)?,
    })
}

fn is_of(claims: &EnvelopeContent, asset: &StoredAsset, asset_id: AssetId) -> bool {
    claims.asset_id == asset_id
        && claims.capture_id == asset.capture_id
        && claims.device_id == asset.device_id
        && claims.rendition == asset.rendition
}

/// Replaces the stored envelope; whether its asset is now ready to be verified.
fn replace(transaction: &Transaction<'_>, row: &NewEnvelopeRow, now: UnixMs) -> Result<bool, ApiError> {
    let Some(known) = envelopes::current(transaction, row.asset_id)? else {
        return Ok(envelopes::replace(transaction, row, now)?);
    };
    let state = verification::of_asset(transaction, row.asset_id)?.state;
    let same_receipt = row.device_receipt.is_none() || row.device_receipt == known.device_receipt;
    let may_change = match state {
        AssetState::Verified => same_receipt && row.closed && row.pieces == known.pieces,
        AssetState::Open | AssetState::Ready => extends(&known, row),
        // Nothing was countersigned, and what was listed proved wrong.
        AssetState::Failed => true,
    };
    if !may_change {
        let message = "pieces that were listed are missing or differ, or what was countersigned would change";
        return Err(ApiError::conflict("envelope_conflict", message));
    }
    // The same again must not make a verifier that is at work begin anew.
    let unchanged = same_receipt && envelopes::file(transaction, row.asset_id)?.as_ref() == Some(&row.envelope);
    if unchanged && state != AssetState::Failed {
        return Ok(state == AssetState::Ready);
    }
    Ok(envelopes::replace(transaction, row, now)?)
}

fn extends(known: &EnvelopeRow, new: &NewEnvelopeRow) -> bool {
    new.pieces.starts_with(&known.pieces) && (!known.closed || (new.closed && new.pieces.len() == known.pieces.len()))
}
