//! What is computed. Knows slices, not pointers.

use aes::{
    Aes256,
    cipher::{Array, Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit},
};
use hmac::{Hmac, KeyInit, Mac};
use ring::{
    pbkdf2,
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Sha256, Sha512};
use std::num::NonZeroU32;

/// Bytes of the key, of a block and of the vector with which a page begins.
pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const BLOCK_BYTES: usize = 16;

/// The digest under an HMAC or a PBKDF2, by SQLCipher's number. SHA-1 (0) is of databases that no version of this library made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha256,
    Sha512,
}

impl Digest {
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// What an HMAC comes to.
#[derive(Debug)]
pub(crate) struct Tag {
    bytes: [u8; 64],
    length: usize,
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The HMAC over both parts, one after the other.
pub(crate) fn hmac(digest: Digest, key: &[u8], parts: [&[u8]; 2]) -> Option<Tag> {
    fn over<M: Mac + KeyInit>(key: &[u8], parts: [&[u8]; 2]) -> Option<Tag> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        let bytes = mac.finalize().into_bytes();
        let mut tag = Tag { bytes: [0; 64], length: bytes.len() };
        tag.bytes.get_mut(..tag.length)?.copy_from_slice(&bytes);
        Some(tag)
    }
    match digest {
        Digest::Sha256 => over::<Hmac<Sha256>>(key, parts),
        Digest::Sha512 => over::<Hmac<Sha512>>(key, parts),
    }
}

/// PBKDF2 into all of `key`; `None` for no rounds.
pub(crate) fn derive(digest: Digest, secret: &[u8], salt: &[u8], rounds: u32, key: &mut [u8]) -> Option<()> {
    let algorithm = match digest {
        Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    };
    pbkdf2::derive(algorithm, NonZeroU32::new(rounds)?, salt, secret, key);
    Some(())
}

/// AES-256-CBC without padding, in place; `None` where the lengths are not those of a key, a vector and whole blocks.
pub(crate) fn cipher(encrypt: bool, key: &[u8], iv: &[u8], data: &mut [u8]) -> Option<()> {
    let (blocks, rest) = Array::slice_as_chunks_mut(data);
    if !rest.is_empty() {
        return None;
    }
    let blocks: &mut [Block<Aes256>] = blocks;
    if encrypt {
        cbc::Encryptor::<aes::Aes256Enc>::new_from_slices(key, iv).ok()?.encrypt_blocks(blocks);
    } else {
        cbc::Decryptor::<aes::Aes256Dec>::new_from_slices(key, iv).ok()?.decrypt_blocks(blocks);
    }
    Some(())
}

/// Fills `buffer` from the system's source; `None` where it has none.
#[expect(
    clippy::disallowed_methods,
    reason = "SQLCipher draws vectors and salts by itself, and hands no source of ours along"
)]
pub(crate) fn random(buffer: &mut [u8]) -> Option<()> {
    SystemRandom::new().fill(buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// NIST SP 800-38A, F.2.5 and F.2.6.
    #[test]
    fn aes_256_cbc_is_the_standards() {
        let key = bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let iv = bytes("000102030405060708090a0b0c0d0e0f");
        let plain = bytes(concat!(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
        ));
        let sealed = bytes(concat!(
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
            "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
        ));
        let mut data = plain.clone();
        cipher(true, &key, &iv, &mut data).unwrap();
        assert_eq!(data, sealed);
        cipher(false, &key, &iv, &mut data).unwrap();
        assert_eq!(data, plain);
        for (key, iv, length) in [(&key[1..], &iv[..], 64), (&key[..], &iv[1..], 64), (&key[..], &iv[..], 63)] {
            assert_eq!(cipher(true, key, iv, &mut data[..length]), None, "{} {} {length}", key.len(), iv.len());
        }
        assert_eq!(data, plain, "and nothing was touched");
    }

    /// RFC 4231, case 2: the text in two parts.
    #[test]
    fn hmac_is_the_standards() {
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let sha512 = concat!(
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
        for (digest, expected) in [(Digest::Sha256, sha256), (Digest::Sha512, sha512)] {
            let tag = hmac(digest, b"Jefe", parts).unwrap();
            assert_eq!((tag.as_ref(), tag.as_ref().len()), (bytes(expected).as_slice(), digest.bytes()));
        }
    }

    /// SHA-256: RFC 7914, section 11. SHA-512 with the two rounds that SQLCipher takes for its HMAC key: Python's `hashlib`.
    #[test]
    fn pbkdf2_is_the_standards() {
        let mut key = [0; 64];
        derive(Digest::Sha256, b"passwd", b"salt", 1, &mut key).unwrap();
        let expected = concat!(
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc",
            "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
        assert_eq!(key.as_slice(), bytes(expected));
        derive(Digest::Sha512, b"passwd", b"salt", 2, &mut key).unwrap();
        let expected = concat!(
            "422a2c609b7e035e154ad40236dc0d73983c6c7a46aa6136466e216b3be22896",
            "cf65c59be9216fc659736f14d29a7472862c7c261e8a2dd53cf2a67a73dcd275"
        );
        assert_eq!(key.as_slice(), bytes(expected));
        assert_eq!(derive(Digest::Sha256, b"passwd", b"salt", 0, &mut key), None);
    }

    #[test]
    fn chance_is_not_a_constant() {
        let (mut one, mut other) = ([0; 48], [0; 48]);
        random(&mut one).and(random(&mut other)).unwrap();
        assert!(one != other && one != [0; 48]);
    }
}
