//! Which keys open what is in the folder, and which the new store gets.
//!
//! A class whose keyset opens keeps its keys: the same device, the same signature, and every wrap stays valid. A class that is
//! lost, missing or damaged gets new keys, which needs another way to the data keys: the organisation's recovery key, or the
//! other class. A person's wrong answer is passed on while another answer could open everything.

use super::{report::UnreadableCode, source::Source};
use crate::{
    StoreError,
    journal::{KeyLine, LineKey},
    keys::{self, Keys, NewKeysets},
    keyset::{self, KeyEntry, KeyRole, KeyState, Keyset},
    layout::Layout,
};
use snaptrak_domain::{KeyClass, KeyStore, Random, Secret, Sha256Digest, UnixMs};
use snaptrak_seal::{DataKey, KemAlgorithm, RecipientPrivateKey, UntrustedEnvelope, WrapError};

/// The keys that are there.
pub(super) struct OldKeys {
    background: Option<Keyset>,
    viewing: Option<Keyset>,
    /// The background class as the journal's key lines need it.
    small: Option<Keys>,
    /// Every private key, with its id: comparing ids is a thousand times quicker than opening.
    private: Vec<(Sha256Digest, RecipientPrivateKey)>,
}

impl OldKeys {
    pub(super) fn open(
        layout: &Layout,
        key_store: &dyn KeyStore,
        recovery: Option<&RecipientPrivateKey>,
        without_keys: bool,
    ) -> Result<Self, StoreError> {
        let (background, background_error) = open_class(layout, KeyClass::Background, key_store)?;
        let (viewing, viewing_error) = open_class(layout, KeyClass::Viewing, key_store)?;
        if viewing.is_none() && recovery.is_none() {
            let error = background_error.or(viewing_error).unwrap_or(StoreError::KeysetMissing);
            if !(without_keys && matches!(error, StoreError::KeysLost)) {
                return Err(error);
            }
        }
        let mut private = Vec::new();
        for entry in viewing.iter().flat_map(|keyset| &keyset.keys).filter(|key| key.role == KeyRole::MediaPrivate) {
            let key = RecipientPrivateKey::from_bytes(KemAlgorithm::XWing, entry.key.expose())
                .map_err(|_| StoreError::KeysetDamaged)?;
            private.push((key.public_key().key_id(), key));
        }
        private.extend(recovery.map(|key| (key.public_key().key_id(), key.clone())));
        let small = background.as_ref().map(|keyset| Keys::new(keyset, None)).transpose()?;
        Ok(Self { background, viewing, small, private })
    }

    /// Refuses a recovery key for which nothing in the folder is wrapped, where it is the only way to the data keys: the new store
    /// would be empty, and stand in the way of the right key.
    pub(super) fn refuse_wrong_key(&self, source: &Source) -> Result<(), StoreError> {
        let [(key_id, _)] = self.private.as_slice() else { return Ok(()) };
        let is_last_resort = self.viewing.is_none();
        if is_last_resort && source.wraps().is_some_and(|mut wraps| !wraps.any(|id| id == *key_id)) {
            return Err(StoreError::WrongKey);
        }
        Ok(())
    }

    /// Whether both classes are as they were.
    pub(super) fn kept(&self) -> bool {
        self.background.is_some() && self.viewing.is_some()
    }

    /// The keysets of the new store.
    pub(super) fn keysets(&self, random: &dyn Random, now: UnixMs) -> Result<NewKeysets, StoreError> {
        let (mut background, viewing) = match (&self.background, &self.viewing) {
            (Some(background), Some(viewing)) => (background.clone(), viewing.clone()),
            (background, viewing) => {
                let drawn = keys::draw(random, now)?;
                let background = background.clone().unwrap_or(drawn.background);
                (background, viewing.clone().unwrap_or(drawn.viewing))
            }
        };
        let private = &viewing.active(KeyRole::MediaPrivate)?.key;
        let private = RecipientPrivateKey::from_bytes(KemAlgorithm::XWing, private.expose())
            .map_err(|_| StoreError::KeysetDamaged)?;
        let public = private.public_key();
        if background.active(KeyRole::MediaPublic)?.key.expose() != public.as_bytes() {
            replace_media(&mut background, public.as_bytes(), now);
        }
        Ok(NewKeysets { background, viewing })
    }

    /// The data key of an envelope, or why not. The envelope must still be authenticated with it.
    pub(super) fn data_key(&self, envelope: &UntrustedEnvelope) -> Result<DataKey, UnreadableCode> {
        let claims = envelope.claims();
        let mut answer = UnreadableCode::NoKey;
        for wrap in &claims.wraps {
            for (_, key) in self.private.iter().filter(|(id, _)| *id == wrap.key_id) {
                match wrap.open(key, claims.organisation_id, claims.asset_id) {
                    Ok(data_key) => return Ok(data_key),
                    Err(WrapError::UnknownSuite { .. }) => answer = UnreadableCode::NewerVersion,
                    Err(
                        WrapError::OtherKey { .. }
                        | WrapError::NoOrganisation
                        | WrapError::DoesNotOpen
                        | WrapError::UnusableKey
                        | WrapError::Random(_),
                    ) => answer = UnreadableCode::DamagedEnvelope,
                }
            }
        }
        Err(answer)
    }

    /// The key of a journal's lines, or nothing that opens it.
    pub(super) fn line_key(&self, line: &KeyLine) -> Option<LineKey> {
        if let Some(key) = self.small.as_ref().and_then(|keys| line.open_here(keys)) {
            return Some(key);
        }
        self.private.iter().find_map(|(_, private)| line.open_with(private).ok())
    }
}

/// A class's keys, or the answer that stands in their place and does not end the recovery by itself.
fn open_class(
    layout: &Layout,
    class: KeyClass,
    key_store: &dyn KeyStore,
) -> Result<(Option<Keyset>, Option<StoreError>), StoreError> {
    match keyset::read(layout, class, key_store) {
        Ok(keyset) => Ok((Some(keyset), None)),
        Err(
            error @ (StoreError::KeysLost
            | StoreError::KeysetMissing
            | StoreError::KeysetDamaged
            | StoreError::WrongKey),
        ) => Ok((None, Some(error))),
        Err(error) => Err(error),
    }
}

/// Puts the public half of a new media key in the place of the one whose private half is gone.
fn replace_media(background: &mut Keyset, public: &[u8], now: UnixMs) {
    let mut version = 1;
    for key in background.keys.iter_mut().filter(|key| key.role == KeyRole::MediaPublic) {
        key.state = KeyState::Retired;
        version = version.max(key.version + 1);
    }
    background.keys.push(KeyEntry {
        role: KeyRole::MediaPublic,
        version,
        created_ms: now,
        state: KeyState::Active,
        key: Secret::new(public.to_vec()),
    });
}
