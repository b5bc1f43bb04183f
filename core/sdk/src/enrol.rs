//! Signing up, in and out: who this device works for.

use crate::{Error, SnapTrak};
use snaptrak_domain::{AccountId, CancelToken, DeviceId, OrganisationId, Secret, Sha256Digest};
use snaptrak_sync::{Device, EnrolRequest};

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
        let SignUp { server, email, password, name, trust_root } = request;
        let request = EnrolRequest { server, email, password, name, trust_root, device: self.device()? };
        let call = self.inner.calls.begin(&CancelToken::new())?;
        let enrolled = self.sync_client()?.sign_up(&request, call.token())?;
        self.enrolled(enrolled)
    }

    /// Enrols this device with an account that exists, or begins a new session.
    pub fn sign_in(&self, request: SignIn) -> Result<Enrolled, Error> {
        let SignIn { server, email, password, trust_root } = request;
        let request = EnrolRequest { server, email, password, name: None, trust_root, device: self.device()? };
        let call = self.inner.calls.begin(&CancelToken::new())?;
        let enrolled = self.sync_client()?.sign_in(&request, call.token())?;
        self.enrolled(enrolled)
    }

    /// Ends the session. The enrolment and everything captured stay.
    pub fn sign_out(&self) -> Result<(), Error> {
        let call = self.inner.calls.begin(&CancelToken::new())?;
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
