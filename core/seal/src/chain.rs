//! A device's chain of receipts: what is missing, what exists twice, what does not link.
//!
//! Pure: the caller has verified the signatures. A gap is not yet a fraud (receipts of withheld or erased captures are
//! elsewhere), so nothing here stops at the first finding; all are reported.

use std::collections::BTreeMap;

use snaptrak_domain::Sha256Digest;

use crate::receipt::{FIRST_PREVIOUS, ReceiptClaims};

/// One receipt as the chain sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainLink {
    /// Place in the chain, from 1.
    pub sequence: u64,
    /// What it says of its predecessor's payload.
    pub previous: Sha256Digest,
    /// SHA-256 of its own payload.
    pub payload_sha256: Sha256Digest,
}

impl ChainLink {
    /// The link of a receipt.
    #[must_use]
    pub fn new(claims: &ReceiptClaims, payload_sha256: Sha256Digest) -> Self {
        Self { sequence: claims.sequence, previous: claims.previous, payload_sha256 }
    }
}

/// Sequence numbers that are missing, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing number.
    pub first: u64,
    /// Last missing number.
    pub last: u64,
}

/// What was found in one device's receipts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// Different receipts that were looked at.
    pub receipts: usize,
    /// Runs of missing numbers before the highest one seen.
    pub gaps: Vec<Gap>,
    /// Numbers that two different receipts claim.
    pub forks: Vec<u64>,
    /// Numbers whose receipt names another predecessor than the one that is there.
    pub bad_links: Vec<u64>,
}

impl ChainReport {
    /// Whether the receipts are one unbroken chain from the first.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.forks.is_empty() && self.bad_links.is_empty()
    }
}

/// Looks at the receipts of one device, in any order. The same receipt twice is one receipt.
#[must_use]
pub fn check_chain(links: impl IntoIterator<Item = ChainLink>) -> ChainReport {
    let mut by_sequence: BTreeMap<u64, Vec<ChainLink>> = BTreeMap::new();
    for link in links {
        let known = by_sequence.entry(link.sequence).or_default();
        if !known.contains(&link) {
            known.push(link);
        }
    }
    let mut report = ChainReport::default();
    let mut before: Option<(u64, Vec<Sha256Digest>)> = None;
    for (sequence, links) in by_sequence {
        report.receipts += links.len();
        if links.len() > 1 {
            report.forks.push(sequence);
        }
        let expected = before.as_ref().map_or(1, |(previous, _)| previous.saturating_add(1));
        if sequence > expected {
            report.gaps.push(Gap { first: expected, last: sequence - 1 });
        }
        let links_to = match &before {
            Some((previous, digests)) if previous.checked_add(1) == Some(sequence) => Some(digests.as_slice()),
            Some(_) => None,
            None => (sequence == 1).then_some(&[FIRST_PREVIOUS][..]),
        };
        let broken = links_to.is_some_and(|digests| links.iter().any(|link| !digests.contains(&link.previous)));
        if broken || sequence == 0 {
            report.bad_links.push(sequence);
        }
        before = Some((sequence, links.iter().map(|link| link.payload_sha256).collect()));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(of: u64) -> Sha256Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&of.to_be_bytes());
        Sha256Digest(bytes)
    }

    fn link(sequence: u64) -> ChainLink {
        ChainLink { sequence, previous: digest(sequence - 1), payload_sha256: digest(sequence) }
    }

    #[test]
    fn an_unbroken_chain_is_whole_in_any_order_and_with_repetitions() {
        let report = check_chain([3, 1, 2, 2].map(link));
        assert_eq!(report, ChainReport { receipts: 3, ..ChainReport::default() });
        assert!(report.is_whole());
        assert!(check_chain([]).is_whole());
    }

    #[test]
    fn gaps_are_named_at_the_start_and_inside() {
        let report = check_chain([3, 4, 8].map(link));
        assert_eq!(report.gaps, [Gap { first: 1, last: 2 }, Gap { first: 5, last: 7 }]);
        assert!(report.bad_links.is_empty(), "what is missing cannot be linked to");
    }

    #[test]
    fn two_receipts_of_one_number_are_a_fork() {
        let twin = ChainLink { payload_sha256: digest(99), ..link(2) };
        let report = check_chain([link(1), link(2), twin, link(3)]);
        assert_eq!(report.forks, [2]);
        assert_eq!(report.receipts, 4);
        assert!(report.bad_links.is_empty());
    }

    #[test]
    fn a_wrong_predecessor_is_a_bad_link() {
        let wrong = ChainLink { previous: digest(77), ..link(2) };
        assert_eq!(check_chain([link(1), wrong]).bad_links, [2]);
        let wrong_first = ChainLink { previous: digest(77), ..link(1) };
        assert_eq!(check_chain([wrong_first]).bad_links, [1]);
        let zero = ChainLink { sequence: 0, previous: digest(0), payload_sha256: digest(0) };
        assert_eq!(check_chain([zero]).bad_links, [0]);
    }

    proptest! {
        #[test]
        fn removing_any_receipt_but_the_last_is_seen(length in 2u64..40, at in any::<prop::sample::Index>()) {
            let removed = at.index(length as usize - 1) as u64 + 1;
            let report = check_chain((1..=length).filter(|sequence| *sequence != removed).map(link));
            prop_assert_eq!(report.gaps, vec![Gap { first: removed, last: removed }]);
        }

        #[test]
        fn any_numbers_have_an_answer(numbers in prop::collection::vec(any::<u64>(), 0..30)) {
            let links = numbers.iter().map(|sequence| ChainLink {
                sequence: *sequence,
                previous: digest(1),
                payload_sha256: digest(2),
            });
            let _ = check_chain(links);
        }
    }
}
