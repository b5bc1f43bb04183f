//! The command line's key store: a passphrase through Argon2id.
//!
//! Owns: how a class of keys is wrapped under a passphrase, and what is written down to open it again. The derived key is
//! kept nowhere: every `wrap` draws a salt and derives, every `unwrap` derives, and both wipe it. What lies on disk is input
//! from the world: costs are checked before memory is taken for them. A wrong passphrase and damage are two answers: the
//! parameters carry a digest of themselves (damage) and a value derived beside the wrapping key (passphrase).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{aead, digest, hkdf};
use serde::{Deserialize, Serialize, de::Error as _};
use snaptrak::{KeyClass, KeyStore, KeyStoreError, Random, Secret, Sha256Digest, WrappedKeys};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Memory: 64 MiB, the figure of RFC 9106's second recommended option; a phone or the smallest cloud machine has it for a
/// fifth of a second, a graphics card runs out of it after a few hundred guesses side by side.
const MEMORY_KIB: u32 = 65_536;
/// Passes over it: three, of the same option.
const PASSES: u32 = 3;
/// One lane: we fill it on one core, and more lanes would help only someone with more cores than we use.
const LANES: u32 = 1;

/// Largest memory that a store may ask for, four times ours: room for stronger stores, and no file makes us take 4 TiB.
const MEMORY_KIB_MAX: u32 = 262_144;
/// Most passes that a store may ask for: with the largest memory some seconds.
const PASSES_MAX: u32 = 16;
/// Most lanes that a store may ask for: they cost nothing but must divide the memory sensibly.
const LANES_MAX: u32 = 16;
/// Shortest and longest salt; ours has the length that RFC 9106 names.
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 64;
/// A sealed class of keys is some hundred bytes; more than this is no keyset.
const SEALED_BYTES_MAX: usize = 1 << 20;

const KIND: &str = "passphrase";
const ALGORITHM: &str = "argon2id";
/// Argon2 version 1.3.
const VERSION: u32 = 19;
const DIGEST_CONTEXT: &[u8] = b"snaptrak.passphrase/1 parameters";
const WRAP_INFO: &[u8] = b"snaptrak.passphrase/1 wrap";
const CHECK_INFO: &[u8] = b"snaptrak.passphrase/1 check";

/// Where the passphrase comes from.
pub(crate) trait PassphraseSource: Send + Sync {
    /// The passphrase; asked once in a process. `new` says that it will protect a new store, so that a person should type
    /// it twice. `None`: there is nobody to ask.
    fn passphrase(&self, new: bool) -> Option<Secret>;
}

/// Wraps keys under a passphrase.
pub(crate) struct PassphraseKeyStore {
    source: Box<dyn PassphraseSource>,
    random: Arc<dyn Random>,
    given: Mutex<Option<Secret>>,
}

/// What stands beside the sealed keys. None of it is secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    kind: String,
    algorithm: String,
    version: u32,
    m_kib: u32,
    t: u32,
    p: u32,
    salt: Base64Bytes,
    nonce: Base64Bytes,
    /// Tells a wrong passphrase before anything is opened.
    check: Base64Bytes,
    /// Of all of the above.
    sha256: Sha256Digest,
}

/// The two values that one passphrase and one salt give; neither tells the other.
struct Derived {
    wrap: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

impl PassphraseKeyStore {
    pub(crate) fn new(source: Box<dyn PassphraseSource>, random: Arc<dyn Random>) -> Self {
        Self { source, random, given: Mutex::new(None) }
    }

    fn passphrase(&self, new: bool) -> Result<Secret, KeyStoreError> {
        // A panic elsewhere leaves the passphrase as it was, which is all that the lock protects.
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_none() {
            *given = self.source.passphrase(new);
        }
        given.clone().ok_or(KeyStoreError::NeedsUser { wrong_answer: false })
    }

