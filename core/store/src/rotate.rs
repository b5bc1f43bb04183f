//! Rotation: new keys for what is new, while captures arrive, without rewriting a sealed byte of media.
//!
//! The media key. The new private half is in both files of the viewing class before the background class names its public
//! half; the old private halves stay, since they open what was wrapped for them. The database key. The new key is in both
//! files of the keyset, then `key.json` names the old and the new, then SQLCipher writes every page anew in one transaction,
//! then `key.json` names the new one alone and the old one is dropped from the keyset. Killed anywhere in between, the next
//! opening finds the database under one of two keys that it has. While the pages are written nobody else reads or writes
//! rows; what is being captured goes on sealing and waits with its row.

use crate::{
    Store, StoreError,
    connection::{self, Access, Cipher, DATABASE_KEY_BYTES},
    database_key::{self, Candidate},
    keyset::{self, KeyEntry, KeyRole, KeyState, Keyset},
    layout::Layout,
};
use rusqlite::Connection;
use snaptrak_domain::{KeyClass, Secret};
use snaptrak_seal::{KemAlgorithm, RecipientPrivateKey};

impl Store {
    /// Gives the database a new key. On an error (a full disk) the old one stays.
    pub fn rotate_database_key(&self) -> Result<(), StoreError> {
        self.rotate_database_key_in_stages(&mut || {})
    }

    /// Gives the device a new media key: what is captured from now on is wrapped for it. Needs the keys of the viewing class.
    pub fn rotate_media_key(&self) -> Result<(), StoreError> {
        self.rotate_media_key_in_stages(&mut || {})
    }

    /// `reached` is called wherever a kill would leave another state on disk.
    pub(crate) fn rotate_database_key_in_stages(&self, reached: &mut dyn FnMut()) -> Result<(), StoreError> {
        let _held = self.hold()?;
        // One rotation at a time.
        let _alone = self.inner.files.rewrite();
        let (layout, key_store) = (self.layout(), self.inner.surroundings.key_store.as_ref());
        let mut keyset = keyset::read(layout, KeyClass::Background, key_store)?;
        let found = database_key::find(&layout.database_key(), &keyset)?.remove(0);
        let (old, page_mac) = (found.entry.clone(), found.page_mac);
        let mut key = vec![0; DATABASE_KEY_BYTES];
        self.random().fill(&mut key)?;
        let new = add(&mut keyset, KeyRole::Database, 0, Secret::new(key), self)?;
        for _ in 0..2 {
            // Both files: whichever of them is believed one day knows both keys.
            self.write_next(&mut keyset)?;
            reached();
        }
        database_key::write(&layout.database_key(), Candidate { entry: &old, page_mac }, Some(&new))?;
        reached();
        self.inner.readers.replace_key(&new.key, || {
            let cipher = |entry: &KeyEntry| Cipher { key: entry.key.clone(), page_mac };
            self.inner.writer.alone(|connection| rekey(connection, layout, &cipher(&old), &cipher(&new)))
        })?;
        reached();
        database_key::write(&layout.database_key(), Candidate { entry: &new, page_mac }, None)?;
        reached();
        keyset.keys.retain(|entry| entry.role != KeyRole::Database || entry.version == new.version);
        self.write_next(&mut keyset)?;
        tracing::info!(version = new.version, "the database has a new key");
        Ok(())
    }

    pub(crate) fn rotate_media_key_in_stages(&self, reached: &mut dyn FnMut()) -> Result<(), StoreError> {
        let _held = self.hold()?;
        let _alone = self.inner.files.rewrite();
        let (layout, key_store) = (self.layout(), self.inner.surroundings.key_store.as_ref());
        let mut viewing = keyset::read(layout, KeyClass::Viewing, key_store)?;
        let mut background = keyset::read(layout, KeyClass::Background, key_store)?;
        let media = RecipientPrivateKey::generate(KemAlgorithm::XWing, self.random())?;
        // A rotation that was killed has left a private half that no public one belongs to; its number is not used again.
        let newest = newest(&background, KeyRole::MediaPublic);
        let private = Secret::new(media.expose().to_vec());
        let new = add(&mut viewing, KeyRole::MediaPrivate, newest, private, self)?;
        for _ in 0..2 {
            self.write_next(&mut viewing)?;
            reached();
        }
        let public = media.public_key();
        add(&mut background, KeyRole::MediaPublic, new.version - 1, Secret::new(public.as_bytes().to_vec()), self)?;
        self.write_next(&mut background)?;
        reached();
        self.inner.keys.replace_media_public(public);
        tracing::info!(version = new.version, "the device has a new media key");
        Ok(())
    }

    fn write_next(&self, keyset: &mut Keyset) -> Result<(), StoreError> {
        keyset.generation += 1;
        keyset::write(self.layout(), keyset, self.inner.surroundings.key_store.as_ref())
    }
}

fn newest(keyset: &Keyset, role: KeyRole) -> u32 {
    keyset.keys.iter().filter(|entry| entry.role == role).map(|entry| entry.version).max().unwrap_or(0)
}

/// Adds the next version of a role, greater than `at_least`; the others of the role are retired.
fn add(keyset: &mut Keyset, role: KeyRole, at_least: u32, key: Secret, store: &Store) -> Result<KeyEntry, StoreError> {
    let version = newest(keyset, role).max(at_least).checked_add(1).ok_or(StoreError::KeysetDamaged)?;
    for entry in keyset.keys.iter_mut().filter(|entry| entry.role == role) {
        entry.state = KeyState::Retired;
    }
    let entry = KeyEntry { role, version, created_ms: store.clock().now(), state: KeyState::Active, key };
    keyset.keys.push(entry.clone());
    Ok(entry)
}

/// Writes every page under the new key. The connection is opened anew whatever happens: after a failed `rekey` SQLCipher
/// would go on writing with a key with which it does not read.
fn rekey(connection: &mut Connection, layout: &Layout, old: &Cipher, new: &Cipher) -> Result<(), StoreError> {
    connection.flush_prepared_statement_cache();
    let done = connection::rekey(connection, &new.key);
    let opened = connection::open(&layout.database(), if done.is_ok() { new } else { old }, Access::Write);
    match opened {
        Ok(opened) => *connection = opened,
        Err(error) => {
            tracing::error!(%error, "the database could not be opened again after its key was to change");
            return Err(error);
        }
    }
    done?;
    // No page under the old key is left in the log.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
