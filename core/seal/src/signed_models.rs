//! The signed manifest of models: the bytes of a manifest with the organisation's word that they are its own.
//!
//! Owns the envelope, the signature and the rule by which one is accepted. Refuses to know what a manifest says (its bytes are
//! signed and kept as they are, never written again), where it comes from, and what happens to models when one is refused
//! (those in use stay in use). The caller keeps the [`AcceptedVersion`] that an accepted manifest gives.

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{OrganisationId, Sha256Digest, UnixMs};

use crate::base64_bytes;
use crate::recipient_key::sha256;
use crate::trust::{AcceptedVersion, RootKey};
use crate::trust_body::{KeyState, RoleAlgorithm, TrustBody};

/// Longest envelope: a manifest of 4 MiB, which is dozens of models with a thousand labels each, in base64.
pub const SIGNED_MODELS_BYTES_MAX: usize = 6 * 1024 * 1024;

const FORMAT: &str = "snaptrak.models/1";
const FORMAT_NAME: &str = "snaptrak.models/";
const SIGNED_LABEL: &[u8] = b"snaptrak.models/1\n";

/// Why a signed manifest was not accepted. In each case the models in use stay in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedModelsError {
    /// The key is none of the trust bundle's `models` role: fetch the organisation's newest bundle, or have it signed anew.
    #[error("the manifest of models is signed by {key_id}, which is no key for models in the trust bundle")]
    UnknownKey {
        /// The key that it names.
        key_id: Sha256Digest,
    },
    /// The organisation has taken the key's word back: have it signed by another one.
    #[error("the manifest of models is signed by {key_id}, which the organisation has revoked")]
    RevokedKey {
        /// The key that it names.
        key_id: Sha256Digest,
    },
    /// Somebody changed it since it was signed, or it never was: fetch it again.
    #[error("the signature of the manifest of models does not verify")]
    BadSignature,
    /// It is another organisation's: check where it was fetched from.
    #[error("the manifest of models belongs to another organisation")]
    WrongOrganisation,
    /// An older version than the one known, or other bytes under the same version: publish it under a greater one.
    #[error("the manifest of models has version {version}, which does not follow the known version {known_version}")]
    VersionRollback {
        /// Its version.
        version: u64,
        /// The version accepted before.
        known_version: u64,
    },
    /// Its time is over: have it signed anew with a greater version.
    #[error("the manifest of models has expired")]
    Expired,
    /// Not a signed manifest, or one that breaks a rule of the format: fetch it again.
    #[error("the signed manifest of models is malformed: {reason}")]
    Malformed {
        /// Which rule.
        reason: &'static str,
    },
    /// A format of a later version: update.
    #[error("the signed manifest of models has format version {version}, which is newer than this software")]
    Newer {
        /// The version that it names.
        version: u64,
    },
}

impl SignedModelsError {
    /// What to do about it, for a developer.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => {
                "fetch the organisation's newest trust bundle, or have the manifest signed by a key of its role for models"
            }
            Self::RevokedKey { .. } => "have the manifest signed by a key that is not revoked",
            Self::BadSignature | Self::Malformed { .. } => "fetch the signed manifest again: it was changed on its way",
            Self::WrongOrganisation => "check where the manifest was fetched from",
            Self::VersionRollback { .. } => "publish the manifest under a greater version",
            Self::Expired => "have the manifest signed anew, under a greater version",
            Self::Newer { .. } => "update the app",
        }
    }
}

/// What is signed with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelsClaims {
    /// Whose models these are.
    pub organisation_id: OrganisationId,
    /// Never goes back.
    pub version: u64,
    /// When it was signed.
    pub issued_ms: UnixMs,
    /// When it stops being accepted.
    pub expires_ms: UnixMs,
}

impl ModelsClaims {
    /// The bytes that are signed: a label, three numbers and an id of fixed length, then the manifest as it is.
    fn signed_bytes(&self, manifest: &[u8]) -> Vec<u8> {
        [
            SIGNED_LABEL,
            self.organisation_id.as_bytes(),
            &self.version.to_be_bytes(),
            &self.issued_ms.0.to_be_bytes(),
            &self.expires_ms.0.to_be_bytes(),
            manifest,
        ]
        .concat()
    }
}

