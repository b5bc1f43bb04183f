//! Signing up and signing in: account, session, the organisation's keys, this device; then all of it saved at once. An app that
//! signs its people in itself enrols the device with a token of its own instead of a password.
//!
//! The trust bundle is judged before anything else is said: a server that shows another root than the expected one learns
//! neither e-mail nor password nor token, and no account is left behind there. It is judged against the root that the app gave, or the
//! one pinned earlier; else any root that signed its own bundle is taken, and the enrolment records that it was trusted on
//! first use. A kill in between leaves an account without this device; signing in finishes it.

use snaptrak_domain::queue_store::{Enrolment, QueueStore, SavedSession};
use snaptrak_domain::{AccountId, CancelToken, DeviceId, OrganisationId, Secret, Sha256Digest};
use snaptrak_seal::{AcceptedTrust, TrustAnchor, TrustError, accept_trust_bundle};

use crate::api::devices::{Device, plan_register, read_register};
use crate::api::sessions::{plan_sign_in, plan_sign_out, read_session, read_sign_out};
use crate::api::trust::{plan_fetch, read_fetch};
use crate::api::{ApiError, Call, accounts};
use crate::client::SyncClient;
use crate::error::SyncError;
use crate::line::Line;
use crate::origin::Origin;
use crate::trust;

/// With what an account is opened.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account's e-mail address.
    pub email: String,
    /// Its password, UTF-8.
    pub password: Secret,
}

/// Which device works for whom.
#[derive(Debug, Clone)]
pub struct EnrolRequest {
    /// The API's address.
    pub server: String,
    /// SHA-256 of the organisation's raw root key, if the app knows it.
    pub trust_root: Option<Sha256Digest>,
    /// This device.
    pub device: Device,
}

/// Who this device works for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// The account.
    pub account_id: AccountId,
    /// Its organisation.
    pub organisation_id: OrganisationId,
    /// This device.
    pub device_id: DeviceId,
    /// The root that is pinned from now on.
    pub trust_root: Sha256Digest,
    /// It was given; otherwise it was trusted on first use, which a person should be told.
    pub trust_root_given: bool,
}

struct Flow<'a> {
    line: Line<'a>,
    origin: Origin,
    store: &'a dyn QueueStore,
}

/// A session that speaks for an account, however it was opened.
struct Opened {
    account_id: AccountId,
    organisation_id: OrganisationId,
    access: Secret,
    saved: SavedSession,
}

pub(crate) fn sign_up(
    client: &SyncClient,
    request: &EnrolRequest,
    credentials: &Credentials,
    name: Option<&str>,
    cancel: &CancelToken,
) -> Result<Enrolled, SyncError> {
    let mut flow = Flow::new(client, request, cancel)?;
    // A new account is another one: it would be made at the server and refused here.
    if flow.store.enrolment()?.is_some() {
        return Err(SyncError::OtherAccount);
    }
    let bundle = flow.fetch_judged_trust(request)?;
    let password = password_text(credentials)?;
    let call = Call { origin: &flow.origin, id: flow.line.next_id(), access: None };
    let plan = accounts::plan_create_account(&call, &credentials.email, password, name);
    let response = flow.line.exchange(plan, None)?;
    let account = accounts::read_create_account(&response)?;
    tracing::info!(account = %account.account_id, "account created");
    let session = flow.sign_in(credentials)?;
    flow.enrol(request, &bundle, session)
}

pub(crate) fn sign_in(
    client: &SyncClient,
    request: &EnrolRequest,
    credentials: &Credentials,
    cancel: &CancelToken,
) -> Result<Enrolled, SyncError> {
    let mut flow = Flow::new(client, request, cancel)?;
    let bundle = flow.fetch_judged_trust(request)?;
    let session = flow.sign_in(credentials)?;
    flow.enrol(request, &bundle, session)
}

pub(crate) fn enrol(client: &SyncClient, request: &EnrolRequest, cancel: &CancelToken) -> Result<Enrolled, SyncError> {
    let Some(source) = &client.tokens else { return Err(SyncError::NoProvider) };
    let mut flow = Flow::new(client, request, cancel)?;
    let bundle = flow.fetch_judged_trust(request)?;
    // For whom a token speaks is asked anew.
    source.forget();
    let given = source.token(&mut flow.line, &flow.origin, None, None)?;
    let session = Opened {
        account_id: given.whose.account_id,
        organisation_id: given.whose.organisation_id,
        access: given.token,
        saved: SavedSession::Provided,
    };
    flow.enrol(request, &bundle, session)
}

pub(crate) fn sign_out(client: &SyncClient, cancel: &CancelToken) -> Result<(), SyncError> {
    let store = client.parts.store.as_ref();
    let (Some(enrolment), Some(session)) = (store.enrolment()?, store.session()?) else {
        return Ok(());
    };
    if let SavedSession::Tokens(tokens) = session {
        end_at_server(client, &enrolment, &tokens.access, cancel)?;
    }
    // A session of the app's is the app's to end; here no token of it is asked for any more, and none is remembered.
    if let Some(source) = &client.tokens {
        source.forget();
    }
    Ok(store.save_session(None)?)
}

fn end_at_server(
    client: &SyncClient,
    enrolment: &Enrolment,
    access: &Secret,
    cancel: &CancelToken,
) -> Result<(), SyncError> {
    let origin = Origin::parse(&enrolment.server)?;
    let mut line = client.line(cancel);
    let call = Call { origin: &origin, id: line.next_id(), access: Some(access) };
    let plan = plan_sign_out(&call);
    // The server is told if it listens; not being heard must not keep anyone signed in here.
    let told = line.exchange(plan, None).map_err(SyncError::from).and_then(|response| Ok(read_sign_out(&response)?));
    if let Err(error) = told {
        tracing::info!(%error, "signed out here only");
    }
    Ok(())
}

