//! Wraps: the data key sealed with HPKE (RFC 9180, base mode, HKDF-SHA256, AES-256-GCM) for one recipient.
//!
//! Asset and organisation are bound through HPKE's `info`, because single-shot APIs elsewhere take no associated data: a
//! wrap that is moved to another asset's envelope, or to another role, does not open.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256, kem};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, OrganisationId, Random, RandomError, Sha256Digest};
use zeroize::Zeroizing;

use crate::base64_bytes;
use crate::data_key::{DATA_KEY_BYTES, DataKey};
use crate::recipient_key::{KemAlgorithm, RecipientPrivateKey, RecipientPublicKey};

const INFO_LABEL: &[u8] = b"snaptrak.wrap/1";
const KDF_HKDF_SHA256: u16 = 1;
const AEAD_AES_256_GCM: u16 = 2;

/// The wrapped key and its tag.
const WRAPPED_KEY_BYTES: usize = DATA_KEY_BYTES + 16;

/// Whose key a data key is wrapped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientRole {
    /// The device's own `media` key.
    Device,
    /// The organisation's upload key.
    Organisation,
    /// The organisation's recovery key.
    Recovery,
}

impl RecipientRole {
    /// The word in JSON and in HPKE's `info`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Organisation => "organisation",
            Self::Recovery => "recovery",
        }
    }
}

/// A role together with the organisation that it is bound to; the device's own wrap is bound to none, so that captures made
/// before enrolment keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// The device itself.
    Device,
    /// An organisation's upload key.
    Organisation(OrganisationId),
    /// An organisation's recovery key.
    Recovery(OrganisationId),
}

impl Recipient {
    /// The role without the organisation.
    #[must_use]
    pub fn role(self) -> RecipientRole {
        match self {
            Self::Device => RecipientRole::Device,
            Self::Organisation(_) => RecipientRole::Organisation,
            Self::Recovery(_) => RecipientRole::Recovery,
        }
    }

    fn info(self, asset_id: AssetId) -> Vec<u8> {
        let organisation = match self {
            Self::Device => [0; 16],
            Self::Organisation(id) | Self::Recovery(id) => *id.as_bytes(),
        };
        [INFO_LABEL, self.role().as_str().as_bytes(), &organisation, asset_id.as_bytes()].concat()
    }
}

/// One wrap as it stands in the envelope. The suite is text and numbers and not an enum: an envelope that also has a wrap of
/// a suite which this version does not know is still readable through the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrap {
    /// Whose key it is for.
    pub recipient: RecipientRole,
    /// Name of the key encapsulation mechanism.
    pub kem: String,
    /// HPKE's number of the same.
    pub kem_id: u16,
    /// HPKE's number of the key derivation function: 1, HKDF-SHA256.
    pub kdf_id: u16,
    /// HPKE's number of the cipher: 2, AES-256-GCM.
    pub aead_id: u16,
    /// SHA-256 of the recipient's serialized public key.
    pub key_id: Sha256Digest,
    /// The encapsulated key.
    #[serde(with = "base64_bytes")]
    pub encapsulated: Vec<u8>,
    /// The sealed data key: 48 bytes.
    #[serde(with = "base64_bytes")]
    pub ciphertext: Vec<u8>,
}

/// Why a data key was not wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// No randomness for the encapsulation.
    #[error("no random bytes for an encapsulation")]
    Random(#[from] RandomError),
    /// The recipient's public key cannot be used (a point of small order).
    #[error("the recipient's key cannot be used")]
    UnusableKey,
    /// The wrap names a suite that this version does not know, or contradicts itself.
    #[error("the wrap's suite is unknown (kem {kem_id}, kdf {kdf_id}, aead {aead_id})")]
    UnknownSuite {
        /// Mechanism.
        kem_id: u16,
        /// Key derivation.
        kdf_id: u16,
        /// Cipher.
        aead_id: u16,
    },
    /// The wrap is for another key than the one given.
    #[error("the wrap is for the key {key_id}")]
    OtherKey {
        /// The key that would open it.
        key_id: Sha256Digest,
    },
    /// A wrap for an organisation in an envelope that names none.
    #[error("the wrap needs an organisation and the envelope names none")]
    NoOrganisation,
    /// The key is the right one and the wrap does not open: it is damaged or belongs to another asset, role or organisation.
    #[error("the wrap does not open")]
    DoesNotOpen,
}

