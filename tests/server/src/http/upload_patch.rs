//! Receiving bytes of an upload.
//!
//! Promise: a 204 says that the offset which it names is on disk. So is every offset that HEAD has ever named: the file is
//! synced before its offset is written. The request runs in a task of its own, because a client that goes away must not
//! keep what has arrived from being made durable.

use super::authenticate::CapabilityDigest;
use super::body::{BodyEnd, next_chunk};
use super::checksum::Checksum;
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use super::tus;
use super::uploads::{authorised, offset_headers, taken_over};
use crate::active_uploads::Turn;
use crate::app::{App, AppState};
use crate::database::{UploadRow, UploadState, uploads};
use crate::error::Error;
use crate::{finish_upload, folder};
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::io::SeekFrom;
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

/// Bytes after which the offset is made durable within one request: what a kill of the server costs at most.
const SYNC_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Appends bytes. Whatever arrived before a broken connection is kept, unless a checksum was announced for the whole.
#[utoipa::path(
    patch, path = "/v1/uploads/{upload_id}", tag = "uploads", security(("capability" = [])),
    params(
        ("upload_id" = Uuid, Path),
        ("Tus-Resumable" = String, Header), ("Upload-Offset" = u64, Header),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha256` or `sha1`, a space, the digest in base64"),
    ),
    request_body(content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, description = "Upload-Offset says how much is durable"),
        (status = 400, description = "`unknown_checksum`, `invalid_header`, `body_broken`", body = ErrorBody),
        (status = 401, description = "`unauthenticated`, `capability_expired`", body = ErrorBody),
        (status = 404, description = "`unknown_upload`", body = ErrorBody),
        (status = 408, description = "`body_timeout`", body = ErrorBody),
        (status = 409, description = "`offset_conflict`: the header Upload-Offset says where to go on", body = ErrorBody),
        (status = 410, description = "`upload_expired`", body = ErrorBody),
        (status = 413, description = "`piece_too_large`: more bytes than were announced", body = ErrorBody),
        (status = 415, description = "`wrong_media_type`", body = ErrorBody),
        (status = 423, description = "`taken_over` by a newer request", body = ErrorBody),
        (status = 460, description = "`checksum_mismatch`: nothing was kept; `sealed_mismatch`: the whole piece is not what \
          was announced, and the offset is 0 again", body = ErrorBody),
    )
)]
pub(crate) async fn patch(
    State(app): State<AppState>,
    capability: CapabilityDigest,
    Path(upload_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let upload_id: Uuid = id(&upload_id)?;
    if headers.get(CONTENT_TYPE).is_none_or(|value| value != tus::OFFSET_OCTET_STREAM) {
        let message = "the media type of a PATCH is application/offset+octet-stream";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_media_type", message));
    }
    let offset = tus::number(&headers, &tus::OFFSET)?;
    let checksum = headers.get(tus::CHECKSUM).map(Checksum::parse).transpose()?;
    authorised(&app, upload_id, &capability).await?;
    let task = tokio::spawn(async move { receive(&app, upload_id, &capability, offset, checksum, body).await });
    task.await.map_err(|_| Error::ThreadEnded)?
}

async fn receive(
    app: &App,
    upload_id: Uuid,
    capability: &CapabilityDigest,
    offset: u64,
    checksum: Option<Checksum>,
    body: Body,
) -> Result<Response, ApiError> {
    let mut turn = app.active_uploads.take_turn(upload_id).await.ok_or_else(taken_over)?;
    // Read again: the request before this one may have moved the offset.
    let upload = authorised(app, upload_id, capability).await?;
    if offset != upload.offset_bytes {
        let message = "the upload goes on at another offset";
        return Err(ApiError::conflict("offset_conflict", message)
            .with_header(tus::OFFSET, HeaderValue::from(upload.offset_bytes)));
    }
    if body.size_hint().lower() > upload.sealed_bytes - upload.offset_bytes {
        return Err(too_large());
    }
    if upload.state == UploadState::Stored {
        // A completion that is repeated because its answer was lost.
        return Ok((StatusCode::NO_CONTENT, offset_headers(&upload)).into_response());
    }
    let mut receiver = Receiver::open(app, upload, checksum).await?;
    let end = receiver.take_body(body, &mut turn).await?;
    receiver.settle(end).await
}

/// How taking a body ended.
enum End {
    /// The client sent everything that it announced.
    Whole,
    /// The connection broke or fell silent.
    Early(BodyEnd),
    /// A newer request waits.
    TakenOver,
    /// More bytes than the upload has.
    TooLong,
}

/// One request's work on the file.
struct Receiver<'a> {
    app: &'a App,
    upload: UploadRow,
    checksum: Option<Checksum>,
    file: File,
    path: PathBuf,
    /// Bytes in the file, durable or not.
    written: u64,
}

impl<'a> Receiver<'a> {
    async fn open(app: &'a App, upload: UploadRow, checksum: Option<Checksum>) -> Result<Self, Error> {
        let path = app.folder.upload(upload.id);
        let file = folder::private_options().open(&path).map_err(Error::file("open", &path))?;
        let mut file = File::from_std(file);
        // Bytes beyond the durable offset were never acknowledged; they may not even be what was sent.
        file.set_len(upload.offset_bytes).await.map_err(Error::file("cut", &path))?;
        file.seek(SeekFrom::Start(upload.offset_bytes)).await.map_err(Error::file("seek in", &path))?;
        let written = upload.offset_bytes;
        Ok(Self { app, upload, checksum, file, path, written })
    }

    async fn take_body(&mut self, mut body: Body, turn: &mut Turn<'_>) -> Result<End, ApiError> {
        loop {
            let chunk = tokio::select! {
                biased;
                () = turn.over() => return Ok(End::TakenOver),
                chunk = next_chunk(&mut body, self.app.config.body_idle) => chunk,
            };
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(End::Whole),
                Err(end) => return Ok(End::Early(end)),
            };
            if self.written + chunk.len() as u64 > self.upload.sealed_bytes {
                return Ok(End::TooLong);
            }
            self.file.write_all(&chunk).await.map_err(Error::file("write", &self.path))?;
            self.written += chunk.len() as u64;
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&chunk);
                continue;
            }
            let due = self.written - self.upload.offset_bytes >= SYNC_EVERY_BYTES;
            // The last bytes become durable only together with the check of the whole piece.
            if due && self.written < self.upload.sealed_bytes {
                self.make_durable(self.written).await?;
            }
        }
    }

    /// Makes durable what may be kept, and answers.
    async fn settle(mut self, end: End) -> Result<Response, ApiError> {
        let whole_request = matches!(end, End::Whole);
        let kept = match &self.checksum {
            Some(checksum) if whole_request && checksum.fits() => self.written,
            // Part of a chunk, or a wrong one, is as good as none.
            Some(_) => self.upload.offset_bytes,
            None => self.written,
        };
        let checksum_is_wrong = whole_request && kept != self.written;
        if matches!(end, End::TooLong) {
            return Err(too_large());
        }
        if kept == self.upload.sealed_bytes {
            self.sync().await?;
            let whole = finish_upload::finish(self.app, &mut self.upload).await?;
            if !whole {
                let message = "the whole piece is not what was announced; send it again from the start";
                return Err(ApiError::checksum_mismatch("sealed_mismatch", message)
                    .with_header(tus::OFFSET, HeaderValue::from(0)));
            }
        } else {
            self.make_durable(kept).await?;
        }
        match end {
            _ if checksum_is_wrong => {
                Err(ApiError::checksum_mismatch("checksum_mismatch", "the chunk's checksum differs; nothing was kept"))
            }
            End::Whole => Ok((StatusCode::NO_CONTENT, offset_headers(&self.upload)).into_response()),
            End::Early(end) => Err(end.into()),
            End::TakenOver => Err(taken_over()),
            End::TooLong => Err(too_large()),
        }
    }

    async fn make_durable(&mut self, offset: u64) -> Result<(), ApiError> {
        if offset == self.upload.offset_bytes {
            return Ok(());
        }
        self.sync().await?;
        if self.upload.offset_bytes == 0 {
            // The file's name must outlive a power cut as well.
            self.app.folder.sync_uploads()?;
        }
        let id = self.upload.id;
        self.app.database.write(move |transaction| uploads::set_offset(transaction, id, offset)).await?;
        self.upload.offset_bytes = offset;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.file.flush().await.map_err(Error::file("write", &self.path))?;
        self.file.sync_data().await.map_err(Error::file("sync", &self.path))
    }
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "piece_too_large", "more bytes than the upload has")
}
