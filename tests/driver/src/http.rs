//! Asking the server without our client: what a customer's own script would do.

use crate::DriverError;
use serde_json::{Value, json};

/// GET of a public path that answers JSON.
pub fn get(url: &str, path: &str) -> Result<Value, DriverError> {
    let failed = |error: ureq::Error| DriverError::Http { path: path.to_owned(), said: error.to_string() };
    ureq::get(format!("{url}{path}")).call().map_err(failed)?.body_mut().read_json().map_err(failed)
}

/// A session at the API.
#[derive(Debug)]
pub struct Account {
    url: String,
    token: String,
}

impl Account {
    /// Signs in.
    pub fn sign_in(url: &str, email: &str, password: &str) -> Result<Self, DriverError> {
        let path = "/v1/sessions";
        let failed = |error: ureq::Error| DriverError::Http { path: path.to_owned(), said: error.to_string() };
        let mut answer = ureq::post(format!("{url}{path}"))
            .send_json(json!({ "email": email, "password": password }))
            .map_err(failed)?;
        let body: Value = answer.body_mut().read_json().map_err(failed)?;
        let token = body["access_token"].as_str().unwrap_or_default().to_owned();
        Ok(Self { url: url.to_owned(), token })
    }

    /// The session's access token.
    pub fn access_token(&self) -> &str {
        &self.token
    }

    /// Ends the session: its token is refused from now on.
    pub fn sign_out(&self) -> Result<(), DriverError> {
        let path = "/v1/sessions";
        let request = ureq::delete(format!("{}{path}", self.url));
        let answer = request.header("Authorization", format!("Bearer {}", self.token)).call();
        answer.map(|_| ()).map_err(|error| DriverError::Http { path: path.to_owned(), said: error.to_string() })
    }

    /// GET of a path that answers JSON.
    pub fn get(&self, path: &str) -> Result<Value, DriverError> {
        let failed = |error: ureq::Error| DriverError::Http { path: path.to_owned(), said: error.to_string() };
        let mut answer = ureq::get(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .map_err(failed)?;
        answer.body_mut().read_json().map_err(failed)
    }

    /// Every capture that the server lists, page by page.
    pub fn captures(&self) -> Result<Vec<Value>, DriverError> {
        let mut captures = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/v1/captures?limit=100{after}"))?;
            captures.extend(page["captures"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(captures),
            }
        }
    }
}
