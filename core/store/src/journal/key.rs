//! The key of a journal file: how its sealed lines are made and opened, and for whom the key itself is wrapped.
//!
//! `device` in the key line lets a later process of this device go on under the same key without asking the person; `wraps` let
//! the device's `media` key, the organisation and its recovery key open the journal without this device. The format is
//! written down in `core/seal/README.md`.

use super::{base64_text::Base64, line::SealedLine};
use crate::{
    StoreError,
    envelopes::wrap_failed,
    keys::Keys,
    sealer::{Known, Sealer},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, OrganisationId, Random, Secret, Sha256Digest, UnixMs};
use snaptrak_seal::{DataKey, Recipient, RecipientPrivateKey, RecipientRole, Wrap, WrapError};

/// The format that a key line names.
pub(crate) const FORMAT: &str = "snaptrak.journal/2";

/// Begins the label under which the key of the lines is derived; the key's id follows.
const LINE_LABEL: &[u8] = b"snaptrak.journal/2 line";

/// A key line: the first of each file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyLine {
    pub(crate) format: String,
    /// Names the key. A UUID in the place of an asset's in each wrap.
    pub(crate) id: AssetId,
    /// The key, sealed with the `token` key of the background class.
    pub(crate) device: Base64,
    /// The key, wrapped as an asset's data key is.
    pub(crate) wraps: Vec<Wrap>,
    /// Whose wraps are among them.
    pub(crate) organisation_id: Option<OrganisationId>,
}

impl KeyLine {
    /// Draws a key and wraps it for everyone who is known now.
    pub(crate) fn draw(sealer: &Sealer, now: UnixMs) -> Result<(Self, LineKey), StoreError> {
        let random = sealer.random.as_ref();
        let (id, key) = (AssetId::new(now, random)?, DataKey::generate(random)?);
        let device = sealer.keys.seal_small(&device_purpose(id), &Secret::new(key.expose().to_vec()), random)?;
        let line = Self::wrap(id, &key, device, sealer, &sealer.known())?;
        Ok((line, LineKey::new(id, &key)))
    }

    /// The line of the same key for these recipients; `None` where this device does not open it.
    pub(crate) fn wrapped_for(&self, sealer: &Sealer, known: &Known) -> Result<Option<Self>, StoreError> {
        let Some(key) = self.data_key(&sealer.keys) else { return Ok(None) };
        Self::wrap(self.id, &key, self.device.0.clone(), sealer, known).map(Some)
    }

    fn wrap(id: AssetId, key: &DataKey, device: Vec<u8>, sealer: &Sealer, known: &Known) -> Result<Self, StoreError> {
        let random = sealer.random.as_ref();
        let media = sealer.keys.media_public();
        let mut wraps = vec![Wrap::seal(key, &media, Recipient::Device, id, random).map_err(wrap_failed)?];
        for one in &known.wrappable {
            wraps.push(Wrap::seal(key, &one.public, one.recipient, id, random).map_err(wrap_failed)?);
        }
        let organisation_id = known.wrappable.first().map(|one| one.organisation_id);
        Ok(Self { format: FORMAT.to_owned(), id, device: Base64(device), wraps, organisation_id })
    }

    /// The key by the device's own `token` key; `None`: another device's, or damaged.
    pub(crate) fn open_here(&self, keys: &Keys) -> Option<LineKey> {
        Some(LineKey::new(self.id, &self.data_key(keys)?))
    }

    fn data_key(&self, keys: &Keys) -> Option<DataKey> {
        let key = keys.open_small(&device_purpose(self.id), &self.device.0).ok()?;
        Some(DataKey::from_bytes(key.expose().try_into().ok()?))
    }

    /// The key by a private key of anyone whom it is wrapped for: the device's `media` key, the organisation's, recovery.
    pub(crate) fn open_with(&self, private: &RecipientPrivateKey) -> Result<LineKey, WrapError> {
        let mut answer = WrapError::DoesNotOpen;
        for wrap in &self.wraps {
            match wrap.open(private, self.organisation_id, self.id) {
                Ok(key) => return Ok(LineKey::new(self.id, &key)),
                Err(error) => answer = error,
            }
        }
        Err(answer)
    }

    /// Key ids of those outside the device for whom it is wrapped.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = Sha256Digest> {
        self.wraps.iter().filter(|wrap| wrap.recipient != RecipientRole::Device).map(|wrap| wrap.key_id)
    }

    /// Key ids of the device's wraps.
    pub(crate) fn device_keys(&self) -> impl Iterator<Item = Sha256Digest> {
        self.wraps.iter().filter(|wrap| wrap.recipient == RecipientRole::Device).map(|wrap| wrap.key_id)
    }
}

/// What seals and opens the lines under one key.
pub(crate) struct LineKey {
    pub(crate) id: AssetId,
    key: LessSafeKey,
}

impl LineKey {
    fn new(id: AssetId, key: &DataKey) -> Self {
        let derived = Salt::new(HKDF_SHA256, &[])
            .extract(key.expose())
            .expand(&[LINE_LABEL, id.as_bytes()], &AES_256_GCM)
            .map(UnboundKey::from)
            .expect("32 bytes are fewer than the 255 blocks that HKDF can give");
        Self { id, key: LessSafeKey::new(derived) }
    }

    /// Seals line `number` under this key. Layout: nonce 12 | ciphertext | tag 16.
    pub(crate) fn seal(&self, number: u64, mut plain: Vec<u8>, random: &dyn Random) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let aad = Aad::from(self.associated_data(number));
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut plain)
            .map_err(|_| StoreError::Seal { what: "journal line" })?;
        Ok([&nonce, plain.as_slice(), tag.as_ref()].concat())
    }

    /// What a sealed line of this key says; `None`: damaged, moved, or of another key.
    pub(crate) fn open(&self, line: &SealedLine) -> Option<Vec<u8>> {
        let (nonce, body) = line.sealed.0.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(self.associated_data(line.n)), &mut body).ok()?;
        let length = plain.len();
        body.truncate(length);
        Some(body)
    }

    fn associated_data(&self, number: u64) -> Vec<u8> {
        [FORMAT.as_bytes(), self.id.as_bytes(), &number.to_be_bytes()].concat()
    }
}

fn device_purpose(id: AssetId) -> String {
    format!("{FORMAT} key|{id}")
}
