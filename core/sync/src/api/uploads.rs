//! Uploads of pieces: tus 1.0.0 with creation, and a capability for each upload instead of the access token.
//!
//! Source: <https://tus.io/protocols/resumable-upload>. What an answer means for the upload as a whole is decided in
//! `crate::tus`; here it is only read.

use base64::{Engine, engine::general_purpose::STANDARD};
use snaptrak_domain::queue_store::{OutgoingPiece, PieceBytes, Upload};
use snaptrak_domain::transport::{Body, Method, Plan, Response, TransferId};
use snaptrak_domain::{AssetId, Secret, UnixMs};

use super::{ApiError, Call, SMALL_RESPONSE_BYTES_MAX, bearer, timeout_ms};
use crate::origin::Origin;

const UPLOADS_PATH: &str = "/v1/uploads";
const TUS_VERSION: &str = "1.0.0";
/// A capability is a token like others.
const CAPABILITY_CHARACTERS_MAX: usize = 8_192;

/// A created upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Where it is and what opens it.
    pub upload: Upload,
    /// Bytes that the server has already; absent if it did not say.
    pub offset: Option<u64>,
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Bytes that the server has.
    pub offset: u64,
    /// Bytes that it expects in all, if it said.
    pub length: Option<u64>,
}

/// Plans the creation. Repeating it for the same piece gives the same upload and a fresh capability.
#[must_use]
pub fn plan_create(call: &Call<'_>, asset_id: AssetId, index: u32, piece: &OutgoingPiece) -> Plan {
    let entry = |name: &str, value: &str| format!("{name} {}", STANDARD.encode(value));
    let metadata = [
        entry("asset", &asset_id.to_string()),
        entry("piece", &index.to_string()),
        entry("sha256", &piece.sealed_sha256.to_string()),
    ]
    .join(",");
    let headers = vec![
        tus_resumable(),
        ("upload-length".to_owned(), piece.sealed_bytes.to_string()),
        ("upload-metadata".to_owned(), metadata),
    ];
    call.plan(Method::Post, UPLOADS_PATH, headers, Body::Empty)
}

/// Reads where the upload is. A `Location` of another origin is refused: a capability would go there.
pub fn read_create(response: &Response, origin: &Origin) -> Result<Created, ApiError> {
    if !matches!(response.status, 200 | 201) {
        return Err(ApiError::read(response));
    }
    require_tus(response)?;
    let location = response.header("location").ok_or_else(|| ApiError::protocol(response, "no location"))?;
    let url = origin
        .resolve(UPLOADS_PATH, location)
        .map_err(|_| ApiError::protocol(response, "a location of another origin"))?;
    let offset = match response.header("upload-offset") {
        Some(text) => Some(number(text).ok_or_else(|| ApiError::protocol(response, "an offset that is no number"))?),
        // A new upload is empty; an old one without an offset has to be asked.
        None if response.status == 201 => Some(0),
        None => None,
    };
    let capability = response.header("snaptrak-capability").unwrap_or_default();
    let usable =
        capability.len() <= CAPABILITY_CHARACTERS_MAX && capability.bytes().all(|byte| byte.is_ascii_graphic());
    if !usable {
        return Err(ApiError::protocol(response, "a capability that cannot stand in a header"));
    }
    let expires = response.header("snaptrak-capability-expires").and_then(|text| text.trim().parse().ok());
    Ok(Created {
        upload: Upload {
            url,
            capability: Secret::new(capability.as_bytes().to_vec()),
            // Without an expiry it is used until the server refuses it.
            expires: UnixMs(expires.unwrap_or(i64::MAX)),
        },
        offset,
    })
}

/// Plans the question how many bytes the server has.
#[must_use]
pub fn plan_standing(id: TransferId, upload: &Upload) -> Plan {
    upload_plan(id, Method::Head, upload, Vec::new(), Body::Empty)
}

/// Reads how many bytes the server has.
pub fn read_standing(response: &Response) -> Result<Standing, ApiError> {
    if !matches!(response.status, 200 | 204) {
        return Err(ApiError::read(response));
    }
    require_tus(response)?;
    let offset = read_offset(response)?;
    let length = response.header("upload-length").and_then(number);
    Ok(Standing { offset, length })
}

/// Plans the sending of the bytes from `offset` on, `length` of them.
#[must_use]
pub fn plan_append(id: TransferId, upload: &Upload, source: &PieceBytes, offset: u64, length: u64) -> Plan {
    let headers = vec![
        ("content-type".to_owned(), "application/offset+octet-stream".to_owned()),
        ("upload-offset".to_owned(), offset.to_string()),
    ];
    let body = match source {
        PieceBytes::File(path) => Body::File { path: path.clone(), offset, length },
        PieceBytes::Inline(bytes) => {
            let whole = bytes.len();
            let start = usize::try_from(offset).unwrap_or(whole).min(whole);
            let end = usize::try_from(offset.saturating_add(length)).unwrap_or(whole).min(whole);
            Body::Bytes(bytes[start..end].to_vec())
        }
    };
    upload_plan(id, Method::Patch, upload, headers, body)
}