    fn draw<const BYTES: usize>(&self) -> Result<[u8; BYTES], KeyStoreError> {
        let mut bytes = [0; BYTES];
        // Without randomness nothing can be sealed now; a later call may have some.
        self.random.fill(&mut bytes).map_err(|_| KeyStoreError::NotYet)?;
        Ok(bytes)
    }
}

impl KeyStore for PassphraseKeyStore {
    fn wrap(&self, _class: KeyClass, keys: &Secret, associated_data: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
        let passphrase = self.passphrase(true)?;
        let nonce: [u8; aead::NONCE_LEN] = self.draw()?;
        let mut parameters = Parameters {
            kind: KIND.to_owned(),
            algorithm: ALGORITHM.to_owned(),
            version: VERSION,
            m_kib: MEMORY_KIB,
            t: PASSES,
            p: LANES,
            salt: Base64Bytes(self.draw::<SALT_BYTES>()?.to_vec()),
            nonce: Base64Bytes(nonce.to_vec()),
            check: Base64Bytes(Vec::new()),
            sha256: Sha256Digest([0; 32]),
        };
        let derived = derive(&passphrase, &parameters)?;
        parameters.check = Base64Bytes(derived.check.to_vec());
        parameters.sha256 = parameters.digest();
        // Room for the tag at once: growing would leave an unwiped copy of the keys behind.
        let mut sealed = Vec::with_capacity(keys.expose().len() + aead::AES_256_GCM.tag_len());
        sealed.extend_from_slice(keys.expose());
        key(&derived.wrap)
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(associated_data),
                &mut sealed,
            )
            .map_err(|_| KeyStoreError::Damaged)?;
        let parameters = serde_json::to_value(&parameters).expect("parameters are plain values with text keys");
        Ok(WrappedKeys { parameters, sealed })
    }

    fn unwrap(&self, _class: KeyClass, wrapped: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError> {
        let parameters: Parameters =
            serde_json::from_value(wrapped.parameters.clone()).map_err(|_| KeyStoreError::Damaged)?;
        let nonce = parameters.validated_nonce().ok_or(KeyStoreError::Damaged)?;
        if wrapped.sealed.len() > SEALED_BYTES_MAX {
            return Err(KeyStoreError::Damaged);
        }
        let derived = derive(&self.passphrase(false)?, &parameters)?;
        // The check value lies on disk in clear: there is nothing that the time of this comparison could tell.
        if derived.check[..] != parameters.check.0[..] {
            return Err(KeyStoreError::NeedsUser { wrong_answer: true });
        }
        let mut opened = Zeroizing::new(wrapped.sealed.clone());
        let plain_bytes = key(&derived.wrap)
            .open_in_place(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(associated_data), &mut opened)
            .map_err(|_| KeyStoreError::Damaged)?
            .len();
        Ok(Secret::new(opened[..plain_bytes].to_vec()))
    }
}

impl Parameters {
    /// The nonce, if these are parameters that this program could have written.
    fn validated_nonce(&self) -> Option<[u8; aead::NONCE_LEN]> {
        let known = self.kind == KIND && self.algorithm == ALGORITHM && self.version == VERSION;
        let bounded = (1..=MEMORY_KIB_MAX).contains(&self.m_kib)
            && (1..=PASSES_MAX).contains(&self.t)
            && (1..=LANES_MAX).contains(&self.p)
            && (SALT_BYTES..=SALT_BYTES_MAX).contains(&self.salt.0.len());
        if known && bounded && self.digest() == self.sha256 { self.nonce.0[..].try_into().ok() } else { None }
    }

    fn digest(&self) -> Sha256Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(DIGEST_CONTEXT);
        for number in [self.version, self.m_kib, self.t, self.p] {
            context.update(&number.to_be_bytes());
        }
        for bytes in [&self.salt.0, &self.nonce.0, &self.check.0] {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
        Sha256Digest(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

fn derive(passphrase: &Secret, parameters: &Parameters) -> Result<Derived, KeyStoreError> {
    let costs =
        Params::new(parameters.m_kib, parameters.t, parameters.p, Some(32)).map_err(|_| KeyStoreError::Damaged)?;
    // Argon2's own allocation is not wiped, and its last blocks give the key.
    let mut memory = Zeroizing::new(vec![Block::default(); costs.block_count()]);
    let mut root = Zeroizing::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
        .hash_password_into_with_memory(passphrase.expose(), &parameters.salt.0, &mut root[..], &mut memory[..])
        .map_err(|_| KeyStoreError::Damaged)?;
    let root = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &root[..]);
    let mut derived = Derived { wrap: Zeroizing::new([0; 32]), check: [0; 32] };
    expand(&root, WRAP_INFO, &mut derived.wrap);
    expand(&root, CHECK_INFO, &mut derived.check);
    Ok(derived)
}

fn expand(root: &hkdf::Prk, info: &[u8], out: &mut [u8; 32]) {
    root.expand(&[info], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(out)).expect("HKDF gives one digest's length");
}

fn key(bytes: &[u8; 32]) -> aead::LessSafeKey {
    aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, bytes).expect("the key has 32 bytes"))
}

/// Bytes that are base64 in JSON.
struct Base64Bytes(Vec<u8>);

impl Serialize for Base64Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    const AAD: &[u8] = b"snaptrak.keyset/1 background";

