//! Uploads: creating one, asking where it stands, taking it back. Sending bytes is in `upload_patch`.

use super::authenticate::{CapabilityDigest, SignedIn};
use super::envelopes::unknown_asset;
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use super::tus;
use crate::app::{App, AppState};
use crate::database::{Caller, UploadRow, UploadState, captures, envelopes, uploads};
use crate::edge::OsRandom;
use crate::folder;
use crate::token::Token;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rusqlite::Transaction;
use snaptrak_domain::{AssetId, OrganisationId, Sha256Digest, UnixMs};
use snaptrak_seal::envelope::PIECES_MAX;
use snaptrak_seal::piece::{self, PIECE_SEALED_BYTES_MAX};
use uuid::Uuid;

/// What a creation asks for.
#[derive(Clone, Copy)]
struct Wanted {
    asset_id: AssetId,
    piece_index: u32,
    sealed_bytes: u64,
    sealed_sha256: Sha256Digest,
}

/// Creates the upload of one sealed piece. The same piece again gives the same upload and a fresh capability.
#[utoipa::path(
    post, path = "/v1/uploads", tag = "uploads", security(("access" = [])),
    params(
        ("Tus-Resumable" = String, Header, description = "`1.0.0`"),
        ("Upload-Length" = u64, Header, description = "Bytes of the sealed file"),
        ("Upload-Metadata" = String, Header,
         description = "`asset`, `piece` (its index as text), `sha256` (of the sealed file, hexadecimal), each base64"),
    ),
    responses(
        (status = 200, description = "It was known. Headers as for 201, and Upload-Offset says how much of it is here"),
        (status = 201, description = "Location, SnapTrak-Capability, SnapTrak-Capability-Expires, Upload-Expires"),
        (status = 404, description = "`unknown_asset`", body = ErrorBody),
        (status = 409, description = "`piece_conflict`: another digest or length for the same piece", body = ErrorBody),
        (status = 412, description = "`tus_version`", body = ErrorBody),
        (status = 413, description = "`piece_too_large`", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = wanted(&headers)?;
    let now = app.now();
    let token = Token::new(&OsRandom)?;
    let digest = token.digest;
    let expires_ms = UnixMs(now.0 + app.config.capability_ms);
    let new = UploadRow {
        id: OrganisationId::new(now, &OsRandom)?.0,
        organisation_id: caller.organisation_id,
        asset_id: wanted.asset_id,
        piece_index: wanted.piece_index,
        sealed_bytes: wanted.sealed_bytes,
        sealed_sha256: wanted.sealed_sha256,
        state: UploadState::Receiving,
        offset_bytes: 0,
        expires_ms: tus::upload_ends(&app),
    };
    let (upload, status) = app
        .database
        .write(move |transaction| {
            let found = find_or_insert(transaction, &caller, new, now)?;
            uploads::add_capability(transaction, found.0.id, &digest, expires_ms, now)?;
            Ok::<_, ApiError>(found)
        })
        .await?;
    let mut response = (status, offset_headers(&upload)).into_response();
    let headers = response.headers_mut();
    let location = format!("/v1/uploads/{}", upload.id);
    headers.insert(LOCATION, HeaderValue::from_str(&location).expect("a path with a UUID is ASCII"));
    let mut capability = HeaderValue::from_str(&token.text).expect("base64 is ASCII");
    capability.set_sensitive(true);
    headers.insert(tus::CAPABILITY, capability);
    headers.insert(tus::CAPABILITY_EXPIRES, HeaderValue::from(expires_ms.0));
    Ok(response)
}

fn wanted(headers: &HeaderMap) -> Result<Wanted, ApiError> {
    let invalid = |message| ApiError::bad_request("invalid_header", message);
    let sealed_bytes = tus::number(headers, &tus::LENGTH)?;
    if sealed_bytes > PIECE_SEALED_BYTES_MAX {
        let message = "a sealed piece is never that long";
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "piece_too_large", message)
            .with_header(tus::MAX_SIZE, HeaderValue::from(PIECE_SEALED_BYTES_MAX)));
    }
    if piece::plain_bytes(sealed_bytes).is_none() {
        return Err(invalid("no sealed piece has this length"));
    }
    let word =
        |key| tus::metadata(headers, key).ok_or_else(|| invalid("Upload-Metadata needs asset, piece and sha256"));
    let piece_index: u32 = word("piece")?.parse().map_err(|_| invalid("piece must be an index"))?;
    if piece_index as usize >= PIECES_MAX {
        return Err(invalid("piece is beyond the last index"));
    }
    Ok(Wanted {
        asset_id: id(&word("asset")?)?,
        piece_index,
        sealed_bytes,
        sealed_sha256: word("sha256")?.parse().map_err(|_| invalid("sha256 must be 64 hexadecimal digits"))?,
    })
}