/// Reads the offset after an append. Success is 204 *and* the version header *and* an offset; whether it is the expected one
/// is for `crate::tus`.
pub fn read_append(response: &Response) -> Result<u64, ApiError> {
    if response.status != 204 {
        return Err(ApiError::read(response));
    }
    require_tus(response)?;
    read_offset(response)
}

fn upload_plan(id: TransferId, method: Method, upload: &Upload, headers: Vec<(String, String)>, body: Body) -> Plan {
    let mut headers = headers;
    headers.push(tus_resumable());
    if !upload.capability.expose().is_empty() {
        headers.push(bearer(&upload.capability));
    }
    let timeout_ms = timeout_ms(&body);
    Plan {
        id,
        method,
        url: upload.url.clone(),
        headers,
        body,
        timeout_ms,
        response_bytes_max: SMALL_RESPONSE_BYTES_MAX,
        into_file: None,
    }
}

fn tus_resumable() -> (String, String) {
    ("tus-resumable".to_owned(), TUS_VERSION.to_owned())
}

/// A proxy that answers 204 to everything is no tus server.
fn require_tus(response: &Response) -> Result<(), ApiError> {
    match response.header("tus-resumable") {
        Some(TUS_VERSION) => Ok(()),
        Some(_) | None => Err(ApiError::protocol(response, "not tus 1.0.0")),
    }
}

fn read_offset(response: &Response) -> Result<u64, ApiError> {
    response
        .header("upload-offset")
        .and_then(number)
        .ok_or_else(|| ApiError::protocol(response, "no usable upload-offset"))
}

/// Digits only: `u64::from_str` would also take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{answer, origin};
    use snaptrak_domain::Sha256Digest;

    fn piece(bytes: &[u8]) -> OutgoingPiece {
        OutgoingPiece {
            source: PieceBytes::Inline(bytes.to_vec()),
            sealed_bytes: bytes.len() as u64,
            sealed_sha256: Sha256Digest([1; 32]),
        }
    }

    fn upload() -> Upload {
        Upload {
            url: "https://api.example/v1/uploads/7".into(),
            capability: Secret::new(b"cap".to_vec()),
            expires: UnixMs(1),
        }
    }

    #[test]
    fn a_creation_names_asset_piece_and_digest() {
        let origin = origin();
        let access = Secret::new(b"access".to_vec());
        let call = Call { origin: &origin, id: TransferId(1), access: Some(&access) };
        let plan = plan_create(&call, AssetId::from_bytes([2; 16]), 0, &piece(b"abc"));
        let header = |name: &str| plan.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(header("upload-length"), Some("3"));
        assert_eq!(header("authorization"), Some("Bearer access"));
        assert!(header("upload-metadata").unwrap().contains("piece MA==,sha256 "));
    }

    #[test]
    fn a_location_elsewhere_is_refused() {
        let good = [("tus-resumable", "1.0.0"), ("location", "/v1/uploads/7"), ("snaptrak-capability", "cap")];
        let created = read_create(&answer(201, &good, ""), &origin()).unwrap();
        assert_eq!((created.upload.url.as_str(), created.offset), ("https://api.example/v1/uploads/7", Some(0)));
        let known = read_create(&answer(200, &good, ""), &origin()).unwrap();
        assert_eq!(known.offset, None);
        let away = [("tus-resumable", "1.0.0"), ("location", "https://evil.example/7"), ("snaptrak-capability", "cap")];
        assert!(read_create(&answer(201, &away, ""), &origin()).unwrap_err().is_protocol());
    }

    #[test]
    fn a_204_alone_is_no_success() {
        assert!(read_append(&answer(204, &[("upload-offset", "3")], "")).unwrap_err().is_protocol());
        assert!(read_append(&answer(204, &[("tus-resumable", "1.0.0")], "")).unwrap_err().is_protocol());
        let odd = [("tus-resumable", "1.0.0"), ("upload-offset", "+3")];
        assert!(read_append(&answer(204, &odd, "")).unwrap_err().is_protocol());
        let good = [("tus-resumable", "1.0.0"), ("upload-offset", "3")];
        assert_eq!(read_append(&answer(204, &good, "")), Ok(3));
    }

    #[test]
    fn an_append_carries_the_capability_and_its_range_only() {
        let plan = plan_append(TransferId(1), &upload(), &PieceBytes::Inline(b"abcdef".to_vec()), 2, 3);
        assert!(plan.body == Body::Bytes(b"cde".to_vec()));
        assert!(plan.headers.contains(&("authorization".to_owned(), "Bearer cap".to_owned())));
        assert!(plan.headers.contains(&("upload-offset".to_owned(), "2".to_owned())));
    }
}