/// A field that this version does not know is refused: nothing outside of the signed bytes may mean anything.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    organisation_id: OrganisationId,
    version: u64,
    issued_ms: UnixMs,
    expires_ms: UnixMs,
    #[serde(with = "base64_bytes")]
    manifest: Vec<u8>,
    key_id: Sha256Digest,
    #[serde(with = "base64_bytes")]
    signature: Vec<u8>,
}

/// Signs a manifest's bytes with a key of the `models` role, which is an Ed25519 key as the root is.
pub fn sign_models(claims: &ModelsClaims, manifest: &[u8], key: &RootKey) -> Result<String, SignedModelsError> {
    check_times(claims)?;
    let envelope = Envelope {
        format: FORMAT.to_owned(),
        organisation_id: claims.organisation_id,
        version: claims.version,
        issued_ms: claims.issued_ms,
        expires_ms: claims.expires_ms,
        manifest: manifest.to_vec(),
        key_id: key.fingerprint(),
        signature: key.sign(&claims.signed_bytes(manifest)),
    };
    let text = serde_json::to_string(&envelope).expect("text and numbers always serialize");
    if text.len() > SIGNED_MODELS_BYTES_MAX {
        return Err(malformed("too long"));
    }
    Ok(text)
}

/// A signed manifest that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedModels {
    /// What was signed with it.
    pub claims: ModelsClaims,
    /// The manifest, byte for byte as it was signed.
    pub manifest: Vec<u8>,
    /// The key that signed.
    pub key_id: Sha256Digest,
    /// What to remember from now on.
    pub accepted: AcceptedVersion,
}

/// Accepts or refuses a signed manifest by the keys of an accepted trust bundle. `known` is what was accepted last; the same
/// bytes may be accepted again.
pub fn accept_models(
    signed: &[u8],
    trust: &TrustBody,
    known: Option<&AcceptedVersion>,
    now: UnixMs,
) -> Result<AcceptedModels, SignedModelsError> {
    let models = open_models(signed, trust)?;
    if let Some(last) = known {
        let older = models.accepted.version < last.version;
        let rewritten = models.accepted.version == last.version && models.accepted.body_sha256 != last.body_sha256;
        if older || rewritten {
            let version = models.accepted.version;
            return Err(SignedModelsError::VersionRollback { version, known_version: last.version });
        }
    }
    if now >= models.claims.expires_ms {
        return Err(SignedModelsError::Expired);
    }
    Ok(models)
}

/// Checks key, signature and organisation alone, of what was accepted before: its time may be over since, and newer ones may
/// have been seen.
pub fn open_models(signed: &[u8], trust: &TrustBody) -> Result<AcceptedModels, SignedModelsError> {
    let envelope = parse(signed)?;
    let claims = ModelsClaims {
        organisation_id: envelope.organisation_id,
        version: envelope.version,
        issued_ms: envelope.issued_ms,
        expires_ms: envelope.expires_ms,
    };
    check_times(&claims)?;
    // The organisation comes first: another one's manifest has another one's key, and "unknown key" would mislead.
    if claims.organisation_id != trust.organisation_id {
        return Err(SignedModelsError::WrongOrganisation);
    }
    let key_id = envelope.key_id;
    let public = public_key(trust, key_id)?;
    let body = claims.signed_bytes(&envelope.manifest);
    UnparsedPublicKey::new(&ED25519, public)
        .verify(&body, &envelope.signature)
        .map_err(|_| SignedModelsError::BadSignature)?;
    let accepted = AcceptedVersion { version: claims.version, body_sha256: sha256(&body) };
    Ok(AcceptedModels { claims, manifest: envelope.manifest, key_id, accepted })
}

