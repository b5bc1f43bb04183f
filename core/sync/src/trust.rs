//! Judging the organisation's trust bundle against what this device has pinned. The signatures and the rule are
//! `snaptrak_seal::trust`'s; here is what follows from them: a bundle that is not accepted stops sending and touches no
//! capture, and the one accepted before stays.

use snaptrak_domain::queue_store::{Enrolment, Recipient, RecipientRole};
use snaptrak_domain::{Reason, ReasonCode, Sha256Digest, UnixMs};
use snaptrak_seal::{AcceptedTrust, RecipientPublicKey, TrustAnchor, TrustBody, TrustError, accept_trust_bundle};

use crate::report::StoppedBecause;

/// What was pinned before: the root and, from the stored bundle, its key, the organisation and the version.
///
/// The stored bundle was accepted when it was stored, so its expiry is not asked here: an expired bundle still says which
/// version must not be undercut.
pub(crate) fn anchor(root: Sha256Digest, stored: Option<&[u8]>) -> Result<TrustAnchor, TrustError> {
    let pinned = TrustAnchor::pin(root);
    match stored {
        Some(bundle) => Ok(accept_trust_bundle(bundle, Some(&pinned), UnixMs(i64::MIN))?.anchor),
        None => Ok(pinned),
    }
}

/// Judges a fetched bundle for an enrolled device.
pub(crate) fn judge(
    enrolment: &Enrolment,
    stored: Option<&[u8]>,
    fetched: &[u8],
    now: UnixMs,
) -> Result<AcceptedTrust, TrustError> {
    let mut anchor = anchor(enrolment.trust_root, stored)?;
    anchor.organisation_id = Some(enrolment.organisation_id);
    let accepted = accept_trust_bundle(fetched, Some(&anchor), now)?;
    // Wraps for nobody would be evidence that nobody can open.
    if accepted.body.upload_key().is_none() {
        return Err(TrustError::Malformed { reason: "no active upload key" });
    }
    Ok(accepted)
}

/// The keys to which data keys are wrapped.
#[must_use]
pub fn recipients(body: &TrustBody) -> Vec<Recipient> {
    let recipient = |role: RecipientRole, key: RecipientPublicKey| Recipient {
        role,
        organisation_id: body.organisation_id,
        algorithm: key.algorithm().as_str().to_owned(),
        public: key.as_bytes().to_vec(),
    };
    let upload = body.upload_key().map(|key| recipient(RecipientRole::Organisation, key));
    let recovery = body.recovery_key().map(|key| recipient(RecipientRole::Recovery, key));
    upload.into_iter().chain(recovery).collect()
}

/// The recipients of a bundle that this device accepted earlier (its exact bytes), for wraps at capture time.
pub fn stored_recipients(trust_root: Sha256Digest, bundle: &[u8]) -> Result<Vec<Recipient>, TrustError> {
    let pinned = TrustAnchor::pin(trust_root);
    accept_trust_bundle(bundle, Some(&pinned), UnixMs(i64::MIN)).map(|accepted| recipients(&accepted.body))
}

/// What a refused bundle means for sending.
pub(crate) fn block(error: &TrustError) -> (Reason, StoppedBecause) {
    let not_chained = |detail: &str| {
        (Reason::new(ReasonCode::TrustNotChained).with("detail", detail), StoppedBecause::TrustNotChained)
    };
    match error {
        TrustError::Expired => (Reason::new(ReasonCode::TrustExpired), StoppedBecause::TrustExpired),
        TrustError::UntrustedRoot => not_chained("untrusted_root"),
        TrustError::BadSignature => not_chained("bad_signature"),
        TrustError::VersionRollback { .. } => not_chained("version_rollback"),
        TrustError::Malformed { .. } => not_chained("malformed"),
        TrustError::Newer { .. } => not_chained("newer_format"),
        TrustError::WrongOrganisation => not_chained("wrong_organisation"),
    }
}
