//! The API as data: for each operation a function that plans the request and one that reads the answer, one file an
//! operation. Nothing here sends, waits or remembers. What comes from the server is read with limits and is never trusted to
//! be well formed: an answer that is not the protocol is an [`ApiError`] with the code [`PROTOCOL_ERROR`].

pub mod accounts;
pub mod devices;
pub mod envelopes;
pub mod findings;
pub mod health;
pub mod models;
pub mod pieces;
pub mod receipts;
pub mod records;
pub mod sessions;
pub mod trust;
pub mod uploads;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use snaptrak_domain::Secret;
use snaptrak_domain::transport::{Body, Method, Plan, Response, TransferId};

use crate::origin::Origin;

/// The code of an answer that is not what the operation answers.
pub const PROTOCOL_ERROR: &str = "protocol_error";

/// Whole time for a small request and its answer: a minute covers a cold TLS handshake on 2G.
const SMALL_TIMEOUT_MS: u64 = 60_000;
/// Answers to small requests: the longest is a batch of receipts, 200 countersignatures of some kilobytes each.
pub(crate) const SMALL_RESPONSE_BYTES_MAX: u64 = 4 << 20;
/// The slowest transfer that is waited for, bytes a second: GPRS. Slower ones time out and resume.
const SLOWEST_BYTES_PER_SECOND: u64 = 4_096;

/// Codes are words; longer ones are cut before they are kept.
const CODE_CHARACTERS_MAX: usize = 64;
/// Messages are for logs and `why`; longer ones are cut.
const MESSAGE_CHARACTERS_MAX: usize = 500;
/// No server may ask for more patience than a day.
const RETRY_AFTER_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// What every plan needs.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Where the API lives.
    pub origin: &'a Origin,
    /// Name of the transfer.
    pub id: TransferId,
    /// Access token, where the operation needs one.
    pub access: Option<&'a Secret>,
}

impl Call<'_> {
    fn plan(&self, method: Method, path: &str, headers: Vec<(String, String)>, body: Body) -> Plan {
        let mut headers = headers;
        headers.push(("accept".to_owned(), "application/json".to_owned()));
        if let Some(access) = self.access {
            headers.push(bearer(access));
        }
        let timeout_ms = timeout_ms(&body);
        Plan {
            id: self.id,
            method,
            url: self.origin.at(path),
            headers,
            body,
            timeout_ms,
            response_bytes_max: SMALL_RESPONSE_BYTES_MAX,
            into_file: None,
        }
    }

    fn json(&self, method: Method, path: &str, body: &impl Serialize) -> Plan {
        // Our own structs have text keys and no failing serialisers.
        let bytes = serde_json::to_vec(body).expect("the API's requests are plain structs");
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.plan(method, path, headers, Body::Bytes(bytes))
    }
}

/// `Authorization: Bearer ...`. A token that is no ASCII text (ours never is) sends an empty one, which is refused.
pub(crate) fn bearer(token: &Secret) -> (String, String) {
    let text = std::str::from_utf8(token.expose()).unwrap_or_default();
    ("authorization".to_owned(), format!("Bearer {text}"))
}

/// A bound for the whole transfer that grows with what it carries.
pub(crate) fn timeout_ms(body: &Body) -> u64 {
    timeout_of_bytes_ms(body_bytes(body))
}

/// The same for an answer of so many bytes.
pub(crate) fn timeout_of_bytes_ms(bytes: u64) -> u64 {
    SMALL_TIMEOUT_MS + bytes.saturating_mul(1_000) / SLOWEST_BYTES_PER_SECOND
}

/// How many bytes a body holds.
pub(crate) fn body_bytes(body: &Body) -> u64 {
    match body {
        Body::Empty => 0,
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::File { length, .. } => *length,
    }
}

/// What the server said instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {status} {code}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The server's code, or [`PROTOCOL_ERROR`].
    pub code: String,
    /// The server's sentence, cut; for people, never for decisions.
    pub message: String,
    /// When to come back, if the server said.
    pub retry_after_ms: Option<i64>,
}

impl ApiError {
    /// An answer that is not the protocol.
    pub(crate) fn protocol(response: &Response, detail: &'static str) -> Self {
        Self {
            status: response.status,
            code: PROTOCOL_ERROR.to_owned(),
            message: detail.to_owned(),
            retry_after_ms: retry_after_ms(response),
        }
    }

