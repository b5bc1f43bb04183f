//! Who this device works for.

use crate::{SnapTrak, SnapTrakError, ids};
use snaptrak::Secret;

/// A new account.
#[derive(Clone, uniffi::Record)]
pub struct SignUp {
    /// Origin of the API, for example `https://api.example`.
    pub server: String,
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
    /// The person's name.
    #[uniffi(default = None)]
    pub name: Option<String>,
    /// SHA-256 of the organisation's raw root key, hexadecimal; without it the first one seen is trusted, which is recorded.
    #[uniffi(default = None)]
    pub trust_root: Option<String>,
}

/// An account that exists.
#[derive(Clone, uniffi::Record)]
pub struct SignIn {
    /// Origin of the API.
    pub server: String,
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
    /// As in `SignUp::trust_root`.
    #[uniffi(default = None)]
    pub trust_root: Option<String>,
}

/// An account that the app itself has signed in to: its `TokenProvider` speaks for it.
#[derive(Clone, uniffi::Record)]
pub struct Enrol {
    /// Origin of the API.
    pub server: String,
    /// As in `SignUp::trust_root`.
    #[uniffi(default = None)]
    pub trust_root: Option<String>,
}

/// Who this device works for now.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Enrolled {
    /// The account, a UUID.
    pub account: String,
    /// This device, a UUID.
    pub device: String,
    /// The organisation, a UUID.
    pub organisation: String,
    /// SHA-256 of the root key that is pinned from now on.
    pub trust_root: String,
    /// The root was given; otherwise it was trusted on first use, which a person should be told.
    pub trust_root_given: bool,
}

#[uniffi::export]
impl SnapTrak {
    /// Creates an account and enrols this device. What was captured before is wrapped for the organisation later.
    pub async fn sign_up(&self, request: SignUp) -> Result<Enrolled, SnapTrakError> {
        let SignUp { server, email, password, name, trust_root } = request;
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let password = Secret::new(password.into_bytes());
        let request = snaptrak::SignUp { server, email, password, name, trust_root };
        self.run(move |core| Ok(core.sign_up(request)?.into())).await
    }

    /// Enrols this device with an account that exists, or begins a new session.
    pub async fn sign_in(&self, request: SignIn) -> Result<Enrolled, SnapTrakError> {
        let SignIn { server, email, password, trust_root } = request;
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let request = snaptrak::SignIn { server, email, password: Secret::new(password.into_bytes()), trust_root };
        self.run(move |core| Ok(core.sign_in(request)?.into())).await
    }

    /// Enrols this device with the account for which the `TokenProvider` of this instance gives tokens; no password and no token of
    /// it is kept. From now on, also after a restart, the provider is asked when something is to be sent, and again when the server
    /// has refused its token.
    pub async fn enrol(&self, request: Enrol) -> Result<Enrolled, SnapTrakError> {
        let Enrol { server, trust_root } = request;
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let request = snaptrak::Enrol { server, trust_root };
        self.run(move |core| Ok(core.enrol(request)?.into())).await
    }

    /// Ends the session, or stops asking the app for tokens until it enrols or signs in again: what the app is signed in to is its
    /// own to end. The enrolment and everything captured stay.
    pub async fn sign_out(&self) -> Result<(), SnapTrakError> {
        self.run(|core| Ok(core.sign_out()?)).await
    }
}

impl From<snaptrak::Enrolled> for Enrolled {
    fn from(enrolled: snaptrak::Enrolled) -> Self {
        Self {
            account: enrolled.account.to_string(),
            device: enrolled.device.to_string(),
            organisation: enrolled.organisation.to_string(),
            trust_root: enrolled.trust_root.to_string(),
            trust_root_given: enrolled.trust_root_given,
        }
    }
}
