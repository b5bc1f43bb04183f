//! For whom data keys are wrapped, and what every sealing draws on: keys, chance, the recipients of now.
//!
//! Shared by callers, the journal and the writer's chores, none of which may hold a whole store.

use crate::keys::Keys;
use snaptrak_domain::{DeviceId, OrganisationId, Random, Sha256Digest, queue_store};
use snaptrak_seal::{KemAlgorithm, Recipient, RecipientPublicKey};
use std::sync::{Arc, RwLock};

/// A recipient that can be wrapped for.
pub(crate) struct Wrappable {
    pub(crate) recipient: Recipient,
    pub(crate) organisation_id: OrganisationId,
    pub(crate) public: RecipientPublicKey,
    pub(crate) key_id: Sha256Digest,
}

/// The recipients of now whose keys can be used.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) wrappable: Vec<Wrappable>,
}

/// Keys, chance and recipients.
pub(crate) struct Sealer {
    pub(crate) keys: Arc<Keys>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) device_id: DeviceId,
    known: RwLock<Arc<Known>>,
}

impl Sealer {
    pub(crate) fn new(keys: Arc<Keys>, random: Arc<dyn Random>, device_id: DeviceId) -> Self {
        Self { keys, random, device_id, known: RwLock::default() }
    }

    /// Sets for whom is wrapped from now on, besides the device.
    pub(crate) fn set_recipients(&self, recipients: &[queue_store::Recipient]) {
        let known = Arc::new(Known { wrappable: usable(recipients) });
        *self.known.write().expect("no one panics while holding this lock") = known;
    }

    /// The recipients of now whose keys can be used. A key that cannot must never stop a capture.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().expect("no one panics while holding this lock"))
    }
}

/// Recipients whose keys this version can use, all of the first one's organisation: an envelope names only one.
pub(crate) fn usable(recipients: &[queue_store::Recipient]) -> Vec<Wrappable> {
    let organisation = recipients.first().map(|recipient| recipient.organisation_id);
    let one = |recipient: &queue_store::Recipient| {
        let algorithm = [KemAlgorithm::XWing, KemAlgorithm::X25519];
        let algorithm = algorithm.into_iter().find(|known| known.as_str() == recipient.algorithm);
        let public = RecipientPublicKey::from_bytes(algorithm?, &recipient.public).ok()?;
        let organisation_id = recipient.organisation_id;
        let recipient = match recipient.role {
            queue_store::RecipientRole::Organisation => Recipient::Organisation(organisation_id),
            queue_store::RecipientRole::Recovery => Recipient::Recovery(organisation_id),
        };
        Some(Wrappable { recipient, organisation_id, key_id: public.key_id(), public })
    };
    let wrappable: Vec<Wrappable> =
        recipients.iter().filter(|recipient| Some(recipient.organisation_id) == organisation).filter_map(one).collect();
    if wrappable.len() < recipients.len() {
        tracing::warn!(known = recipients.len(), usable = wrappable.len(), "some recipients' keys cannot be used");
    }
    wrappable
}
