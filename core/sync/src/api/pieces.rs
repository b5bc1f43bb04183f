//! Fetching the sealed bytes of a piece back.

use snaptrak_domain::AssetId;
use snaptrak_domain::transport::{Body, IntoFile, Method, Plan, Response};

use super::{ApiError, Call, expect_status, timeout_of_bytes_ms};

/// Plans fetching one piece into a file, from where an earlier attempt broke off.
#[must_use]
pub fn plan_fetch(call: &Call<'_>, asset_id: AssetId, index: u32, into: IntoFile) -> Plan {
    let mut headers = Vec::new();
    if into.held_bytes > 0 {
        headers.push(("range".to_owned(), format!("bytes={}-", into.held_bytes)));
    }
    let mut plan = call.plan(Method::Get, &format!("/v1/assets/{asset_id}/pieces/{index}"), headers, Body::Empty);
    plan.timeout_ms = timeout_of_bytes_ms(into.bytes_max);
    plan.into_file = Some(into);
    plan
}

/// What the server answered instead of, or with, the bytes.
pub fn read_fetch(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[200, 206])
}

/// Whether the server says that it does not hold the piece any more. A proxy's page, or a server without this operation, says
/// nothing of the piece.
#[must_use]
pub fn is_lost(error: &ApiError) -> bool {
    match error.status {
        404 => matches!(error.code.as_str(), "unknown_piece" | "unknown_asset"),
        410 => error.code != "http_410",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{answer, origin};
    use snaptrak_domain::{Secret, transport::TransferId};

    #[test]
    fn an_attempt_goes_on_where_the_last_one_broke_off() {
        let (origin, access) = (origin(), Secret::new(b"token".to_vec()));
        let call = Call { origin: &origin, id: TransferId(1), access: Some(&access) };
        let into = |held_bytes| IntoFile { path: "p".into(), held_bytes, bytes_max: 100 };
        let asset_id = AssetId::from_bytes([1; 16]);
        let range = |plan: &Plan| plan.headers.iter().find(|(name, _)| name == "range").map(|(_, value)| value.clone());
        let first = plan_fetch(&call, asset_id, 7, into(0));
        assert!(first.url.ends_with(&format!("/v1/assets/{asset_id}/pieces/7")));
        assert_eq!(range(&first), None);
        assert_eq!(range(&plan_fetch(&call, asset_id, 7, into(30))).as_deref(), Some("bytes=30-"));
    }

    #[test]
    fn lost_is_what_the_api_says_and_not_what_a_proxy_says() {
        let error = |status, body: &str| read_fetch(&answer(status, &[], body)).unwrap_err();
        assert!(is_lost(&error(404, r#"{"code":"unknown_piece"}"#)));
        assert!(is_lost(&error(404, r#"{"code":"unknown_asset"}"#)));
        assert!(is_lost(&error(410, r#"{"code":"erased"}"#)));
        for other in [
            error(404, "<html>"),
            error(404, r#"{"code":"unknown_path"}"#),
            error(410, "gone"),
            error(416, "{}"),
            error(500, "{}"),
        ] {
            assert!(!is_lost(&other), "{other:?}");
        }
        assert_eq!(read_fetch(&answer(206, &[], "")), Ok(()));
    }
}
