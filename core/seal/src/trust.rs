//! The trust bundle: the organisation's signed set of public keys by role, and the rule by which one is accepted.
//!
//! Owns the format, the signatures and the rule. Refuses to know where bundles come from and what happens to sending when
//! one is refused (it stops; capture never does). The caller keeps the [`TrustAnchor`] that an accepted bundle gives.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{OrganisationId, Random, RandomError, Secret, Sha256Digest, UnixMs};
use zeroize::Zeroizing;

use crate::base64_bytes;
use crate::recipient_key::{key_id, sha256};
use crate::trust_body::TrustBody;

/// Longest bundle: five roles of 64 X-Wing keys take 540 KB in base64 of JSON of base64.
pub const TRUST_BYTES_MAX: usize = 1024 * 1024;

const FORMAT: &str = "snaptrak.trust/1";
const FORMAT_NAME: &str = "snaptrak.trust/";
const SIGNED_LABEL: &[u8] = b"snaptrak.trust/1\n";

/// Signatures of one bundle: the root, its successor, and room to spare. Bounds the work that a hostile bundle can cause.
const SIGNATURES_MAX: usize = 8;

/// Length of an Ed25519 public key and of the seed of a private one.
pub const ROOT_KEY_BYTES: usize = 32;

/// Why a bundle was not accepted. Sending stops with the code that the caller makes of it; capture goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The bundle's root is not the pinned one and the pinned one has not signed it.
    #[error("the trust bundle does not chain to the pinned root")]
    UntrustedRoot,
    /// A signature that the rule needs is absent or does not verify.
    #[error("a signature of the trust bundle does not verify")]
    BadSignature,
    /// An older version than the one known, or other bytes under the same version.
    #[error("the trust bundle's version {version} does not follow the known version {known_version}")]
    VersionRollback {
        /// The bundle's version.
        version: u64,
        /// The version accepted before.
        known_version: u64,
    },
    /// The bundle's time is over.
    #[error("the trust bundle has expired")]
    Expired,
    /// Not a bundle, or one that breaks a rule of the format.
    #[error("the trust bundle is malformed: {reason}")]
    Malformed {
        /// Which rule.
        reason: &'static str,
    },
    /// A format of a later version: update.
    #[error("the trust bundle has format version {version}, which is newer than this software")]
    Newer {
        /// The version that it names.
        version: u64,
    },
    /// A bundle of another organisation than the one enrolled with.
    #[error("the trust bundle belongs to another organisation")]
    WrongOrganisation,
}

/// An organisation's root key. The keys of the role `models` are of the same kind.
pub struct RootKey {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; ROOT_KEY_BYTES]>,
}

impl RootKey {
    /// Draws a new root.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut seed = Zeroizing::new([0; ROOT_KEY_BYTES]);
        random.fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// Takes the seed of a root that was kept elsewhere.
    #[must_use]
    pub fn from_seed(seed: &[u8; ROOT_KEY_BYTES]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("an Ed25519 seed has 32 bytes");
        Self { pair, seed: Zeroizing::new(*seed) }
    }

    /// The seed, for keeping.
    #[must_use]
    pub fn seed(&self) -> Secret {
        Secret::new(self.seed.to_vec())
    }

    /// The raw public key.
    #[must_use]
    pub fn public(&self) -> [u8; ROOT_KEY_BYTES] {
        let mut public = [0; ROOT_KEY_BYTES];
        public.copy_from_slice(self.pair.public_key().as_ref());
        public
    }

    /// Signs bytes that begin with a format's label.
    pub(crate) fn sign(&self, labelled: &[u8]) -> Vec<u8> {
        self.pair.sign(labelled).as_ref().to_vec()
    }

    /// SHA-256 of the raw public key: what `--trust-root`, MDM and QR codes carry.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        key_id(&self.public())
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RootKey(redacted)")
    }
}

#[derive(Serialize, Deserialize)]
struct Bundle {
    format: String,
    #[serde(with = "base64_bytes")]
    body: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    key_id: Sha256Digest,
    #[serde(with = "base64_bytes")]
    signature: Vec<u8>,
}

