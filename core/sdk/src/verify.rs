//! Checking the receipts without a network: the chain, the device's signatures, the server's countersignatures.

use crate::{Error, SnapTrak};
use snaptrak_domain::{AssetId, CancelToken};
use snaptrak_seal::{
    ChainLink, ReceiptClaims, TrustBody, UntrustedCountersignature, UntrustedReceipt, check_chain, sha256,
};
use snaptrak_store::StoredReceipt;

/// Receipts read at once: some hundred kilobytes.
const BATCH: usize = 500;
/// Gaps that are listed one by one; beyond that the first thousand say enough.
const GAPS_MAX: usize = 1_000;

/// What the receipts say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Places in the chain.
    pub receipts: u64,
    /// With a valid signature of this device.
    pub signed: u64,
    /// With a valid countersignature of the server.
    pub countersigned: u64,
    /// Every link leads to the receipt before it, and no place is empty.
    pub chain_ok: bool,
    /// Places of the chain that are empty.
    pub gaps: Vec<u64>,
    /// What did not hold.
    pub failures: Vec<VerifyFailure>,
}

/// One receipt that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyFailure {
    /// Place in the chain.
    pub sequence: u64,
    /// The asset that it speaks of.
    pub asset_id: AssetId,
    /// What is wrong, as a word.
    pub code: &'static str,
}

impl SnapTrak {
    /// Checks every receipt offline, after asking the signer for those that wait for it. What is not yet signed or countersigned is
    /// counted, not a failure.
    pub fn verify(&self) -> Result<VerifyReport, Error> {
        self.verify_until(&CancelToken::new())
    }

    /// As [`SnapTrak::verify`], and ends before the next 500 receipts when another thread cancels the token.
    pub fn verify_until(&self, cancel: &CancelToken) -> Result<VerifyReport, Error> {
        let call = self.inner.calls.begin(cancel)?;
        let store = &self.inner.store;
        // Looking needs no room on the disk and no signer.
        if let Err(error) = store.sign_pending() {
            tracing::warn!(%error, "receipts wait for their signatures");
        }
        let device_keys = store.device_keys()?;
        let trusted = self.stored_trust()?;
        let mut report = VerifyReport::default();
        let mut links = Vec::new();
        let mut after = 0;
        loop {
            call.go_on()?;
            let batch = store.receipts(after, BATCH)?;
            let Some(last) = batch.last() else { break };
            after = last.sequence;
            for receipt in &batch {
                report.receipts += 1;
                match check(receipt, &device_keys, trusted.as_ref(), &mut report) {
                    Ok(link) => links.push(link),
                    Err(code) => report.fail(receipt, code),
                }
            }
        }
        let chain = check_chain(links);
        report.chain_ok = chain.is_whole();
        report.gaps = chain.gaps.iter().flat_map(|gap| gap.first..=gap.last).take(GAPS_MAX).collect();
        Ok(report)
    }
}

impl VerifyReport {
    fn fail(&mut self, receipt: &StoredReceipt, code: &'static str) {
        self.failures.push(VerifyFailure { sequence: receipt.sequence, asset_id: receipt.asset_id, code });
    }
}

/// Checks one receipt, counts what holds, and answers its link of the chain or what does not hold.
fn check(
    receipt: &StoredReceipt,
    device_keys: &[[u8; 65]],
    trusted: Option<&TrustBody>,
    report: &mut VerifyReport,
) -> Result<ChainLink, &'static str> {
    let claims = ReceiptClaims::from_payload(&receipt.payload).map_err(|_| "receipt_unreadable")?;
    let payload_sha256 = sha256(&receipt.payload);
    if claims.sequence != receipt.sequence || claims.asset_id != receipt.asset_id {
        return Err("receipt_of_another_asset");
    }
    if let Some(signed) = &receipt.signed {
        let read = UntrustedReceipt::parse(signed).map_err(|_| "signature_unreadable")?;
        if read.payload_sha256() != payload_sha256 {
            return Err("signed_payload_differs");
        }
        // A recovery without the old keyset has given the device another key; the receipts of before name the former one.
        let key = device_keys.iter().find(|key| sha256(key.as_slice()) == read.key_id()).ok_or("device_key_unknown")?;
        read.verify(key).map_err(|_| "signature_invalid")?;
        report.signed += 1;
    }
    if let Some(countersigned) = &receipt.countersigned {
        let read = UntrustedCountersignature::parse(countersigned).map_err(|_| "countersignature_unreadable")?;
        let key = trusted.and_then(|body| body.countersign_key(&read.key_id())).ok_or("countersign_key_unknown")?;
        let said = read.verify(&key).map_err(|_| "countersignature_invalid")?;
        said.check_against(&claims, &payload_sha256).map_err(|_| "countersignature_of_other_bytes")?;
        report.countersigned += 1;
    }
    Ok(ChainLink::new(&claims, payload_sha256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaptureOptions, Config, Platform};
    use snaptrak_testkit::FixedKeyStore;
    use std::sync::Arc;

    type Change = fn(&mut StoredReceipt, &StoredReceipt);

    #[test]
    fn whatever_does_not_hold_is_named_and_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let platform = Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
        let instance = SnapTrak::create(Config::new(folder.path().join("store")), platform).unwrap();
        for text in ["one", "two"] {
            instance.note(text, CaptureOptions::default()).unwrap();
        }
        let store = &instance.inner.store;
        store.sign_pending().unwrap();
        let receipts = store.receipts(0, 2).unwrap();
        let key = store.device_keys().unwrap();
        let mut report = VerifyReport::default();
        assert!(receipts.iter().all(|receipt| check(receipt, &key, None, &mut report).is_ok()));
        assert_eq!(report.signed, 2);

        let changes: [(&str, Change); 6] = [
            ("receipt_unreadable", |receipt, _| receipt.payload.truncate(10)),
            ("receipt_of_another_asset", |receipt, _| receipt.sequence += 1),
            ("signature_unreadable", |receipt, _| receipt.signed = Some(b"no COSE".to_vec())),
            ("signed_payload_differs", |receipt, other| receipt.signed.clone_from(&other.signed)),
            ("signature_invalid", |receipt, _| *receipt.signed.as_mut().unwrap().last_mut().unwrap() ^= 1),
            ("countersignature_unreadable", |receipt, _| receipt.countersigned.clone_from(&receipt.signed)),
        ];
        for (code, change) in changes {
            let mut receipt = receipts[0].clone();
            change(&mut receipt, &receipts[1]);
            let mut report = VerifyReport::default();
            assert_eq!(check(&receipt, &key, None, &mut report).err(), Some(code));
            assert_eq!(report.countersigned, 0, "{code}");
        }
    }
}