impl Wrap {
    /// Wraps a data key for a recipient.
    pub fn seal(
        data_key: &DataKey,
        key: &RecipientPublicKey,
        recipient: Recipient,
        asset_id: AssetId,
        random: &dyn Random,
    ) -> Result<Self, WrapError> {
        let info = recipient.info(asset_id);
        let mut source = HpkeRandom { source: random, failed: false };
        let sealed = match key.algorithm() {
            KemAlgorithm::XWing => seal_with::<kem::XWing>(key, &info, data_key, &mut source),
            KemAlgorithm::X25519 => seal_with::<kem::X25519HkdfSha256>(key, &info, data_key, &mut source),
        };
        if source.failed {
            return Err(RandomError.into());
        }
        let (encapsulated, ciphertext) = sealed.map_err(|_| WrapError::UnusableKey)?;
        Ok(Self {
            recipient: recipient.role(),
            kem: key.algorithm().wrap_name().to_owned(),
            kem_id: key.algorithm().kem_id(),
            kdf_id: KDF_HKDF_SHA256,
            aead_id: AEAD_AES_256_GCM,
            key_id: key.key_id(),
            encapsulated,
            ciphertext,
        })
    }

    /// Unwraps the data key. `organisation_id` is the envelope's; the device's own wrap does not use it.
    pub fn open(
        &self,
        key: &RecipientPrivateKey,
        organisation_id: Option<OrganisationId>,
        asset_id: AssetId,
    ) -> Result<DataKey, WrapError> {
        let algorithm = self.algorithm()?;
        if algorithm != key.algorithm() || key.public_key().key_id() != self.key_id {
            return Err(WrapError::OtherKey { key_id: self.key_id });
        }
        let info = self.bound_recipient(organisation_id)?.info(asset_id);
        let opened = match algorithm {
            KemAlgorithm::XWing => open_with::<kem::XWing>(self, key, &info),
            KemAlgorithm::X25519 => open_with::<kem::X25519HkdfSha256>(self, key, &info),
        };
        let plain = opened.map_err(|_| WrapError::DoesNotOpen)?;
        let bytes: [u8; DATA_KEY_BYTES] = plain.as_slice().try_into().map_err(|_| WrapError::DoesNotOpen)?;
        Ok(DataKey::from_bytes(bytes))
    }

    /// The mechanism, if this version knows the whole suite and its name agrees with its number.
    pub fn algorithm(&self) -> Result<KemAlgorithm, WrapError> {
        KemAlgorithm::from_kem_id(self.kem_id)
            .filter(|algorithm| algorithm.wrap_name() == self.kem)
            .filter(|_| self.kdf_id == KDF_HKDF_SHA256 && self.aead_id == AEAD_AES_256_GCM)
            .ok_or(WrapError::UnknownSuite { kem_id: self.kem_id, kdf_id: self.kdf_id, aead_id: self.aead_id })
    }

    fn bound_recipient(&self, organisation_id: Option<OrganisationId>) -> Result<Recipient, WrapError> {
        match (self.recipient, organisation_id) {
            (RecipientRole::Device, _) => Ok(Recipient::Device),
            (RecipientRole::Organisation, Some(id)) => Ok(Recipient::Organisation(id)),
            (RecipientRole::Recovery, Some(id)) => Ok(Recipient::Recovery(id)),
            (RecipientRole::Organisation | RecipientRole::Recovery, None) => Err(WrapError::NoOrganisation),
        }
    }
}

fn seal_with<K: hpke::Kem>(
    key: &RecipientPublicKey,
    info: &[u8],
    data_key: &DataKey,
    random: &mut HpkeRandom<'_>,
) -> Result<(Vec<u8>, Vec<u8>), hpke::HpkeError> {
    let public = K::PublicKey::from_bytes(key.as_bytes())?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &public,
        info,
        data_key.expose(),
        &[],
        random,
    )?;
    Ok((encapsulated.to_bytes().to_vec(), ciphertext))
}

fn open_with<K: hpke::Kem>(
    wrap: &Wrap,
    key: &RecipientPrivateKey,
    info: &[u8],
) -> Result<Zeroizing<Vec<u8>>, hpke::HpkeError> {
    if wrap.ciphertext.len() != WRAPPED_KEY_BYTES {
        return Err(hpke::HpkeError::OpenError);
    }
    let private = K::PrivateKey::from_bytes(key.expose())?;
    let encapsulated = K::EncappedKey::from_bytes(&wrap.encapsulated)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        info,
        &wrap.ciphertext,
        &[],
    )
    .map(Zeroizing::new)
}

/// The SDK's source of chance in the shape that the `hpke` crate wants, which cannot fail: a failure is remembered, zeros are
/// given instead, and the result is thrown away.
struct HpkeRandom<'a> {
    source: &'a dyn Random,
    failed: bool,
}

impl HpkeRandom<'_> {
    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        if self.source.fill(bytes).is_err() {
            bytes.fill(0);
            self.failed = true;
        }
    }
}

