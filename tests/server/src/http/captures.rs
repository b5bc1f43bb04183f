//! Reading captures back: what the server holds of them, so that anyone can check without our client.

use super::authenticate::SignedIn;
use super::content::Content;
use super::envelopes::unknown_asset;
use super::error::{ApiError, ErrorBody};
use super::findings::{self as sealed_findings, unknown_capture};
use super::ids::id;
use super::written::Written;
use crate::app::{App, AppState};
use crate::database::{AssetRow, AssetState, CaptureRow, captures, findings, uploads};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, CaptureId, Finding, Location, Sha256Digest};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Captures of one page, unless fewer are asked for.
const PAGE_MAX: u32 = 100;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The last id of the page before.
    after: Option<String>,
    /// 1 to 100.
    limit: Option<u32>,
}

/// A page of captures in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(crate) struct Captures {
    captures: Vec<Capture>,
    /// `after` of the next page; null at the end.
    next: Option<Uuid>,
}

/// A capture as the server knows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Capture {
    id: Uuid,
    kind: &'static str,
    created_ms: i64,
    offset_minutes: i32,
    device_id: Uuid,
    received_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::model::LocationModel>)]
    location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    assets: Vec<Asset>,
    #[schema(value_type = Vec<super::model::FindingModel>)]
    findings: Vec<Finding>,
}

/// An asset of a capture.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asset {
    id: Uuid,
    rendition: &'static str,
    /// Of the plaintext, hexadecimal; null until the envelope is closed.
    #[schema(value_type = Option<String>)]
    sha256: Option<Sha256Digest>,
    /// Of the plaintext; null without an envelope.
    bytes: Option<u64>,
    /// `announced`, `sending`, `received`, `verified` or `failed`.
    state: &'static str,
    /// Whole pieces only.
    pieces: Vec<Piece>,
}

/// A piece that the server holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Piece {
    index: u32,
    /// Of the sealed file.
    bytes: u64,
    /// Of the sealed file, hexadecimal.
    #[schema(value_type = String)]
    sha256: Sha256Digest,
}

/// Lists the caller's captures.
#[utoipa::path(
    get, path = "/v1/captures", tag = "captures", security(("access" = [])), params(Page),
    responses((status = 200, body = Captures), (status = 400, description = "`invalid_id`", body = ErrorBody))
)]
pub(crate) async fn list(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Captures>, ApiError> {
    let Query(page) = page.map_err(|_| ApiError::bad_request("invalid_query", "limit is a number"))?;
    let after: Option<CaptureId> = page.after.as_deref().map(id).transpose()?;
    let limit = page.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let state = app.clone();
    let read = move |transaction: &Transaction<'_>| {
        let rows = captures::page(transaction, &caller, after, limit)?;
        rows.iter().map(|row| capture(&state, transaction, row)).collect::<Result<Vec<_>, ApiError>>()
    };
    let captures = app.database.read(read).await?;
    let full = captures.len() == limit as usize;
    let next = captures.last().filter(|_| full).map(|capture| capture.id);
    Ok(Json(Captures { captures, next }))
}

/// One of the caller's captures.
#[utoipa::path(
    get, path = "/v1/captures/{capture_id}", tag = "captures", security(("access" = [])),
    params(("capture_id" = Uuid, Path)),
    responses((status = 200, body = Capture), (status = 404, description = "`unknown_capture`", body = ErrorBody))
)]
pub(crate) async fn one(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(capture_id): Path<String>,
) -> Result<Json<Capture>, ApiError> {
    let capture_id: CaptureId = id(&capture_id)?;
    let state = app.clone();
    let read = move |transaction: &Transaction<'_>| {
        let row = captures::one(transaction, &caller, capture_id)?.ok_or_else(unknown_capture)?;
        capture(&state, transaction, &row)
    };
    app.database.read(read).await.map(Json)
}

/// The sealed bytes of one piece.
#[utoipa::path(
    get, path = "/v1/assets/{asset_id}/pieces/{index}", tag = "assets", security(("access" = [])),
    params(
        ("asset_id" = Uuid, Path),
        ("index" = u32, Path),
        ("Range" = Option<String>, Header, description = "`bytes=N-` alone: goes on where a download broke off"),
    ),
    responses(
        (status = 200, description = "The sealed file", content_type = "application/octet-stream"),
        (status = 206, description = "The rest of the sealed file, with `Content-Range`", content_type = "application/octet-stream"),
        (status = 404, description = "`unknown_asset`, `unknown_piece`", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`: the file is not that long", body = ErrorBody),
    )
)]
pub(crate) async fn piece(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path((asset_id, index)): Path<(String, String)>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let asset_id: AssetId = id(&asset_id)?;
    let unknown_piece = || ApiError::not_found("unknown_piece", "the server does not hold this piece");
    let index: u32 = index.parse().map_err(|_| unknown_piece())?;
    let upload = app
        .database
        .read(move |transaction| {
            captures::asset(transaction, &caller, asset_id)?.ok_or_else(unknown_asset)?;
            let upload = uploads::of_piece(transaction, caller.organisation_id, asset_id, index)?;
            upload.filter(|upload| upload.state == uploads::UploadState::Stored).ok_or_else(unknown_piece)
        })
        .await?;
    let path = app.folder.piece(asset_id, index);
    super::file_body::answer(&path, upload.sealed_bytes, &upload.sealed_sha256, &asked).await
}

fn capture(app: &App, transaction: &Transaction<'_>, row: &CaptureRow) -> Result<Capture, ApiError> {
    let Written { note, tags, project, file_name, location, content_type } =
        Written::open(&app.at_rest, row.id, &row.written_sealed)?;
    let assets = captures::assets(transaction, row.id)?;
    let assets = assets.iter().map(|row| asset(app, transaction, row)).collect::<Result<_, _>>()?;
    let mut all_findings = Vec::new();
    for sealed in findings::of_capture(transaction, row.id)? {
        all_findings.extend(sealed_findings::open(&app.at_rest, row.id, &sealed)?);
    }
    Ok(Capture {
        id: row.id.0,
        kind: row.kind.as_str(),
        created_ms: row.created_ms.0,
        offset_minutes: row.offset_minutes,
        device_id: row.device_id.0,
        received_ms: row.received_ms.0,
        note,
        tags,
        project,
        file_name,
        location,
        content_type,
        assets,
        findings: all_findings,
    })
}

fn asset(app: &App, transaction: &Transaction<'_>, row: &AssetRow) -> Result<Asset, ApiError> {
    let content =
        row.content_sealed.as_deref().map(|sealed| Content::open(&app.at_rest, row.id, sealed)).transpose()?;
    let stored = uploads::stored(transaction, row.id)?;
    let state = match row.state {
        AssetState::Open if uploads::any_bytes(transaction, row.id)? => "sending",
        AssetState::Open => "announced",
        AssetState::Ready => "received",
        AssetState::Verified => "verified",
        AssetState::Failed => "failed",
    };
    let piece = |upload: &uploads::UploadRow| Piece {
        index: upload.piece_index,
        bytes: upload.sealed_bytes,
        sha256: upload.sealed_sha256,
    };
    Ok(Asset {
        id: row.id.0,
        rendition: row.rendition.as_str(),
        sha256: content.and_then(|content| content.sha256),
        bytes: content.map(|content| content.bytes),
        state,
        pieces: stored.iter().map(piece).collect(),
    })
}