fn password_text(credentials: &Credentials) -> Result<&str, SyncError> {
    std::str::from_utf8(credentials.password.expose()).map_err(|_| {
        SyncError::Api(ApiError {
            status: 0,
            code: "bad_credentials".to_owned(),
            message: "the password is not UTF-8".to_owned(),
            retry_after_ms: None,
        })
    })
}

impl SyncClient {
    pub(crate) fn line<'a>(&'a self, cancel: &'a CancelToken) -> Line<'a> {
        Line::new(self.parts.transport.as_ref(), self.parts.clock.as_ref(), self.pace.as_ref(), cancel)
    }
}

impl<'a> Flow<'a> {
    fn new(client: &'a SyncClient, request: &EnrolRequest, cancel: &'a CancelToken) -> Result<Self, SyncError> {
        let origin = Origin::parse(&request.server)?;
        Ok(Self { line: client.line(cancel), origin, store: client.parts.store.as_ref() })
    }

    fn enrol(mut self, request: &EnrolRequest, bundle: &[u8], session: Opened) -> Result<Enrolled, SyncError> {
        let known = self.store.enrolment()?;
        if known.as_ref().is_some_and(|known| known.account_id != session.account_id) {
            return Err(SyncError::OtherAccount);
        }
        let (accepted, given) = self.judge(request, known.as_ref(), Some(session.organisation_id), bundle)?;
        if !given {
            tracing::warn!(root = %accepted.anchor.root, "the organisation's root key is trusted on first use");
        }
        self.register(request, &session.access)?;
        let enrolment = Enrolment {
            server: self.origin.to_string(),
            account_id: session.account_id,
            organisation_id: session.organisation_id,
            device_id: request.device.device_id,
            trust_root: accepted.anchor.root,
            trust_root_given: given,
        };
        self.store.save_enrolment(&enrolment, bundle)?;
        self.store.save_session(Some(&session.saved))?;
        self.store.set_sync_block(None)?;
        tracing::info!(device = %enrolment.device_id, organisation = %enrolment.organisation_id, "enrolled");
        Ok(Enrolled {
            account_id: enrolment.account_id,
            organisation_id: enrolment.organisation_id,
            device_id: enrolment.device_id,
            trust_root: enrolment.trust_root,
            trust_root_given: enrolment.trust_root_given,
        })
    }

    fn sign_in(&mut self, credentials: &Credentials) -> Result<Opened, SyncError> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: None };
        let plan = plan_sign_in(&call, &credentials.email, password_text(credentials)?);
        let response = self.line.exchange(plan, None)?;
        let session = read_session(&response)?;
        Ok(Opened {
            account_id: session.account_id,
            organisation_id: session.organisation_id,
            access: session.tokens.access.clone(),
            saved: SavedSession::Tokens(session.tokens),
        })
    }

    /// The server's trust bundle, if it chains.
    fn fetch_judged_trust(&mut self, request: &EnrolRequest) -> Result<Vec<u8>, SyncError> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: None };
        let plan = plan_fetch(&call);
        let response = self.line.exchange(plan, None)?;
        let bundle = read_fetch(&response)?.to_vec();
        let known = self.store.enrolment()?;
        self.judge(request, known.as_ref(), None, &bundle)?;
        Ok(bundle)
    }

    /// The bundle under the root that was given, else under the one pinned earlier, else under its own; and of the session's
    /// organisation, once there is a session.
    fn judge(
        &self,
        request: &EnrolRequest,
        known: Option<&Enrolment>,
        organisation_id: Option<OrganisationId>,
        bundle: &[u8],
    ) -> Result<(AcceptedTrust, bool), SyncError> {
        if let (Some(expected), Some(found)) = (request.trust_root, known.map(|known| known.trust_root))
            && expected != found
        {
            return Err(SyncError::OtherRoot { expected, found });
        }
        let given = request.trust_root.is_some() || known.is_some_and(|known| known.trust_root_given);
        let stored = self.store.trust_bundle()?;
        let mut anchor = match (known, request.trust_root) {
            (Some(known), _) => trust::anchor(known.trust_root, stored.as_deref())?,
            (None, Some(root)) => TrustAnchor::pin(root),
            // First use: the bundle's own root, whatever it is.
            (None, None) => {
                let now = self.line.clock.now();
                let root = accept_trust_bundle(bundle, None, now)?.anchor.root;
                TrustAnchor::pin(root)
            }
        };
        anchor.organisation_id = organisation_id.or(anchor.organisation_id);
        let accepted = accept_trust_bundle(bundle, Some(&anchor), self.line.clock.now()).map_err(|error| {
            let shown = accept_trust_bundle(bundle, None, self.line.clock.now()).map(|other| other.anchor.root);
            match (error, shown) {
                (TrustError::UntrustedRoot, Ok(found)) => SyncError::OtherRoot { expected: anchor.root, found },
                (error, _) => SyncError::Trust(error),
            }
        })?;
        if accepted.body.upload_key().is_none() {
            return Err(TrustError::Malformed { reason: "no active upload key" }.into());
        }
        Ok((accepted, given))
    }

    fn register(&mut self, request: &EnrolRequest, access: &Secret) -> Result<(), SyncError> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: Some(access) };
        let plan = plan_register(&call, &request.device);
        let response = self.line.exchange(plan, None)?;
        Ok(read_register(&response)?)
    }
}