fn find_or_insert(
    transaction: &Transaction<'_>,
    caller: &Caller,
    new: UploadRow,
    now: UnixMs,
) -> Result<(UploadRow, StatusCode), ApiError> {
    let conflict = || ApiError::conflict("piece_conflict", "this piece is known with another digest or length");
    captures::asset(transaction, caller, new.asset_id)?.ok_or_else(unknown_asset)?;
    if let Some(known) = uploads::of_piece(transaction, caller.organisation_id, new.asset_id, new.piece_index)? {
        let same = known.sealed_sha256 == new.sealed_sha256 && known.sealed_bytes == new.sealed_bytes;
        if !same {
            return Err(conflict());
        }
        uploads::extend(transaction, known.id, new.expires_ms)?;
        return Ok((UploadRow { expires_ms: new.expires_ms, ..known }, StatusCode::OK));
    }
    if let Some(listed) = envelopes::piece(transaction, new.asset_id, new.piece_index)?
        && (listed.sealed_sha256 != new.sealed_sha256 || listed.sealed_bytes != new.sealed_bytes)
    {
        return Err(conflict());
    }
    uploads::insert(transaction, &new, now)?;
    Ok((new, StatusCode::CREATED))
}

/// Where an upload stands.
#[utoipa::path(
    head, path = "/v1/uploads/{upload_id}", tag = "uploads", security(("capability" = [])),
    params(("upload_id" = Uuid, Path), ("Tus-Resumable" = String, Header)),
    responses(
        (status = 200, description = "Upload-Offset (durable bytes), Upload-Length, Upload-Expires"),
        (status = 401, description = "`unauthenticated`, `capability_expired`: create the upload again for a fresh one"),
        (status = 404, description = "No such upload, or the capability is another one's"),
        (status = 410, description = "The unfinished upload has expired: create it again"),
    )
)]
pub(crate) async fn head(
    State(app): State<AppState>,
    capability: CapabilityDigest,
    Path(upload_id): Path<String>,
) -> Result<Response, ApiError> {
    let upload = authorised(&app, id(&upload_id)?, &capability).await?;
    let headers =
        [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (tus::LENGTH, HeaderValue::from(upload.sealed_bytes))];
    Ok((StatusCode::OK, headers, offset_headers(&upload)).into_response())
}

/// Takes an unfinished upload back, with its bytes.
#[utoipa::path(
    delete, path = "/v1/uploads/{upload_id}", tag = "uploads", security(("capability" = [])),
    params(("upload_id" = Uuid, Path), ("Tus-Resumable" = String, Header)),
    responses(
        (status = 204),
        (status = 403, description = "`upload_finished`: a whole piece is evidence and is not taken back", body = ErrorBody),
        (status = 404, description = "`unknown_upload`", body = ErrorBody),
    )
)]
pub(crate) async fn terminate(
    State(app): State<AppState>,
    capability: CapabilityDigest,
    Path(upload_id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let upload_id: Uuid = id(&upload_id)?;
    authorised(&app, upload_id, &capability).await?;
    let _turn = app.active_uploads.take_turn(upload_id).await.ok_or_else(taken_over)?;
    let upload = authorised(&app, upload_id, &capability).await?;
    if upload.state == UploadState::Stored {
        let message = "a whole piece is evidence and is not taken back";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "upload_finished", message));
    }
    app.database.write(move |transaction| uploads::delete(transaction, upload_id)).await?;
    folder::remove_file(&app.folder.upload(upload_id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The upload, if the capability is good for it now.
pub(crate) async fn authorised(
    app: &App,
    upload_id: Uuid,
    capability: &CapabilityDigest,
) -> Result<UploadRow, ApiError> {
    let digest = capability.0;
    let found = app.database.read(move |transaction| uploads::by_capability(transaction, upload_id, &digest)).await?;
    let unknown = || ApiError::not_found("unknown_upload", "there is no such upload for this capability");
    let (upload, capability_expires_ms) = found.ok_or_else(unknown)?;
    if capability_expires_ms <= app.now() {
        let message = "the capability has expired; create the upload again for a fresh one";
        return Err(ApiError::unauthorized("capability_expired", message));
    }
    if upload.state == UploadState::Receiving && upload.expires_ms <= app.now() {
        return Err(ApiError::new(
            StatusCode::GONE,
            "upload_expired",
            "the unfinished upload has expired; create it again",
        ));
    }
    Ok(upload)
}

/// `Upload-Offset`, and `Upload-Expires` while there is something to expire.
pub(crate) fn offset_headers(upload: &UploadRow) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(tus::OFFSET, HeaderValue::from(upload.offset_bytes));
    if upload.state == UploadState::Receiving {
        headers.insert(tus::EXPIRES, tus::expires(upload.expires_ms));
    }
    headers
}

pub(crate) fn taken_over() -> ApiError {
    ApiError::new(StatusCode::LOCKED, "taken_over", "a newer request works on this upload; ask for its offset")
}