/// Signs a body with the root, and with the previous root too when the root changes.
pub fn sign_trust_bundle(body: &TrustBody, roots: &[&RootKey]) -> Result<String, TrustError> {
    body.check_rules()?;
    let bytes = serde_json::to_vec(body).expect("text, numbers and lists always serialize");
    let signed = [SIGNED_LABEL, &bytes].concat();
    let signatures =
        roots.iter().map(|root| Signature { key_id: root.fingerprint(), signature: root.sign(&signed) }).collect();
    let bundle = Bundle { format: FORMAT.to_owned(), body: bytes, signatures };
    Ok(serde_json::to_string(&bundle).expect("text and lists always serialize"))
}

/// What a device remembers of trust. Kept by the store; serializes without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustAnchor {
    /// Fingerprint of the pinned root.
    pub root: Sha256Digest,
    /// The pinned root itself, known since a bundle was accepted. Without it a rotation cannot be followed, because a bundle
    /// carries only its own root's key.
    pub root_public: Option<[u8; ROOT_KEY_BYTES]>,
    /// The organisation, known since a bundle was accepted.
    pub organisation_id: Option<OrganisationId>,
    /// Version and body digest of the bundle accepted last.
    pub accepted: Option<AcceptedVersion>,
}

/// The bundle that was accepted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedVersion {
    /// Its version.
    pub version: u64,
    /// SHA-256 of its body.
    pub body_sha256: Sha256Digest,
}

impl TrustAnchor {
    /// Pins a root by its fingerprint, before anything was accepted.
    #[must_use]
    pub fn pin(root: Sha256Digest) -> Self {
        Self { root, root_public: None, organisation_id: None, accepted: None }
    }
}

/// A bundle that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedTrust {
    /// The keys.
    pub body: TrustBody,
    /// What to remember from now on.
    pub anchor: TrustAnchor,
    /// The root changed.
    pub rotated: bool,
}

/// Accepts or refuses a bundle. Without an anchor this is trust on first use, which is the app's recorded choice: any root that
/// signed its own bundle is taken.
pub fn accept_trust_bundle(
    bundle: &[u8],
    anchor: Option<&TrustAnchor>,
    now: UnixMs,
) -> Result<AcceptedTrust, TrustError> {
    let bundle = parse(bundle)?;
    let body = TrustBody::parse(&bundle.body)?;
    let root = key_id(&body.root.public);
    let known = anchor.cloned().unwrap_or_else(|| TrustAnchor::pin(root));
    let rotated = root != known.root;
    if rotated {
        // The old root must be known by its key, and must have named its successor with its own signature.
        let old_public = known.root_public.ok_or(TrustError::UntrustedRoot)?;
        if !bundle.signatures.iter().any(|signature| signature.key_id == known.root) {
            return Err(TrustError::UntrustedRoot);
        }
        check_signature(&bundle, &old_public)?;
    }
    check_signature(&bundle, &body.root_public()?)?;
    if known.organisation_id.is_some_and(|organisation_id| organisation_id != body.organisation_id) {
        return Err(TrustError::WrongOrganisation);
    }
    let accepted = AcceptedVersion { version: body.version, body_sha256: sha256(&bundle.body) };
    if let Some(last) = known.accepted {
        let older = accepted.version < last.version;
        let rewritten = accepted.version == last.version && accepted.body_sha256 != last.body_sha256;
        if older || rewritten {
            return Err(TrustError::VersionRollback { version: accepted.version, known_version: last.version });
        }
    }
    if now >= body.expires_ms {
        return Err(TrustError::Expired);
    }
    let anchor = TrustAnchor {
        root,
        root_public: Some(body.root_public()?),
        organisation_id: Some(body.organisation_id),
        accepted: Some(accepted),
    };
    Ok(AcceptedTrust { body, anchor, rotated })
}

fn malformed(reason: &'static str) -> TrustError {
    TrustError::Malformed { reason }
}

