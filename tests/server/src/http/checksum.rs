//! tus' checksum extension: one request's bytes against a digest that its header names.

use super::error::ApiError;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A digest under way and the one that is expected.
pub(crate) struct Checksum {
    context: Context,
    expected: Vec<u8>,
}

impl Checksum {
    /// Reads `Upload-Checksum`.
    pub(crate) fn parse(header: &HeaderValue) -> Result<Self, ApiError> {
        let invalid = || ApiError::bad_request("invalid_header", "Upload-Checksum is an algorithm and a base64 digest");
        let (algorithm, digest) = header.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(invalid)?;
        let algorithm = match algorithm {
            "sha256" => &SHA256,
            // Every tus server must know it; it is a checksum here and protects nothing.
            "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
            _ => return Err(ApiError::bad_request("unknown_checksum", "checksums are sha256 and sha1")),
        };
        let expected = STANDARD.decode(digest.trim()).map_err(|_| invalid())?;
        Ok(Self { context: Context::new(algorithm), expected })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// Whether what was seen so far has the expected digest.
    pub(crate) fn fits(&self) -> bool {
        self.context.clone().finish().as_ref() == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_fit_and_unknown_algorithms_are_refused() {
        let headers = ["sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="];
        for header in headers {
            let mut checksum = Checksum::parse(&HeaderValue::from_static(header)).expect("a known algorithm");
            checksum.update(b"hel");
            assert!(!checksum.fits());
            checksum.update(b"lo");
            assert!(checksum.fits());
        }
        for (header, code) in
            [("md5 AAAA", "unknown_checksum"), ("sha1", "invalid_header"), ("sha1 ?", "invalid_header")]
        {
            let error = Checksum::parse(&HeaderValue::from_static(header)).err().expect("it is refused");
            assert_eq!(error.code(), code);
        }
    }
}
