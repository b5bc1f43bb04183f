//! Whether a countersignature is one that lets an asset be called verified: signed by a countersign key of the accepted trust
//! bundle, and speaking of exactly the bytes that this device sealed. Local bytes may later be deleted on the strength of
//! it, so everything that both sides state must be equal.

use snaptrak_domain::queue_store::ExpectedReceipt;
use snaptrak_domain::{AssetId, OrganisationId};
use snaptrak_seal::{ReceiptError, TrustBody, UntrustedCountersignature};

/// Why it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CountersignError {
    /// Signed by a key that the trust bundle does not name: a newer bundle may.
    #[error("the countersignature's key is not in the trust bundle")]
    UnknownKey,
    /// Not a countersignature, or its signature does not verify.
    #[error("the countersignature does not verify")]
    Invalid(#[from] ReceiptError),
    /// It speaks of something else.
    #[error("the countersignature differs in {field}")]
    Differs {
        /// In what.
        field: &'static str,
    },
}

/// Checks a countersignature for one asset.
pub(crate) fn check(
    countersigned: &[u8],
    trust: &TrustBody,
    organisation_id: OrganisationId,
    asset_id: AssetId,
    expected: &ExpectedReceipt,
) -> Result<(), CountersignError> {
    let untrusted = UntrustedCountersignature::parse(countersigned)?;
    let key = trust.countersign_key(&untrusted.key_id()).ok_or(CountersignError::UnknownKey)?;
    let claims = untrusted.verify(&key)?;
    let pieces: Vec<_> = claims.pieces.iter().map(|p| (p.index, p.sealed_bytes, p.sealed_sha256)).collect();
    let agreements = [
        ("organisation_id", claims.organisation_id == organisation_id),
        ("asset_id", claims.asset_id == asset_id),
        ("receipt", claims.receipt == expected.receipt_payload_sha256),
        // In `managed` mode, the only one so far, the server has opened the pieces and says what it found.
        ("sha256", claims.sha256 == Some(expected.sha256)),
        ("bytes", claims.bytes == expected.bytes),
        ("pieces", pieces == expected.pieces),
        ("wrap_key_id", expected.wrap_key_ids.contains(&claims.wrap_key_id)),
    ];
    match agreements.into_iter().find(|(_, agrees)| !agrees) {
        Some((field, _)) => Err(CountersignError::Differs { field }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Organisation, new_signer};
    use snaptrak_domain::{Sha256Digest, UnixMs};
    use snaptrak_seal::{CountersignClaims, PieceEntry, countersign};

    fn claims(organisation: &Organisation) -> (CountersignClaims, ExpectedReceipt) {
        let digest = |byte: u8| Sha256Digest([byte; 32]);
        let expected = ExpectedReceipt {
            receipt_payload_sha256: digest(1),
            sha256: digest(2),
            bytes: 5,
            pieces: vec![(0, 77, digest(3))],
            wrap_key_ids: vec![digest(9), organisation.upload_key_id()],
        };
        let claims = CountersignClaims {
            organisation_id: organisation.id,
            asset_id: AssetId::from_bytes([6; 16]),
            receipt: digest(1),
            sha256: Some(digest(2)),
            bytes: 5,
            pieces: vec![PieceEntry { index: 0, sealed_bytes: 77, sealed_sha256: digest(3) }],
            wrap_key_id: organisation.upload_key_id(),
            verified_ms: UnixMs(1),
            server_id: "test".into(),
        };
        (claims, expected)
    }

    #[test]
    fn only_a_statement_of_the_same_bytes_by_a_known_key_counts() {
        let organisation = Organisation::new(1);
        let (claims, expected) = claims(&organisation);
        let verdict = |claims: &CountersignClaims| {
            let signed = countersign(claims, &organisation.countersigner).unwrap();
            check(&signed, &organisation.body(1), organisation.id, AssetId::from_bytes([6; 16]), &expected)
        };
        assert_eq!(verdict(&claims), Ok(()));
        let other = Sha256Digest([0xee; 32]);
        let wrong = [
            CountersignClaims { organisation_id: OrganisationId::from_bytes([1; 16]), ..claims.clone() },
            CountersignClaims { asset_id: AssetId::from_bytes([1; 16]), ..claims.clone() },
            CountersignClaims { receipt: other, ..claims.clone() },
            CountersignClaims { sha256: Some(other), ..claims.clone() },
            CountersignClaims { sha256: None, ..claims.clone() },
            CountersignClaims { bytes: 6, ..claims.clone() },
            CountersignClaims { pieces: Vec::new(), ..claims.clone() },
            CountersignClaims { wrap_key_id: other, ..claims.clone() },
        ];
        for wrong in wrong {
            assert!(verdict(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn another_signer_is_unknown() {
        let organisation = Organisation::new(1);
        let (claims, expected) = claims(&organisation);
        let stranger = new_signer();
        let signed = countersign(&claims, &stranger).unwrap();
        let verdict = check(&signed, &organisation.body(1), organisation.id, claims.asset_id, &expected);
        assert_eq!(verdict, Err(CountersignError::UnknownKey));
        assert!(check(b"junk", &organisation.body(1), organisation.id, claims.asset_id, &expected).is_err());
    }
}