impl TryRng for HpkeRandom<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.draw()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.draw()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for HpkeRandom<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_random::{CountingRandom, NoRandom};

    const ALGORITHMS: [KemAlgorithm; 2] = [KemAlgorithm::XWing, KemAlgorithm::X25519];

    fn organisation(byte: u8) -> OrganisationId {
        OrganisationId::from_bytes([byte; 16])
    }

    fn asset(byte: u8) -> AssetId {
        AssetId::from_bytes([byte; 16])
    }

    fn pair(algorithm: KemAlgorithm, seed: u64) -> RecipientPrivateKey {
        RecipientPrivateKey::generate(algorithm, &CountingRandom::new(seed)).unwrap()
    }

    #[test]
    fn every_recipient_opens_its_own_wrap() {
        let data_key = DataKey::from_bytes([5; 32]);
        for algorithm in ALGORITHMS {
            let key = pair(algorithm, 1);
            for recipient in
                [Recipient::Device, Recipient::Organisation(organisation(2)), Recipient::Recovery(organisation(2))]
            {
                let random = CountingRandom::new(2);
                let wrap = Wrap::seal(&data_key, &key.public_key(), recipient, asset(1), &random).unwrap();
                let opened = wrap.open(&key, Some(organisation(2)), asset(1)).unwrap();
                assert_eq!(opened.expose(), data_key.expose());
                let json = serde_json::to_string(&wrap).unwrap();
                assert_eq!(serde_json::from_str::<Wrap>(&json).unwrap(), wrap);
            }
        }
    }

    #[test]
    fn a_wrap_is_bound_to_asset_role_and_organisation() {
        let data_key = DataKey::from_bytes([5; 32]);
        for algorithm in ALGORITHMS {
            let key = pair(algorithm, 1);
            let recipient = Recipient::Organisation(organisation(2));
            let random = CountingRandom::new(2);
            let wrap = Wrap::seal(&data_key, &key.public_key(), recipient, asset(1), &random).unwrap();
            let refused = |wrap: &Wrap, organisation_id, asset_id| wrap.open(&key, organisation_id, asset_id).err();
            assert_eq!(refused(&wrap, Some(organisation(2)), asset(9)), Some(WrapError::DoesNotOpen));
            assert_eq!(refused(&wrap, Some(organisation(3)), asset(1)), Some(WrapError::DoesNotOpen));
            assert_eq!(refused(&wrap, None, asset(1)), Some(WrapError::NoOrganisation));
            let other_role = Wrap { recipient: RecipientRole::Recovery, ..wrap.clone() };
            assert_eq!(refused(&other_role, Some(organisation(2)), asset(1)), Some(WrapError::DoesNotOpen));
            let cut = Wrap { ciphertext: wrap.ciphertext[..47].to_vec(), ..wrap.clone() };
            assert_eq!(refused(&cut, Some(organisation(2)), asset(1)), Some(WrapError::DoesNotOpen));
            let empty = Wrap { encapsulated: Vec::new(), ..wrap.clone() };
            assert_eq!(refused(&empty, Some(organisation(2)), asset(1)), Some(WrapError::DoesNotOpen));
        }
    }

    #[test]
    fn another_key_and_an_unknown_suite_are_their_own_answers() {
        let key = pair(KemAlgorithm::X25519, 1);
        let data_key = DataKey::from_bytes([5; 32]);
        let random = CountingRandom::new(2);
        let wrap = Wrap::seal(&data_key, &key.public_key(), Recipient::Device, asset(1), &random).unwrap();
        for other in [pair(KemAlgorithm::X25519, 7), pair(KemAlgorithm::XWing, 1)] {
            let error = wrap.open(&other, None, asset(1)).unwrap_err();
            assert_eq!(error, WrapError::OtherKey { key_id: key.public_key().key_id() });
        }
        for unknown in [
            Wrap { kem_id: 99, ..wrap.clone() },
            Wrap { kem: "x-wing".into(), ..wrap.clone() },
            Wrap { kdf_id: 3, ..wrap.clone() },
            Wrap { aead_id: 1, ..wrap.clone() },
        ] {
            assert!(matches!(unknown.open(&key, None, asset(1)), Err(WrapError::UnknownSuite { .. })));
        }
    }

    #[test]
    fn without_randomness_nothing_is_wrapped() {
        let data_key = DataKey::from_bytes([5; 32]);
        for algorithm in ALGORITHMS {
            let public = pair(algorithm, 1).public_key();
            let error = Wrap::seal(&data_key, &public, Recipient::Device, asset(1), &NoRandom).unwrap_err();
            assert_eq!(error, WrapError::Random(RandomError));
        }
    }

    #[test]
    fn a_point_of_small_order_is_refused() {
        let zero = RecipientPublicKey::from_bytes(KemAlgorithm::X25519, &[0; 32]);
        if let Ok(zero) = zero {
            let data_key = DataKey::from_bytes([5; 32]);
            let random = CountingRandom::new(2);
            let error = Wrap::seal(&data_key, &zero, Recipient::Device, asset(1), &random).unwrap_err();
            assert_eq!(error, WrapError::UnusableKey);
        }
    }
}
