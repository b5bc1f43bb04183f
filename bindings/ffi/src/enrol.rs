//! Who this device works for.

use crate::{Cancellation, SnapTrak, SnapTrakError, cancellation::Waiting, ids};
use snaptrak::Secret;
use std::sync::Arc;

/// A new account. Its password is given beside it, so that nobody prints it with this.
#[derive(Clone, uniffi::Record)]
pub struct SignUp {
    /// Origin of the API, for example `https://api.example`.
    pub server: String,
    /// E-mail address.
    pub email: String,
    /// The person's name.
    #[uniffi(default = None)]
    pub name: Option<String>,
    /// SHA-256 of the organisation's raw root key, hexadecimal; without it the first one seen is trusted, which is recorded.
    #[uniffi(default = None)]
    pub trust_root: Option<String>,
}

/// An account that exists. Its password is given beside it, so that nobody prints it with this.
#[derive(Clone, uniffi::Record)]
pub struct SignIn {
    /// Origin of the API.
    pub server: String,
    /// E-mail address.
    pub email: String,
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
    /// Creates an account and enrols this device. What was captured before is wrapped for the organisation later. Broken off, the
    /// account may be there already: sign in.
    #[uniffi::method(default(cancellation = None))]
    pub async fn sign_up(
        &self,
        request: SignUp,
        password: String,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Enrolled, SnapTrakError> {
        let SignUp { server, email, name, trust_root } = request;
        let password = Secret::new(password.into_bytes());
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let request = snaptrak::SignUp { server, email, password, name, trust_root };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| Ok(core.sign_up_until(request, token)?.into())).await
    }

    /// Enrols this device with an account that exists, or begins a new session.
    #[uniffi::method(default(cancellation = None))]
    pub async fn sign_in(
        &self,
        request: SignIn,
        password: String,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Enrolled, SnapTrakError> {
        let SignIn { server, email, trust_root } = request;
        let password = Secret::new(password.into_bytes());
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let request = snaptrak::SignIn { server, email, password, trust_root };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| Ok(core.sign_in_until(request, token)?.into())).await
    }

    /// Enrols this device with the account for which the `TokenProvider` of this instance gives tokens; no password and no token of
    /// it is kept. From now on, also after a restart, the provider is asked when something is to be sent, and again when the server
    /// has refused its token.
    #[uniffi::method(default(cancellation = None))]
    pub async fn enrol(
        &self,
        request: Enrol,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Enrolled, SnapTrakError> {
        let Enrol { server, trust_root } = request;
        let trust_root = trust_root.as_deref().map(ids::digest).transpose()?;
        let request = snaptrak::Enrol { server, trust_root };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| Ok(core.enrol_until(request, token)?.into())).await
    }

    /// Ends the session, or stops asking the app for tokens until it enrols or signs in again: what the app is signed in to is its
    /// own to end. The enrolment and everything captured stay.
    #[uniffi::method(default(cancellation = None))]
    pub async fn sign_out(&self, cancellation: Option<Arc<Cancellation>>) -> Result<(), SnapTrakError> {
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| Ok(core.sign_out_until(token)?)).await
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
