//! Fetching the organisation's signed manifest of models, and the files that it names. What is signed is judged elsewhere.

use snaptrak_domain::Sha256Digest;
use snaptrak_domain::transport::{Body, IntoFile, Method, Plan, Response};
use snaptrak_seal::signed_models::SIGNED_MODELS_BYTES_MAX;

use super::{ApiError, Call, expect_status, timeout_of_bytes_ms};

/// The server's word for having published nothing.
const NO_MODELS: &str = "no_models";

/// Plans asking for the newest signed manifest, unless it is the one with this digest.
#[must_use]
pub fn plan_newest(call: &Call<'_>, known: Option<&Sha256Digest>) -> Plan {
    let headers = known.map(|known| ("if-none-match".to_owned(), etag(known)));
    let mut plan = call.plan(Method::Get, "/v1/models", headers.into_iter().collect(), Body::Empty);
    plan.response_bytes_max = SIGNED_MODELS_BYTES_MAX as u64;
    plan.timeout_ms = timeout_of_bytes_ms(plan.response_bytes_max);
    plan
}

/// The signed manifest's exact bytes; `None` if it is the known one, or if nothing was published.
pub fn read_newest(response: &Response) -> Result<Option<&[u8]>, ApiError> {
    if response.status == 304 {
        return Ok(None);
    }
    match expect_status(response, &[200]) {
        Ok(()) => Ok(Some(&response.body)),
        Err(error) if error.status == 404 && error.code == NO_MODELS => Ok(None),
        Err(error) => Err(error),
    }
}

/// Plans fetching one file, from where an earlier attempt broke off.
#[must_use]
pub fn plan_file(call: &Call<'_>, sha256: &Sha256Digest, into: IntoFile) -> Plan {
    let mut headers = Vec::new();
    if into.held_bytes > 0 {
        headers.push(("range".to_owned(), format!("bytes={}-", into.held_bytes)));
        // The rest of another file would be of no use.
        headers.push(("if-range".to_owned(), etag(sha256)));
    }
    let mut plan = call.plan(Method::Get, &format!("/v1/models/files/{sha256}"), headers, Body::Empty);
    plan.timeout_ms = timeout_of_bytes_ms(into.bytes_max);
    plan.into_file = Some(into);
    plan
}

/// What the server answered instead of, or with, the bytes.
pub fn read_file(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[200, 206])
}

fn etag(sha256: &Sha256Digest) -> String {
    format!("\"{sha256}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{answer, origin};
    use snaptrak_domain::{Secret, transport::TransferId};

    #[test]
    fn what_is_known_is_not_asked_for_again_and_what_arrived_is_gone_on_with() {
        let (origin, access) = (origin(), Secret::new(b"token".to_vec()));
        let call = Call { origin: &origin, id: TransferId(1), access: Some(&access) };
        let header = |plan: &Plan, wanted: &str| {
            plan.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        let sha256 = Sha256Digest([0xab; 32]);
        let quoted = Some(format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(header(&plan_newest(&call, None), "if-none-match"), None);
        assert_eq!(header(&plan_newest(&call, Some(&sha256)), "if-none-match"), quoted);
        let into = |held_bytes| IntoFile { path: "p".into(), held_bytes, bytes_max: 100 };
        let first = plan_file(&call, &sha256, into(0));
        assert!(first.url.ends_with(&format!("/v1/models/files/{}", "ab".repeat(32))));
        assert_eq!((header(&first, "range"), header(&first, "if-range")), (None, None));
        let second = plan_file(&call, &sha256, into(30));
        assert_eq!((header(&second, "range").as_deref(), header(&second, "if-range")), (Some("bytes=30-"), quoted));
    }

    #[test]
    fn having_published_nothing_is_an_answer_and_a_proxys_page_is_not() {
        assert_eq!(read_newest(&answer(200, &[], "signed")), Ok(Some(&b"signed"[..])));
        assert_eq!(read_newest(&answer(304, &[], "")), Ok(None));
        assert_eq!(read_newest(&answer(404, &[], r#"{"code":"no_models"}"#)), Ok(None));
        assert!(read_newest(&answer(404, &[], "<html>")).is_err());
        assert!(read_newest(&answer(404, &[], r#"{"code":"unknown_path"}"#)).is_err());
        assert!(read_file(&answer(304, &[], "")).is_err());
    }
}