/// A retired key is good for what was made with it; only the organisation's word makes it worthless.
fn public_key(trust: &TrustBody, key_id: Sha256Digest) -> Result<&[u8], SignedModelsError> {
    let mut named = trust.roles.models.iter().filter(|key| key.key_id == key_id);
    let key = named.find(|key| key.algorithm == RoleAlgorithm::Ed25519);
    let key = key.ok_or(SignedModelsError::UnknownKey { key_id })?;
    match key.state {
        KeyState::Active | KeyState::Retired => Ok(&key.public),
        KeyState::Revoked => Err(SignedModelsError::RevokedKey { key_id }),
    }
}

fn check_times(claims: &ModelsClaims) -> Result<(), SignedModelsError> {
    if claims.issued_ms >= claims.expires_ms { Err(malformed("it expires before it was issued")) } else { Ok(()) }
}

fn malformed(reason: &'static str) -> SignedModelsError {
    SignedModelsError::Malformed { reason }
}

fn parse(signed: &[u8]) -> Result<Envelope, SignedModelsError> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    if signed.len() > SIGNED_MODELS_BYTES_MAX {
        return Err(malformed("too long"));
    }
    let Format { format } = serde_json::from_slice(signed).map_err(|_| malformed("not a JSON object with a format"))?;
    if format != FORMAT {
        let version = format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
        return Err(match version {
            Some(version) if version > 1 => SignedModelsError::Newer { version },
            Some(_) | None => malformed("another format"),
        });
    }
    serde_json::from_slice(signed).map_err(|_| malformed("not the JSON of a signed manifest"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust_body::{RoleKey, RoleKeys, RootPublic};

    const NOW: UnixMs = UnixMs(1_795_000_000_000);
    const MANIFEST: &[u8] = b"{\"schema\":\"snaptrak.models/1\",  \"version\":1,\"models\":[]}\n";

    fn key(seed: u8) -> RootKey {
        RootKey::from_seed(&[seed; 32])
    }

    fn trust(state: KeyState) -> TrustBody {
        TrustBody {
            organisation_id: OrganisationId::from_bytes([4; 16]),
            version: 1,
            issued_ms: UnixMs(NOW.0 - 1),
            expires_ms: UnixMs(NOW.0 + 1),
            root: RootPublic { public: key(1).public().to_vec() },
            roles: RoleKeys { models: vec![RoleKey::for_ed25519(&key(2).public(), state)], ..RoleKeys::default() },
        }
    }

    fn claims(version: u64) -> ModelsClaims {
        let organisation_id = OrganisationId::from_bytes([4; 16]);
        ModelsClaims { organisation_id, version, issued_ms: UnixMs(NOW.0 - 5), expires_ms: UnixMs(NOW.0 + 5) }
    }

    fn signed(version: u64) -> String {
        sign_models(&claims(version), MANIFEST, &key(2)).unwrap()
    }

    fn accept(signed: &str, known: Option<&AcceptedVersion>) -> Result<AcceptedModels, SignedModelsError> {
        accept_models(signed.as_bytes(), &trust(KeyState::Active), known, NOW)
    }

    #[test]
    fn what_a_key_for_models_signed_is_accepted_byte_for_byte() {
        let accepted = accept(&signed(3), None).unwrap();
        assert_eq!(accepted.manifest, MANIFEST);
        assert_eq!(accepted.claims, claims(3));
        assert_eq!(accepted.key_id, key(2).fingerprint());
        assert_eq!(accept(&signed(3), Some(&accepted.accepted)).unwrap(), accepted, "the same bytes again");
        let retired = accept_models(signed(3).as_bytes(), &trust(KeyState::Retired), None, NOW);
        assert_eq!(retired.unwrap(), accepted);
    }

    #[test]
    fn an_unknown_and_a_revoked_key_have_no_say_whatever_they_sign() {
        let root_signed = sign_models(&claims(3), MANIFEST, &key(1)).unwrap();
        let key_id = key(1).fingerprint();
        assert_eq!(
            accept(&root_signed, None),
            Err(SignedModelsError::UnknownKey { key_id }),
            "the root is no such key"
        );
        let revoked = accept_models(signed(3).as_bytes(), &trust(KeyState::Revoked), None, NOW);
        assert_eq!(revoked, Err(SignedModelsError::RevokedKey { key_id: key(2).fingerprint() }));
        // Another key's signature under the right key's name.
        let borrowed = root_signed.replace(&key_id.to_string(), &key(2).fingerprint().to_string());
        assert_eq!(accept(&borrowed, None), Err(SignedModelsError::BadSignature));
        // A policy key that is in the bundle, but not in this role.
        let mut trust = trust(KeyState::Active);
        trust.roles.policy = std::mem::take(&mut trust.roles.models);
        let other_role = accept_models(signed(3).as_bytes(), &trust, None, NOW);
        assert_eq!(other_role, Err(SignedModelsError::UnknownKey { key_id: key(2).fingerprint() }));
    }

    #[test]
    fn every_claim_and_every_byte_of_the_manifest_is_signed() {
        let changes: [(&str, serde_json::Value); 5] = [
            ("version", 4.into()),
            ("issued_ms", (NOW.0 - 6).into()),
            ("expires_ms", (NOW.0 + 6).into()),
            ("manifest", base64_bytes::encode(b"{}").into()),
            ("signature", base64_bytes::encode(&[0; 64]).into()),
        ];
        for (field, value) in changes {
            let mut envelope: serde_json::Value = serde_json::from_str(&signed(3)).unwrap();
            envelope[field] = value;
            assert_eq!(accept(&envelope.to_string(), None), Err(SignedModelsError::BadSignature), "{field}");
        }
    }

    #[test]
    fn another_organisation_is_told_before_its_key_is_looked_for() {
        let other = ModelsClaims { organisation_id: OrganisationId::from_bytes([5; 16]), ..claims(3) };
        let other = sign_models(&other, MANIFEST, &key(7)).unwrap();
        assert_eq!(accept(&other, None), Err(SignedModelsError::WrongOrganisation));
    }

    #[test]
    fn versions_never_go_back_and_never_change() {
        let known = accept(&signed(5), None).unwrap().accepted;
        let rollback = |version| SignedModelsError::VersionRollback { version, known_version: 5 };
        assert_eq!(accept(&signed(4), Some(&known)), Err(rollback(4)));
        let rewritten = sign_models(&claims(5), b"other bytes", &key(2)).unwrap();
        assert_eq!(accept(&rewritten, Some(&known)), Err(rollback(5)));
        assert_eq!(accept(&signed(6), Some(&known)).unwrap().accepted.version, 6);
        assert!(open_models(signed(4).as_bytes(), &trust(KeyState::Active)).is_ok(), "what was accepted before opens");
    }

    #[test]
    fn what_has_expired_is_no_longer_accepted_but_still_opens() {
        let (signed, trust) = (signed(5), trust(KeyState::Active));
        let late = |ms| accept_models(signed.as_bytes(), &trust, None, UnixMs(NOW.0 + ms));
        assert!(late(4).is_ok());
        assert_eq!(late(5), Err(SignedModelsError::Expired));
        assert!(open_models(signed.as_bytes(), &trust).is_ok());
        let backwards = ModelsClaims { expires_ms: UnixMs(0), ..claims(1) };
        assert!(matches!(sign_models(&backwards, MANIFEST, &key(2)), Err(SignedModelsError::Malformed { .. })));
    }

    #[test]
    fn newer_formats_and_noise_are_told_apart() {
        let newer = signed(1).replace("snaptrak.models/1", "snaptrak.models/2");
        assert_eq!(accept(&newer, None), Err(SignedModelsError::Newer { version: 2 }));
        let more = signed(1).replacen('{', "{\"note\":1,", 1);
        let manifest = String::from_utf8(MANIFEST.to_vec()).unwrap();
        let long = " ".repeat(SIGNED_MODELS_BYTES_MAX + 1);
        for bad in ["", "{}", "[]", "{\"format\":\"snaptrak.models/1\"}", "{\"format\":\"snaptrak.trust/1\"}", &more] {
            assert!(matches!(accept(bad, None), Err(SignedModelsError::Malformed { .. })), "{bad}");
        }
        for bad in [&manifest, &long] {
            assert!(matches!(accept(bad, None), Err(SignedModelsError::Malformed { .. })));
        }
    }
}