fn parse(bundle: &[u8]) -> Result<Bundle, TrustError> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    if bundle.len() > TRUST_BYTES_MAX {
        return Err(malformed("too long"));
    }
    let Format { format } = serde_json::from_slice(bundle).map_err(|_| malformed("not a JSON object with a format"))?;
    if format != FORMAT {
        let version = format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
        return Err(match version {
            Some(version) if version > 1 => TrustError::Newer { version },
            Some(_) | None => malformed("another format"),
        });
    }
    let bundle: Bundle = serde_json::from_slice(bundle).map_err(|_| malformed("not the JSON of a trust bundle"))?;
    if bundle.signatures.len() > SIGNATURES_MAX {
        return Err(malformed("too many signatures"));
    }
    Ok(bundle)
}

/// At least one signature under this key's id, and it verifies.
fn check_signature(bundle: &Bundle, public: &[u8; ROOT_KEY_BYTES]) -> Result<(), TrustError> {
    let signed = [SIGNED_LABEL, &bundle.body].concat();
    let key = UnparsedPublicKey::new(&ED25519, public);
    let id = key_id(public);
    let verified = bundle
        .signatures
        .iter()
        .filter(|signature| signature.key_id == id)
        .any(|signature| key.verify(&signed, &signature.signature).is_ok());
    if verified { Ok(()) } else { Err(TrustError::BadSignature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipient_key::{KemAlgorithm, RecipientPrivateKey};
    use crate::test_random::CountingRandom;
    use crate::trust_body::{KeyState, RoleKey, RoleKeys};
    use proptest::prelude::*;

    const NOW: UnixMs = UnixMs(1_795_000_000_000);

    fn root(seed: u8) -> RootKey {
        RootKey::from_seed(&[seed; 32])
    }

    fn body(root: &RootKey, version: u64) -> TrustBody {
        let upload = RecipientPrivateKey::generate(KemAlgorithm::X25519, &CountingRandom::new(1)).unwrap();
        TrustBody {
            organisation_id: OrganisationId::from_bytes([4; 16]),
            version,
            issued_ms: UnixMs(NOW.0 - 1),
            expires_ms: UnixMs(NOW.0 + 1),
            root: crate::trust_body::RootPublic { public: root.public().to_vec() },
            roles: RoleKeys {
                upload: vec![RoleKey::for_recipient(&upload.public_key(), KeyState::Active)],
                ..RoleKeys::default()
            },
        }
    }

    fn accept(bundle: &str, anchor: Option<&TrustAnchor>) -> Result<AcceptedTrust, TrustError> {
        accept_trust_bundle(bundle.as_bytes(), anchor, NOW)
    }

    #[test]
    fn the_pinned_root_is_accepted_and_remembered() {
        let root = root(1);
        let bundle = sign_trust_bundle(&body(&root, 3), &[&root]).unwrap();
        let accepted = accept(&bundle, Some(&TrustAnchor::pin(root.fingerprint()))).unwrap();
        assert!(!accepted.rotated);
        assert_eq!(accepted.body, body(&root, 3));
        assert_eq!(accepted.anchor.accepted.unwrap().version, 3);
        assert_eq!(accept(&bundle, None).unwrap().anchor, accepted.anchor, "first use takes the same root");
        assert_eq!(accept(&bundle, Some(&accepted.anchor)).unwrap().anchor, accepted.anchor, "the same bytes again");
    }

    #[test]
    fn another_root_is_untrusted_whoever_signed() {
        let (pinned, other) = (root(1), root(2));
        let bundle = sign_trust_bundle(&body(&other, 3), &[&other]).unwrap();
        assert_eq!(accept(&bundle, Some(&TrustAnchor::pin(pinned.fingerprint()))), Err(TrustError::UntrustedRoot));
        let anchor = accept(&sign_trust_bundle(&body(&pinned, 1), &[&pinned]).unwrap(), None).unwrap().anchor;
        assert_eq!(accept(&bundle, Some(&anchor)), Err(TrustError::UntrustedRoot));
    }

    #[test]
    fn a_rotation_needs_both_roots() {
        let (old, new) = (root(1), root(2));
        let anchor = accept(&sign_trust_bundle(&body(&old, 1), &[&old]).unwrap(), None).unwrap().anchor;
        let both = sign_trust_bundle(&body(&new, 2), &[&old, &new]).unwrap();
        let rotated = accept(&both, Some(&anchor)).unwrap();
        assert!(rotated.rotated);
        assert_eq!(rotated.anchor.root, new.fingerprint());
        let back = sign_trust_bundle(&body(&old, 3), &[&old]).unwrap();
        assert_eq!(accept(&back, Some(&rotated.anchor)), Err(TrustError::UntrustedRoot), "the old root has no say now");
        let only_old = sign_trust_bundle(&body(&new, 2), &[&old]).unwrap();
        assert_eq!(accept(&only_old, Some(&anchor)), Err(TrustError::BadSignature));
        let only_fingerprint = TrustAnchor::pin(old.fingerprint());
        assert_eq!(accept(&both, Some(&only_fingerprint)), Err(TrustError::UntrustedRoot));
    }

    #[test]
    fn versions_never_go_back_and_never_change() {
        let root = root(1);
        let anchor = accept(&sign_trust_bundle(&body(&root, 5), &[&root]).unwrap(), None).unwrap().anchor;
        let older = sign_trust_bundle(&body(&root, 4), &[&root]).unwrap();
        let rollback = |version| TrustError::VersionRollback { version, known_version: 5 };
        assert_eq!(accept(&older, Some(&anchor)), Err(rollback(4)));
        let rewritten = TrustBody { issued_ms: UnixMs(7), ..body(&root, 5) };
        let rewritten = sign_trust_bundle(&rewritten, &[&root]).unwrap();
        assert_eq!(accept(&rewritten, Some(&anchor)), Err(rollback(5)));
        let newer = sign_trust_bundle(&body(&root, 6), &[&root]).unwrap();
        assert_eq!(accept(&newer, Some(&anchor)).unwrap().anchor.accepted.unwrap().version, 6);
    }

    #[test]
    fn expiry_organisation_and_format() {
        let root = root(1);
        let bundle = sign_trust_bundle(&body(&root, 5), &[&root]).unwrap();
        let late = accept_trust_bundle(bundle.as_bytes(), None, UnixMs(NOW.0 + 1));
        assert_eq!(late, Err(TrustError::Expired));
        let anchor = accept(&bundle, None).unwrap().anchor;
        let other = TrustBody { organisation_id: OrganisationId::from_bytes([5; 16]), ..body(&root, 6) };
        let other = sign_trust_bundle(&other, &[&root]).unwrap();
        assert_eq!(accept(&other, Some(&anchor)), Err(TrustError::WrongOrganisation));
        let newer = bundle.replace("snaptrak.trust/1", "snaptrak.trust/2");
        assert_eq!(accept(&newer, None), Err(TrustError::Newer { version: 2 }));
        for bad in ["", "{}", "{\"format\":\"snaptrak.trust/1\"}", "{\"format\":\"snaptrak.envelope/1\"}"] {
            assert!(matches!(accept(bad, None), Err(TrustError::Malformed { .. })));
        }
    }

    #[test]
    fn a_bundle_without_the_roots_signature_is_refused_even_on_first_use() {
        let (root, other) = (root(1), root(2));
        for signers in [&[][..], &[&other][..]] {
            let bundle = sign_trust_bundle(&body(&root, 1), signers).unwrap();
            assert_eq!(accept(&bundle, None), Err(TrustError::BadSignature));
        }
    }

    proptest! {
        #[test]
        fn no_changed_byte_is_accepted_with_other_content(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let root = root(1);
            let mut bundle = sign_trust_bundle(&body(&root, 5), &[&root]).unwrap().into_bytes();
            let place = at.index(bundle.len());
            bundle[place] = to;
            if let Ok(accepted) = accept_trust_bundle(&bundle, Some(&TrustAnchor::pin(root.fingerprint())), NOW) {
                prop_assert_eq!(accepted.body, body(&root, 5));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(accept_trust_bundle(&bytes, None, NOW).is_err());
        }
    }
}
