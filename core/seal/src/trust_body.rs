//! What a trust bundle says: the organisation's public keys by role.

use serde::{Deserialize, Serialize};
use snaptrak_domain::{OrganisationId, Sha256Digest, UnixMs};

use crate::base64_bytes;
use crate::cose::PUBLIC_KEY_BYTES;
use crate::recipient_key::{KemAlgorithm, RecipientPublicKey, key_id};
use crate::trust::{ROOT_KEY_BYTES, TrustError};

/// Keys of one role: the active one and what its rotations left behind.
const ROLE_KEYS_MAX: usize = 64;

/// The signed content. A field that this version does not know is ignored: the bytes are kept and signed as they are, so
/// nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustBody {
    /// Whose keys these are.
    pub organisation_id: OrganisationId,
    /// Never goes back.
    pub version: u64,
    /// When it was signed.
    pub issued_ms: UnixMs,
    /// When it stops being accepted.
    pub expires_ms: UnixMs,
    /// The root that signs from this version on.
    pub root: RootPublic,
    /// The keys.
    pub roles: RoleKeys,
}

/// The root's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootPublic {
    /// Raw Ed25519 key, 32 bytes.
    #[serde(with = "base64_bytes")]
    pub public: Vec<u8>,
}

/// Keys by role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// To which data keys are wrapped.
    pub upload: Vec<RoleKey>,
    /// To which data keys are also wrapped, for the day when the upload key is lost.
    pub recovery: Vec<RoleKey>,
    /// By which the server's answers are signed.
    pub countersign: Vec<RoleKey>,
    /// By which policies are signed.
    pub policy: Vec<RoleKey>,
    /// By which model manifests are signed.
    pub models: Vec<RoleKey>,
}

/// One key of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKey {
    /// SHA-256 of the serialized key.
    pub key_id: Sha256Digest,
    /// What it is for.
    pub algorithm: RoleAlgorithm,
    /// The serialized key: HPKE's form, SEC1 uncompressed, or raw Ed25519.
    #[serde(with = "base64_bytes")]
    pub public: Vec<u8>,
    /// Whether it is still used.
    pub state: KeyState,
}

/// The algorithm of a role's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleAlgorithm {
    /// HPKE with X-Wing.
    #[serde(rename = "x-wing")]
    XWing,
    /// HPKE with X25519.
    #[serde(rename = "x25519")]
    X25519,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "es256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
}

/// Whether a key is still used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Used for what is new.
    Active,
    /// Good for what was made with it, not for anything new.
    Retired,
    /// Compromised: good for nothing.
    Revoked,
}

impl RoleKey {
    /// A role's entry for a recipient key.
    #[must_use]
    pub fn for_recipient(key: &RecipientPublicKey, state: KeyState) -> Self {
        let algorithm = match key.algorithm() {
            KemAlgorithm::XWing => RoleAlgorithm::XWing,
            KemAlgorithm::X25519 => RoleAlgorithm::X25519,
        };
        Self { key_id: key.key_id(), algorithm, public: key.as_bytes().to_vec(), state }
    }

    /// A role's entry for an ES256 key in SEC1's uncompressed form.
    #[must_use]
    pub fn for_es256(public: &[u8; PUBLIC_KEY_BYTES], state: KeyState) -> Self {
        Self { key_id: key_id(public), algorithm: RoleAlgorithm::Es256, public: public.to_vec(), state }
    }

    /// A role's entry for a raw Ed25519 key.
    #[must_use]
    pub fn for_ed25519(public: &[u8; ROOT_KEY_BYTES], state: KeyState) -> Self {
        Self { key_id: key_id(public), algorithm: RoleAlgorithm::Ed25519, public: public.to_vec(), state }
    }

    /// The key as one that data keys are wrapped to.
    #[must_use]
    pub fn recipient(&self) -> Option<RecipientPublicKey> {
        let algorithm = match self.algorithm {
            RoleAlgorithm::XWing => KemAlgorithm::XWing,
            RoleAlgorithm::X25519 => KemAlgorithm::X25519,
            RoleAlgorithm::Es256 | RoleAlgorithm::Ed25519 => return None,
        };
        RecipientPublicKey::from_bytes(algorithm, &self.public).ok()
    }

    fn is_well_formed(&self) -> bool {
        let public_ok = match self.algorithm {
            RoleAlgorithm::XWing | RoleAlgorithm::X25519 => self.recipient().is_some(),
            RoleAlgorithm::Es256 => self.public.len() == PUBLIC_KEY_BYTES && self.public[0] == 4,
            RoleAlgorithm::Ed25519 => self.public.len() == ROOT_KEY_BYTES,
        };
        public_ok && self.key_id == key_id(&self.public)
    }
}

