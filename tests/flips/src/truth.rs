//! What went into the store, and the comparison with what comes out: right, told, or wrong.

use snaptrak_domain::{CaptureId, CaptureMetadata, Finding, Sha256Digest};
use snaptrak_store::{Store, StoreError};
use std::collections::BTreeMap;

/// One capture as it must come out.
#[derive(Debug, Clone, PartialEq)]
struct Capture {
    metadata: CaptureMetadata,
    sha256: Option<Sha256Digest>,
    bytes: Vec<u8>,
    findings: Vec<Finding>,
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    captures: BTreeMap<CaptureId, Capture>,
    receipts: Vec<(u64, Vec<u8>)>,
}

/// More captures than the store has.
const LIMIT: usize = 100;

impl Truth {
    /// Reads a whole store.
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        let mut captures = BTreeMap::new();
        for summary in store.list(None, None, LIMIT)?.captures {
            let detail = store.show(summary.id)?;
            let bytes = read(store, &detail)?;
            let (metadata, findings) = (detail.metadata, detail.findings);
            captures.insert(summary.id, Capture { metadata, sha256: summary.sha256, bytes, findings });
        }
        let receipts = store.receipts(0, LIMIT)?.into_iter().map(|one| (one.sequence, one.payload)).collect();
        Ok(Self { captures, receipts })
    }

    /// Compares an opened store whose list must be whole: whether everything was there, or something said that it is not.
    /// The error is a wrong answer.
    pub(crate) fn check_opened(&self, store: &Store) -> Result<bool, String> {
        let Ok(page) = store.list(None, None, LIMIT) else { return Ok(false) };
        if page.captures.len() != self.captures.len() {
            return Err(format!("{} captures are listed and nothing is said", page.captures.len()));
        }
        let mut whole = true;
        for summary in page.captures {
            whole &= self.check_capture(store, summary.id)?;
        }
        let Ok(receipts) = store.receipts(0, LIMIT) else { return Ok(false) };
        let receipts: Vec<_> = receipts.into_iter().map(|one| (one.sequence, one.payload)).collect();
        if receipts != self.receipts {
            return Err("other receipts".to_owned());
        }
        Ok(whole)
    }

    /// Compares a recovered store, which may lack what was named as unreadable. The receipts that are there must be the old
    /// ones, unless their capture had to take a new place.
    pub(crate) fn check_recovered(&self, store: &Store, told: bool) -> Result<(), String> {
        let page = store.list(None, None, LIMIT).map_err(|error| format!("recovered and not listed: {error}"))?;
        let mut whole = page.captures.len() == self.captures.len();
        for summary in page.captures {
            whole &= self.check_capture(store, summary.id)?;
        }
        if whole || told { Ok(()) } else { Err("recovered in part and nothing is said".to_owned()) }
    }

    fn check_capture(&self, store: &Store, id: CaptureId) -> Result<bool, String> {
        let Some(truth) = self.captures.get(&id) else { return Err(format!("a capture {id} that never was")) };
        let Ok(detail) = store.show(id) else { return Ok(false) };
        if detail.metadata != truth.metadata {
            return Err(format!("{id} has other metadata"));
        }
        if detail.assets.first().is_some_and(|asset| asset.sha256 != truth.sha256) {
            return Err(format!("{id} has another digest"));
        }
        let found = detail.findings == truth.findings;
        if !found && !detail.findings.is_empty() {
            return Err(format!("{id} has other findings"));
        }
        match read(store, &detail) {
            Ok(bytes) if bytes == truth.bytes => Ok(found),
            Ok(_) => Err(format!("{id} has other bytes")),
            Err(_) => Ok(false),
        }
    }
}

fn read(store: &Store, detail: &snaptrak_store::CaptureDetail) -> Result<Vec<u8>, StoreError> {
    let original = detail.assets.first().ok_or(StoreError::Missing { what: "asset" })?;
    let mut reader = store.reader(original.asset_id)?;
    let bytes = reader.bytes();
    reader.read_all(bytes).map_err(|_| StoreError::Damaged { what: "piece" })
}
