//! Creating an account.

use serde::{Deserialize, Serialize};
use snaptrak_domain::transport::{Method, Plan, Response};
use snaptrak_domain::{AccountId, OrganisationId};

use super::{ApiError, Call, read_json};

/// A new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// The account.
    pub account_id: AccountId,
    /// The organisation that it belongs to.
    pub organisation_id: OrganisationId,
}

/// Plans the creation. The password is in the plan's body, which is why a plan's `Debug` shows none.
#[must_use]
pub fn plan_create_account(call: &Call<'_>, email: &str, password: &str, name: Option<&str>) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        email: &'a str,
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    }
    call.json(Method::Post, "/v1/accounts", &Request { email, password, name })
}

/// Reads the answer; 409 `email_taken` is an error like any other.
pub fn read_create_account(response: &Response) -> Result<Account, ApiError> {
    read_json(response, &[201])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{answer, origin, sent};
    use snaptrak_domain::transport::TransferId;

    #[test]
    fn an_account_is_created() {
        let origin = origin();
        let call = Call { origin: &origin, id: TransferId(1), access: None };
        let plan = plan_create_account(&call, "ada@example.com", "secret", None);
        assert_eq!(plan.url, "https://api.example/v1/accounts");
        assert_eq!(sent(&plan), serde_json::json!({"email": "ada@example.com", "password": "secret"}));
        assert!(!format!("{plan:?}").contains("secret"));
        let id = "01890000-0000-7000-8000-000000000001";
        let body = format!(r#"{{"account_id":"{id}","organisation_id":"{id}"}}"#);
        assert_eq!(read_create_account(&answer(201, &[], &body)).unwrap().account_id.to_string(), id);
        let taken = read_create_account(&answer(409, &[], r#"{"code":"email_taken","message":"taken"}"#)).unwrap_err();
        assert_eq!((taken.status, taken.code.as_str()), (409, "email_taken"));
    }
}