    /// Whether the answer was not the protocol at all.
    #[must_use]
    pub fn is_protocol(&self) -> bool {
        self.code == PROTOCOL_ERROR
    }

    /// Reads the error body that every operation shares; a proxy's page in its place becomes a code of the status.
    pub(crate) fn read(response: &Response) -> Self {
        #[derive(Deserialize)]
        struct ErrorBody {
            code: String,
            #[serde(default)]
            message: String,
            #[serde(default)]
            retry_after_ms: Option<i64>,
        }
        if response.status < 400 {
            return Self::protocol(response, "a status that this operation does not answer");
        }
        let header_ms = retry_after_ms(response);
        match serde_json::from_slice::<ErrorBody>(&response.body) {
            Ok(body) => Self {
                status: response.status,
                code: word(&body.code),
                message: body.message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
                retry_after_ms: bounded(body.retry_after_ms).max(header_ms),
            },
            Err(_) => Self {
                status: response.status,
                code: format!("http_{}", response.status),
                message: String::new(),
                retry_after_ms: header_ms,
            },
        }
    }
}

/// A code may be kept and shown, so it is held to the alphabet of codes.
pub(crate) fn word(text: &str) -> String {
    text.chars()
        .take(CODE_CHARACTERS_MAX)
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .collect()
}

fn bounded(milliseconds: Option<i64>) -> Option<i64> {
    milliseconds.map(|value| value.clamp(0, RETRY_AFTER_MS_MAX))
}

/// `Retry-After` in seconds. Its other form, a date, is read against the answer's own `Date`, so that a wrong clock here
/// does not matter.
fn retry_after_ms(response: &Response) -> Option<i64> {
    let text = response.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return bounded(Some(i64::from(seconds) * 1_000));
    }
    let until_ms = http_date_ms(text)?;
    let now_ms = http_date_ms(response.header("date")?)?;
    bounded(Some(until_ms - now_ms))
}

/// An HTTP date as Unix milliseconds.
pub(crate) fn http_date_ms(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// The JSON of an answer with one of the statuses that mean success.
pub(crate) fn read_json<T: DeserializeOwned>(response: &Response, statuses: &[u16]) -> Result<T, ApiError> {
    expect_status(response, statuses)?;
    serde_json::from_slice(&response.body)
        .map_err(|_| ApiError::protocol(response, "the body is not the expected JSON"))
}

/// Any answer with one of the statuses that mean success.
pub(crate) fn expect_status(response: &Response, statuses: &[u16]) -> Result<(), ApiError> {
    if statuses.contains(&response.status) { Ok(()) } else { Err(ApiError::read(response)) }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, body: body.as_bytes().to_vec() }
    }

    pub(crate) fn origin() -> Origin {
        Origin::parse("https://api.example").unwrap()
    }

    /// Unwraps the JSON that a plan would send.
    pub(crate) fn sent(plan: &Plan) -> serde_json::Value {
        match &plan.body {
            Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap(),
            Body::Empty | Body::File { .. } => serde_json::Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::answer;

    #[test]
    fn an_error_is_read_cut_and_bounded() {
        let body = format!(r#"{{"code":"Slow Down!","message":"{}","retry_after_ms":5}}"#, "x".repeat(9_000));
        let error = ApiError::read(&answer(429, &[("retry-after", "7")], &body));
        assert_eq!((error.status, error.code.as_str()), (429, "_low__own_"));
        assert_eq!(error.message.len(), MESSAGE_CHARACTERS_MAX);
        assert_eq!(error.retry_after_ms, Some(7_000));
        let page = ApiError::read(&answer(502, &[], "<html>bad gateway</html>"));
        assert_eq!((page.code.as_str(), page.retry_after_ms), ("http_502", None));
        assert!(ApiError::read(&answer(302, &[], "")).is_protocol());
    }

    #[test]
    fn retry_after_may_be_a_date_and_never_more_than_a_day() {
        let dates = [("date", "Sun, 22 Nov 2026 07:00:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 07:00:30 GMT")];
        assert_eq!(retry_after_ms(&answer(503, &dates, "")), Some(30_000));
        assert_eq!(retry_after_ms(&answer(503, &[("retry-after", "4000000000")], "")), Some(RETRY_AFTER_MS_MAX));
        assert_eq!(retry_after_ms(&answer(503, &[("retry-after", "soon")], "")), None);
    }
}
