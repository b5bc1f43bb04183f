//! One errand to the server with the session that is saved: requests one after the other, each with a token that is still good.
//! Knows nothing of what is asked.

use snaptrak_domain::transport::{Plan, Response};
use snaptrak_domain::{CancelToken, MonotonicMs, queue_store::Enrolment};

use crate::api::Call;
use crate::client::SyncClient;
use crate::error::SyncError;
use crate::line::Line;
use crate::origin::Origin;
use crate::session::{self, OnUnauthorised, Session};

/// Times that one request is sent again after a 401: for a token that expired, and for one that expired while it waited.
const UNAUTHORISED_MAX: u8 = 2;

pub(crate) struct Errand<'a> {
    pub(crate) line: Line<'a>,
    pub(crate) client: &'a SyncClient,
    pub(crate) enrolment: Enrolment,
    origin: Origin,
    session: Session<'a>,
    deadline: Option<MonotonicMs>,
}

impl<'a> Errand<'a> {
    /// Nothing is sent yet, but for a token where the saved one ends soon.
    pub(crate) fn open(
        client: &'a SyncClient,
        cancel: &'a CancelToken,
        deadline: Option<MonotonicMs>,
    ) -> Result<Self, SyncError> {
        let enrolment = client.parts.store.enrolment()?.ok_or(SyncError::NotEnrolled)?;
        let session = session::saved(client, &enrolment)?.ok_or(SyncError::SignedOut)?;
        let origin = Origin::parse(&enrolment.server)?;
        let mut errand = Self { line: client.line(cancel), client, enrolment, origin, session, deadline };
        if errand.session.ends_soon(client.parts.clock.now()) {
            errand.refresh()?;
        }
        Ok(errand)
    }

    /// One request, and again after a 401 with a token that is still good.
    pub(crate) fn request(&mut self, plan: &dyn Fn(&Call<'_>) -> Plan) -> Result<Response, SyncError> {
        let mut unauthorised = 0;
        loop {
            let (access, generation) = self.session.access();
            let call = Call { origin: &self.origin, id: self.line.next_id(), access: Some(access) };
            let response = self.line.exchange(plan(&call), self.deadline)?;
            if response.status != 401 {
                self.session.accepted(generation);
                return Ok(response);
            }
            unauthorised += 1;
            match self.session.unauthorised(generation) {
                OnUnauthorised::Resend if unauthorised <= UNAUTHORISED_MAX => {}
                OnUnauthorised::Refresh if unauthorised <= UNAUTHORISED_MAX => self.refresh()?,
                OnUnauthorised::Resend | OnUnauthorised::Refresh | OnUnauthorised::GiveUp => {
                    return Err(SyncError::SignedOut);
                }
            }
        }
    }

    /// One request that needs no token.
    pub(crate) fn request_open(&mut self, plan: &dyn Fn(&Call<'_>) -> Plan) -> Result<Response, SyncError> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: None };
        Ok(self.line.exchange(plan(&call), self.deadline)?)
    }

    fn refresh(&mut self) -> Result<(), SyncError> {
        let queue = self.client.parts.store.as_ref();
        Ok(self.session.refresh(&mut self.line, &self.origin, queue, self.deadline)?)
    }
}