    struct Typed(Option<&'static str>);
    impl PassphraseSource for Typed {
        fn passphrase(&self, _new: bool) -> Option<Secret> {
            self.0.map(|text| Secret::new(text.as_bytes().to_vec()))
        }
    }

    fn store(passphrase: Option<&'static str>) -> PassphraseKeyStore {
        PassphraseKeyStore::new(Box::new(Typed(passphrase)), Arc::new(snaptrak::SystemRandom))
    }

    fn wrapped() -> WrappedKeys {
        store(Some("correct horse")).wrap(KeyClass::Background, &Secret::new(b"keys".to_vec()), AAD).unwrap()
    }

    fn unwrap(passphrase: &'static str, wrapped: &WrappedKeys, aad: &[u8]) -> Result<Secret, KeyStoreError> {
        store(Some(passphrase)).unwrap(KeyClass::Background, wrapped, aad)
    }

    #[test]
    fn opens_what_it_wrapped_and_shows_nothing_of_it() {
        let wrapped = wrapped();
        assert_eq!(unwrap("correct horse", &wrapped, AAD).unwrap().expose(), b"keys");
        let text = wrapped.parameters.to_string();
        assert!(!text.contains("horse") && !wrapped.sealed.windows(4).any(|part| part == b"keys"));
        assert_eq!(wrapped.parameters["m_kib"], json!(65_536));
    }

    #[test]
    fn a_wrong_passphrase_is_its_own_answer() {
        let wrong = KeyStoreError::NeedsUser { wrong_answer: true };
        assert_eq!(unwrap("wrong horse", &wrapped(), AAD).unwrap_err(), wrong);
        let nobody = store(None).unwrap(KeyClass::Background, &wrapped(), AAD).unwrap_err();
        assert_eq!(nobody, KeyStoreError::NeedsUser { wrong_answer: false });
    }

    #[test]
    fn damage_is_never_called_a_wrong_passphrase() {
        let good = wrapped();
        let mut flipped = good.clone();
        flipped.sealed[0] ^= 1;
        assert_eq!(unwrap("correct horse", &flipped, AAD).unwrap_err(), KeyStoreError::Damaged);
        assert_eq!(unwrap("correct horse", &good, b"another class").unwrap_err(), KeyStoreError::Damaged);
        let other = wrapped();
        for field in ["salt", "nonce", "check", "sha256"] {
            let mut swapped = good.clone();
            swapped.parameters[field] = other.parameters[field].clone();
            assert_eq!(unwrap("correct horse", &swapped, AAD).unwrap_err(), KeyStoreError::Damaged, "{field}");
        }
    }

    /// A file may say anything, and say it with a digest that fits.
    #[test]
    fn hostile_costs_are_refused_before_memory_is_taken() {
        let hostile = [
            ("m_kib", json!(u32::MAX)),
            ("m_kib", json!(0)),
            ("m_kib", json!(-1)),
            ("t", json!(u32::MAX)),
            ("t", json!(0)),
            ("p", json!(1 << 24)),
            ("p", json!(0)),
            ("version", json!(16)),
            ("algorithm", json!("argon2i")),
            ("kind", json!("plain")),
            ("salt", json!("")),
            ("salt", json!(STANDARD.encode([0; 65]))),
            ("nonce", json!("AAAA")),
            ("nonce", json!("not base64")),
            ("more", json!(1)),
        ];
        let good = wrapped();
        for (field, value) in hostile {
            let mut changed = good.clone();
            changed.parameters[field] = value.clone();
            if let Ok(mut parameters) = serde_json::from_value::<Parameters>(changed.parameters.clone()) {
                parameters.sha256 = parameters.digest();
                changed.parameters = serde_json::to_value(parameters).unwrap();
            }
            assert_eq!(unwrap("correct horse", &changed, AAD).unwrap_err(), KeyStoreError::Damaged, "{field} {value}");
        }
    }

    #[test]
    fn asks_once_and_draws_a_salt_each_time() {
        struct Counting(std::sync::atomic::AtomicU32);
        impl PassphraseSource for Counting {
            fn passphrase(&self, _new: bool) -> Option<Secret> {
                assert_eq!(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed), 0, "asked twice");
                Some(Secret::new(b"once".to_vec()))
            }
        }
        let store = PassphraseKeyStore::new(Box::new(Counting(0.into())), Arc::new(snaptrak::SystemRandom));
        let keys = Secret::new(b"keys".to_vec());
        let first = store.wrap(KeyClass::Background, &keys, AAD).unwrap();
        let second = store.wrap(KeyClass::Viewing, &keys, AAD).unwrap();
        assert_ne!(first.parameters["salt"], second.parameters["salt"]);
    }
}