impl TrustBody {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let body: Self = serde_json::from_slice(bytes)
            .map_err(|_| TrustError::Malformed { reason: "the body is not the JSON of one" })?;
        body.check_rules()?;
        Ok(body)
    }

    pub(crate) fn check_rules(&self) -> Result<(), TrustError> {
        self.root_public()?;
        let RoleKeys { upload, recovery, countersign, policy, models } = &self.roles;
        let wraps = [RoleAlgorithm::XWing, RoleAlgorithm::X25519].as_slice();
        let rules = [
            (upload, wraps),
            (recovery, wraps),
            (countersign, &[RoleAlgorithm::Es256]),
            (policy, &[RoleAlgorithm::Ed25519]),
            (models, &[RoleAlgorithm::Ed25519]),
        ];
        for (keys, algorithms) in rules {
            if keys.len() > ROLE_KEYS_MAX {
                return Err(TrustError::Malformed { reason: "too many keys in a role" });
            }
            if keys.iter().any(|key| !algorithms.contains(&key.algorithm) || !key.is_well_formed()) {
                return Err(TrustError::Malformed { reason: "a key does not fit its role, algorithm or id" });
            }
        }
        Ok(())
    }

    pub(crate) fn root_public(&self) -> Result<[u8; ROOT_KEY_BYTES], TrustError> {
        let public = self.root.public.as_slice();
        public.try_into().map_err(|_| TrustError::Malformed { reason: "the root key has a wrong length" })
    }

    /// The key to which new data keys are wrapped.
    #[must_use]
    pub fn upload_key(&self) -> Option<RecipientPublicKey> {
        active_recipient(&self.roles.upload)
    }

    /// The recovery key, if the organisation has one.
    #[must_use]
    pub fn recovery_key(&self) -> Option<RecipientPublicKey> {
        active_recipient(&self.roles.recovery)
    }

    /// The countersign key with this id, in SEC1's uncompressed form. A retired key still verifies what it signed; a revoked
    /// one does not.
    #[must_use]
    pub fn countersign_key(&self, key_id: &Sha256Digest) -> Option<[u8; PUBLIC_KEY_BYTES]> {
        let key = self.roles.countersign.iter().find(|key| key.key_id == *key_id)?;
        match key.state {
            KeyState::Active | KeyState::Retired => key.public.as_slice().try_into().ok(),
            KeyState::Revoked => None,
        }
    }

    /// Whether the organisation still opens wraps for this upload key.
    #[must_use]
    pub fn knows_upload_key(&self, key_id: &Sha256Digest) -> bool {
        self.roles.upload.iter().any(|key| key.key_id == *key_id && key.state != KeyState::Revoked)
    }
}

fn active_recipient(keys: &[RoleKey]) -> Option<RecipientPublicKey> {
    keys.iter().find(|key| key.state == KeyState::Active)?.recipient()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipient_key::RecipientPrivateKey;
    use crate::test_random::CountingRandom;

    fn body(roles: RoleKeys) -> TrustBody {
        TrustBody {
            organisation_id: OrganisationId::from_bytes([4; 16]),
            version: 1,
            issued_ms: UnixMs(0),
            expires_ms: UnixMs(1),
            root: RootPublic { public: vec![7; 32] },
            roles,
        }
    }

    #[test]
    fn keys_must_fit_role_algorithm_and_id() {
        let point = [4; PUBLIC_KEY_BYTES];
        let good = RoleKey::for_es256(&point, KeyState::Active);
        let in_countersign =
            |key: RoleKey| body(RoleKeys { countersign: vec![key], ..RoleKeys::default() }).check_rules();
        assert_eq!(in_countersign(good.clone()), Ok(()));
        assert!(in_countersign(RoleKey { key_id: key_id(b"x"), ..good.clone() }).is_err());
        assert!(in_countersign(RoleKey { algorithm: RoleAlgorithm::Ed25519, ..good.clone() }).is_err());
        assert!(in_countersign(RoleKey { public: vec![4; 64], ..good.clone() }).is_err());
        assert!(body(RoleKeys { upload: vec![good.clone()], ..RoleKeys::default() }).check_rules().is_err());
        assert!(body(RoleKeys { countersign: vec![good; 65], ..RoleKeys::default() }).check_rules().is_err());
        assert!(TrustBody { root: RootPublic { public: vec![] }, ..body(RoleKeys::default()) }.check_rules().is_err());
    }

    #[test]
    fn states_decide_what_a_key_is_good_for() {
        let random = CountingRandom::new(1);
        let key = |state| {
            let pair = RecipientPrivateKey::generate(KemAlgorithm::X25519, &random).unwrap();
            RoleKey::for_recipient(&pair.public_key(), state)
        };
        let upload = vec![key(KeyState::Revoked), key(KeyState::Retired), key(KeyState::Active)];
        let ids: Vec<_> = upload.iter().map(|key| key.key_id).collect();
        let point = |byte, state| RoleKey::for_es256(&[byte; PUBLIC_KEY_BYTES], state);
        let countersign = vec![point(4, KeyState::Retired), point(5, KeyState::Revoked)];
        let signers: Vec<_> = countersign.iter().map(|key| key.key_id).collect();
        let body = body(RoleKeys { upload, countersign, ..RoleKeys::default() });
        assert_eq!(body.upload_key().map(|key| key.key_id()), Some(ids[2]));
        assert_eq!(ids.iter().map(|id| body.knows_upload_key(id)).collect::<Vec<_>>(), [false, true, true]);
        assert!(body.recovery_key().is_none());
        assert!(body.countersign_key(&signers[0]).is_some());
        assert!(body.countersign_key(&signers[1]).is_none());
    }
}
