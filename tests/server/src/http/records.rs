//! Records in batches: each gets its own answer, so that one which is refused holds up nobody.

use super::authenticate::SignedIn;
use super::body::{RECORDS_BODY_BYTES_MAX, read_json};
use super::error::{ApiError, ErrorBody};
use super::written::{WRITTEN_COLUMN, Written};
use crate::app::{App, AppState};
use crate::database::{Caller, NewCapture, captures, devices};
use crate::edge::OsRandom;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use snaptrak_domain::UnixMs;
use snaptrak_domain::limits::{LABEL_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, RECORDS_BATCH_MAX, TAGS_MAX};
use snaptrak_domain::record::Record;
use std::collections::HashSet;
use utoipa::ToSchema;

/// Renditions of one capture: three kinds, with room for a redaction made anew.
const ASSETS_MAX: usize = 16;

/// File names and media types: the longest names of file systems, with room.
const FILE_NAME_CHARACTERS_MAX: usize = 1_024;

/// Local time is at most 14 hours ahead and 12 behind; leave room for history's odd ones.
const OFFSET_MINUTES_MAX: i32 = 18 * 60;

/// A batch.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Records {
    /// At most 100. One that breaks a rule is refused by itself.
    #[schema(value_type = Vec<super::model::RecordModel>)]
    records: Vec<Value>,
}

/// What each record came to, in the order in which they were sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordResults {
    results: Vec<RecordResult>,
}

/// What one record came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordResult {
    /// As it was sent; null where it had none.
    id: Option<String>,
    outcome: Outcome,
    /// Why it was refused: `record_invalid`, `not_yours`, `unknown_device`, `record_conflict`, `asset_conflict`,
    /// `record_refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// Whether a record was taken over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is new, or its changes are.
    Accepted,
    /// Everything was known.
    Unchanged,
    /// See its code.
    Refused,
}

/// Takes over records. Sending one again changes nothing; sending it with more assets adds them.
#[utoipa::path(
    post, path = "/v1/records", tag = "captures", security(("access" = [])), request_body = Records,
    responses(
        (status = 200, body = RecordResults),
        (status = 413, description = "`too_many_records`, `body_too_large`: send fewer", body = ErrorBody),
    )
)]
pub(crate) async fn records(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    body: Body,
) -> Result<Json<RecordResults>, ApiError> {
    let Records { records } = read_json(&app, body, RECORDS_BODY_BYTES_MAX).await?;
    if records.len() > RECORDS_BATCH_MAX {
        let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        return Err(ApiError::new(status, "too_many_records", "a batch has at most 100 records"));
    }
    let now = app.now();
    let state = app.clone();
    let results = app
        .database
        .write(move |transaction| {
            let store = |value| one(&state, transaction, &caller, value, now);
            records.into_iter().map(store).collect::<Result<Vec<_>, ApiError>>()
        })
        .await?;
    Ok(Json(RecordResults { results }))
}

fn one(
    app: &App,
    transaction: &Transaction<'_>,
    caller: &Caller,
    value: Value,
    now: UnixMs,
) -> Result<RecordResult, ApiError> {
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    let refused = |code, message| {
        Ok(RecordResult { id: id.clone(), outcome: Outcome::Refused, code: Some(code), message: Some(message) })
    };
    let Ok(record) = serde_json::from_value::<Record>(value) else {
        return refused("record_invalid", "a field is missing or has a wrong type");
    };
    if let Err(message) = check(&record) {
        return refused("record_invalid", message);
    }
    if app.config.faults.refuses(record.id) {
        return refused("record_refused", "this server refuses this capture");
    }
    if devices::owner(transaction, record.device_id)? != Some(caller.account_id) {
        return refused("unknown_device", "register the device first");
    }
    let new = new_capture(app, &record)?;
    let outcome = match captures::store(transaction, caller, &new, now)? {
        captures::Stored::Accepted => Outcome::Accepted,
        captures::Stored::Unchanged => Outcome::Unchanged,
        captures::Stored::NotYours => return refused("not_yours", "this capture belongs to another account"),
        captures::Stored::RecordConflict => {
            return refused("record_conflict", "kind, device and time of a capture never change");
        }
        captures::Stored::AssetConflict => {
            return refused("asset_conflict", "an asset belongs to another capture or is another rendition");
        }
    };
    Ok(RecordResult { id, outcome, code: None, message: None })
}

fn check(record: &Record) -> Result<(), &'static str> {
    let longer = |text: Option<&str>, max: usize| text.is_some_and(|text| text.chars().count() > max);
    if longer(record.note.as_deref(), NOTE_CHARACTERS_MAX) {
        return Err("the note is too long");
    }
    if record.tags.len() > TAGS_MAX || record.tags.iter().any(|tag| longer(Some(tag), LABEL_CHARACTERS_MAX)) {
        return Err("too many tags, or one that is too long");
    }
    if longer(record.project.as_deref(), LABEL_CHARACTERS_MAX) {
        return Err("the project's name is too long");
    }
    if longer(record.file_name.as_deref(), FILE_NAME_CHARACTERS_MAX)
        || longer(record.content_type.as_deref(), FILE_NAME_CHARACTERS_MAX)
    {
        return Err("the file's name or media type is too long");
    }
    if record.location.is_some_and(|location| !location.is_valid()) {
        return Err("the place is not on this planet");
    }
    if record.offset_minutes.abs() > OFFSET_MINUTES_MAX {
        return Err("no zone is that far from UTC");
    }
    let distinct: HashSet<_> = record.assets.iter().map(|asset| asset.id).collect();
    if record.assets.is_empty() || record.assets.len() > ASSETS_MAX || distinct.len() != record.assets.len() {
        return Err("a capture has 1 to 16 assets, each once");
    }
    Ok(())
}

fn new_capture(app: &App, record: &Record) -> Result<NewCapture, ApiError> {
    let written = Written::of(record);
    let json = written.to_json();
    let row = record.id.to_string();
    Ok(NewCapture {
        id: record.id,
        device_id: record.device_id,
        kind: record.kind,
        created_ms: record.created_ms,
        offset_minutes: record.offset_minutes,
        written_sealed: app.at_rest.seal(WRITTEN_COLUMN, row.as_bytes(), &json, &OsRandom)?,
        written_digest: app.at_rest.lookup(WRITTEN_COLUMN, &json),
        assets: record.assets.iter().map(|asset| (asset.id, asset.rendition)).collect(),
    })
}
