//! What unit tests share: an organisation with its keys.

use std::sync::atomic::{AtomicU64, Ordering};

use snaptrak_domain::Signer;
use snaptrak_domain::{OrganisationId, Random, RandomError, Sha256Digest, UnixMs};
use snaptrak_seal::{
    KemAlgorithm, KeyState, RecipientPrivateKey, RoleKey, RoleKeys, RootKey, RootPublic, SoftwareSigner, TrustBody,
    sign_trust_bundle,
};

/// Repeatable, and different at each call.
pub(crate) struct CountingRandom(AtomicU64);

pub(crate) fn counting_random(seed: u64) -> CountingRandom {
    CountingRandom(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

impl Random for CountingRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for byte in buffer {
            // The upper bits of a Weyl sequence: uniform enough for tests.
            let drawn = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (drawn >> 56) as u8;
        }
        Ok(())
    }
}

/// An organisation and all its private keys.
pub(crate) struct Organisation {
    pub(crate) id: OrganisationId,
    pub(crate) root: RootKey,
    pub(crate) countersigner: SoftwareSigner,
    upload: RecipientPrivateKey,
}

/// Long before the fake clocks of tests reach it.
pub(crate) const EXPIRES: UnixMs = UnixMs(1_900_000_000_000);

impl Organisation {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            id: OrganisationId::from_bytes([4; 16]),
            root: RootKey::from_seed(&[seed; 32]),
            countersigner: new_signer(),
            upload: RecipientPrivateKey::generate(KemAlgorithm::X25519, &counting_random(u64::from(seed))).unwrap(),
        }
    }

    pub(crate) fn upload_key_id(&self) -> Sha256Digest {
        self.upload.public_key().key_id()
    }

    pub(crate) fn body(&self, version: u64) -> TrustBody {
        TrustBody {
            organisation_id: self.id,
            version,
            issued_ms: UnixMs(0),
            expires_ms: EXPIRES,
            root: RootPublic { public: self.root.public().to_vec() },
            roles: RoleKeys {
                upload: vec![RoleKey::for_recipient(&self.upload.public_key(), KeyState::Active)],
                countersign: vec![RoleKey::for_es256(&self.countersigner.public_key(), KeyState::Active)],
                ..RoleKeys::default()
            },
        }
    }

    pub(crate) fn bundle(&self, version: u64) -> Vec<u8> {
        sign_trust_bundle(&self.body(version), &[&self.root]).unwrap().into_bytes()
    }
}

pub(crate) fn new_signer() -> SoftwareSigner {
    SoftwareSigner::from_pkcs8(SoftwareSigner::generate_pkcs8().unwrap().expose()).unwrap()
}
