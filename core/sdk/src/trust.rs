//! The organisation's keys that this device has accepted: for whom captures are wrapped, and who may countersign.

use crate::{Error, ErrorCode, SnapTrak};
use snaptrak_domain::{UnixMs, queue_store::QueueStore};
use snaptrak_seal::{TrustAnchor, TrustBody, accept_trust_bundle};

impl SnapTrak {
    /// The accepted bundle's body. It was judged when it was stored; its expiry stops sending, not looking back.
    pub(crate) fn stored_trust(&self) -> Result<Option<TrustBody>, Error> {
        let store = &self.inner.store;
        let (Some(enrolment), Some(bundle)) = (store.enrolment()?, store.trust_bundle()?) else { return Ok(None) };
        let pinned = TrustAnchor::pin(enrolment.trust_root);
        let accepted = accept_trust_bundle(&bundle, Some(&pinned), UnixMs(i64::MIN))
            .map_err(|_| Error::new(ErrorCode::Damaged, "the stored trust bundle does not verify"))?;
        Ok(Some(accepted.body))
    }

    /// Captures made from now on are wrapped for the organisation, if one is known.
    pub(crate) fn use_recipients_of_stored_trust(&self) -> Result<(), Error> {
        let body = self.stored_trust()?;
        let recipients = body.map_or_else(Vec::new, |body| snaptrak_sync::recipients(&body));
        self.inner.store.set_recipients(recipients);
        Ok(())
    }
}
