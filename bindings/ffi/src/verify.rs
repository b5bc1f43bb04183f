//! Checking the receipts without a network.

use crate::{Cancellation, SnapTrak, SnapTrakError, cancellation::Waiting};
use std::sync::Arc;

/// What the receipts say.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
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
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct VerifyFailure {
    /// Place in the chain.
    pub sequence: u64,
    /// The asset that it speaks of, a UUID.
    pub asset_id: String,
    /// What is wrong, as a word.
    pub code: String,
}

#[uniffi::export]
impl SnapTrak {
    /// Checks every receipt offline: the chain, the device's signatures, the server's countersignatures. It can be broken off.
    #[uniffi::method(default(cancellation = None))]
    pub async fn verify(&self, cancellation: Option<Arc<Cancellation>>) -> Result<VerifyReport, SnapTrakError> {
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, |core, cancel| Ok(core.verify_until(cancel)?.into())).await
    }
}

impl From<snaptrak::VerifyReport> for VerifyReport {
    fn from(report: snaptrak::VerifyReport) -> Self {
        let failure = |one: snaptrak::VerifyFailure| VerifyFailure {
            sequence: one.sequence,
            asset_id: one.asset_id.to_string(),
            code: one.code.to_owned(),
        };
        Self {
            receipts: report.receipts,
            signed: report.signed,
            countersigned: report.countersigned,
            chain_ok: report.chain_ok,
            gaps: report.gaps,
            failures: report.failures.into_iter().map(failure).collect(),
        }
    }
}
