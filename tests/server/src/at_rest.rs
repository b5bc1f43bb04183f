//! Sealing at application level of what people wrote and of private keys, so that a copy of the folder alone says nothing.
//!
//! Owns two keys derived from the data key: one for AES-256-GCM with a random nonce for each value and the column and row as
//! associated data (a value that is moved elsewhere does not open), one for the HMAC by which an e-mail address is found
//! again without being stored in clear. Refuses to know where the data key came from.

use crate::error::Error;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use snaptrak_domain::Random;
use zeroize::Zeroizing;

/// Length of the data key and of the keys derived from it.
pub(crate) const KEY_BYTES: usize = 32;

const SALT: &[u8] = b"snaptrak.server/1";

/// Seals and opens columns, and computes lookups.
pub(crate) struct AtRest {
    columns: LessSafeKey,
    lookups: hmac::Key,
    check: [u8; KEY_BYTES],
}

impl AtRest {
    pub(crate) fn new(data_key: &[u8; KEY_BYTES]) -> Self {
        let columns = UnboundKey::new(&AES_256_GCM, derive(data_key, b"columns").as_slice())
            .expect("32 bytes are a key of AES-256");
        Self {
            columns: LessSafeKey::new(columns),
            lookups: hmac::Key::new(hmac::HMAC_SHA256, derive(data_key, b"lookups").as_slice()),
            check: *derive(data_key, b"check"),
        }
    }

    /// Stored in clear beside what is sealed, so that a wrong key is told from damage before anything is opened.
    pub(crate) fn key_check(&self) -> [u8; KEY_BYTES] {
        self.check
    }

    /// Seals a value for one column of one row: nonce, ciphertext, tag.
    pub(crate) fn seal(
        &self,
        column: &'static str,
        row: &[u8],
        plain: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(associated_data(column, row));
        let tag = self
            .columns
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| Error::SealedColumn { column })?;
        Ok([nonce.as_slice(), &sealed, tag.as_ref()].concat())
    }

    /// Opens what [`Self::seal`] made for the same column and row.
    pub(crate) fn open(&self, column: &'static str, row: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let damaged = || Error::SealedColumn { column };
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from(associated_data(column, row));
        let plain_bytes = self.columns.open_in_place(nonce, aad, &mut buffer).map_err(|_| damaged())?.len();
        buffer.truncate(plain_bytes);
        Ok(buffer)
    }

    /// A keyed digest by which a value is found again, one key space a purpose.
    pub(crate) fn lookup(&self, purpose: &'static str, value: &[u8]) -> [u8; KEY_BYTES] {
        let mut context = hmac::Context::with_key(&self.lookups);
        context.update(purpose.as_bytes());
        context.update(b"\0");
        context.update(value);
        let mut digest = [0; KEY_BYTES];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

fn associated_data(column: &str, row: &[u8]) -> Vec<u8> {
    [SALT, b"|", column.as_bytes(), b"|", row].concat()
}

fn derive(data_key: &[u8; KEY_BYTES], purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(data_key)
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(derived.as_mut_slice()))
        .expect("HKDF gives the 32 bytes of its own digest");
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::OsRandom;

    #[test]
    fn a_value_opens_only_in_its_column_and_row() {
        let at_rest = AtRest::new(&[7; KEY_BYTES]);
        let sealed = at_rest.seal("account.name", b"row", b"Ada", &OsRandom).expect("sealing needs only chance");
        assert_eq!(at_rest.open("account.name", b"row", &sealed).expect("its own place").as_slice(), b"Ada");
        assert!(at_rest.open("account.name", b"other", &sealed).is_err());
        assert!(at_rest.open("device.name", b"row", &sealed).is_err());
        assert!(AtRest::new(&[8; KEY_BYTES]).open("account.name", b"row", &sealed).is_err());
        assert!(at_rest.open("account.name", b"row", &sealed[..5]).is_err());
    }

    #[test]
    fn lookups_are_stable_and_purposes_do_not_meet() {
        let at_rest = AtRest::new(&[7; KEY_BYTES]);
        assert_eq!(at_rest.lookup("email", b"a"), at_rest.lookup("email", b"a"));
        assert_ne!(at_rest.lookup("email", b"a"), at_rest.lookup("record", b"a"));
        assert_ne!(at_rest.key_check(), [7; KEY_BYTES]);
    }
}
