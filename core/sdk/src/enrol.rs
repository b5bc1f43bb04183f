//! Signing up, in and out: who this device works for.

use crate::{Error, SnapTrak};
use snaptrak_domain::{AccountId, CancelToken, DeviceId, OrganisationId, Secret, Sha256Digest};
use snaptrak_sync::{Credentials, Device, EnrolRequest};

/// A new account.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// Origin of the API, for example `https://api.example`.
    pub server: String,
    /// E-mail address.
    pub email: String,
    /// Password, UTF-8.
    pub password: Secret,
    /// The person's name.
    pub name: Option<String>,
    /// SHA-256 of the organisation's raw root key; without it the first one seen is trusted, which is recorded.
    pub trust_root: Option<Sha256Digest>,
}

/// An account that exists.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Origin of the API.
    pub server: String,
    /// E-mail address.
    pub email: String,
    /// Password, UTF-8.
    pub password: Secret,
    /// As in [`SignUp::trust_root`].
    pub trust_root: Option<Sha256Digest>,
}

/// An account that the app itself has signed in to: its token provider speaks for it.
#[derive(Debug, Clone)]
pub struct Enrol {
    /// Origin of the API.
    pub server: String,
    /// As in [`SignUp::trust_root`].
    pub trust_root: Option<Sha256Digest>,
}

/// Who this device works for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// The account.
    pub account: AccountId,
    /// This device.
    pub device: DeviceId,
    /// The organisation.
    pub organisation: OrganisationId,
    /// SHA-256 of the root key that is pinned from now on.
    pub trust_root: Sha256Digest,
    /// The root was given; otherwise it was trusted on first use, which a person should be told.
    pub trust_root_given: bool,
}

impl SnapTrak {
    /// Creates an account and enrols this device. What was captured before is wrapped for the organisation later.
    pub fn sign_up(&self, request: SignUp) -> Result<Enrolled, Error> {
        self.sign_up_until(request, &CancelToken::new())
    }

    /// As [`SnapTrak::sign_up`], and ends early when another thread cancels the token. The account may be there by then: sign in.
    pub fn sign_up_until(&self, request: SignUp, cancel: &CancelToken) -> Result<Enrolled, Error> {
        let SignUp { server, email, password, name, trust_root } = request;
        let request = EnrolRequest { server, trust_root, device: self.device()? };
        let credentials = Credentials { email, password };
        let call = self.inner.calls.begin(cancel)?;
        let enrolled = self.sync_client()?.sign_up(&request, &credentials, name.as_deref(), call.token())?;
        self.enrolled(enrolled)
    }

    /// Enrols this device with an account that exists, or begins a new session.
    pub fn sign_in(&self, request: SignIn) -> Result<Enrolled, Error> {
        self.sign_in_until(request, &CancelToken::new())
    }

    /// As [`SnapTrak::sign_in`], and ends early when another thread cancels the token.
    pub fn sign_in_until(&self, request: SignIn, cancel: &CancelToken) -> Result<Enrolled, Error> {
        let SignIn { server, email, password, trust_root } = request;
        let request = EnrolRequest { server, trust_root, device: self.device()? };
        let credentials = Credentials { email, password };
        let call = self.inner.calls.begin(cancel)?;
        let enrolled = self.sync_client()?.sign_in(&request, &credentials, call.token())?;
        self.enrolled(enrolled)
    }

    /// Enrols this device with the account for which [`Platform::token_provider`](crate::Platform::token_provider) gives tokens; no
    /// password and no token of it is kept. From now on, also after a restart, the provider is asked when something is to be sent,
    /// and again when the server has refused its token.
    ///
    /// A provider that has none now (`NoToken`), throws or does not answer keeps back what is sent and nothing else:
    /// [`SnapTrak::why`] says `no_token`, or `signed_out` once it says that nobody is signed in. So does a token that speaks for
    /// another account than this store's; nothing is sent with it.
    pub fn enrol(&self, request: Enrol) -> Result<Enrolled, Error> {
        self.enrol_until(request, &CancelToken::new())
    }

    /// As [`SnapTrak::enrol`], and ends early when another thread cancels the token.
    pub fn enrol_until(&self, request: Enrol, cancel: &CancelToken) -> Result<Enrolled, Error> {
        let Enrol { server, trust_root } = request;
        let request = EnrolRequest { server, trust_root, device: self.device()? };
        let call = self.inner.calls.begin(cancel)?;
        let enrolled = self.sync_client()?.enrol(&request, call.token())?;
        self.enrolled(enrolled)
    }

    /// Ends the session, or stops asking the app for tokens until it enrols or signs in again: what the app is signed in to is its own
    /// to end. The enrolment and everything captured stay.
    pub fn sign_out(&self) -> Result<(), Error> {
        self.sign_out_until(&CancelToken::new())
    }

    /// As [`SnapTrak::sign_out`], and ends early when another thread cancels the token.
    pub fn sign_out_until(&self, cancel: &CancelToken) -> Result<(), Error> {
        let call = self.inner.calls.begin(cancel)?;
        Ok(self.sync_client()?.sign_out(call.token())?)
    }

    fn device(&self) -> Result<Device, Error> {
        let store = &self.inner.store;
        Ok(Device {
            device_id: store.device_id(),
            name: self.inner.config.device_name.clone(),
            signing_public: store.signing_public_key(),
            media_key_id: store.media_key_id(),
            platform: std::env::consts::OS.to_owned(),
        })
    }

    fn enrolled(&self, enrolled: snaptrak_sync::Enrolled) -> Result<Enrolled, Error> {
        self.use_recipients_of_stored_trust()?;
        Ok(Enrolled {
            account: enrolled.account_id,
            device: enrolled.device_id,
            organisation: enrolled.organisation_id,
            trust_root: enrolled.trust_root,
            trust_root_given: enrolled.trust_root_given,
        })
    }
}
