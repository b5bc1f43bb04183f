//! Bearer tokens: 32 random bytes as URL-safe base64, of which the server keeps the SHA-256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use snaptrak_domain::{Random, RandomError};
use snaptrak_seal::sha256;
use zeroize::Zeroizing;

const TOKEN_BYTES: usize = 32;

/// A longer text cannot be one of our tokens and is not hashed.
const TEXT_BYTES_MAX: usize = 128;

/// A new token: the text for its holder, the digest for the database.
pub(crate) struct Token {
    pub(crate) text: Zeroizing<String>,
    pub(crate) digest: [u8; 32],
}

impl Token {
    pub(crate) fn new(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random.fill(bytes.as_mut_slice())?;
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let digest = sha256(text.as_bytes()).0;
        Ok(Self { text, digest })
    }
}

/// The digest by which a token that someone shows is looked up.
pub(crate) fn digest(text: &str) -> Option<[u8; 32]> {
    (text.len() <= TEXT_BYTES_MAX).then(|| sha256(text.as_bytes()).0)
}
