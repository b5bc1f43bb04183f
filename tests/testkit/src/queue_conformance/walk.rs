//! Chance decides what happens next; the promises hold all the same.

use super::*;
use crate::SeededRandom;
use snaptrak_domain::Random;

struct Dice(SeededRandom);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        usize::try_from(u64::from_be_bytes(bytes) % bound as u64).unwrap()
    }
}

const SENDING: [StepKind; 4] =
    [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece, StepKind::FetchReceipt];

fn random_outcome(dice: &Dice) -> Outcome {
    match dice.below(8) {
        0 => Outcome::NotAttempted(Reason::new(ReasonCode::Offline)),
        1 => Outcome::NotYet { reason: Reason::new(ReasonCode::VerificationPending), retry_after_ms: 1_000 },
        2 => failed(),
        3 => Outcome::Failed { reason: reason(), retry_after_ms: Some(20_000) },
        4 => Outcome::Refused(Reason::new(ReasonCode::ServerRefused)),
        _ => Outcome::Done,
    }
}

/// Whatever happens in whatever order: nothing is verified without a countersignature, no step is lost, and when the trouble
/// is over everything arrives.
pub fn a_random_walk_loses_nothing(under: &mut dyn QueueUnderTest) {
    random_walk(under, 20_261_122);
}

/// One walk; another seed is another walk.
pub fn random_walk(under: &mut dyn QueueUnderTest, seed: u64) {
    let dice = Dice(SeededRandom::new(seed));
    let captures: Vec<Added> =
        [vec![100], vec![100, 200, 300], vec![5_000_000, 70]].iter().map(|p| under.add(p)).collect();
    let before: Vec<_> = captures.iter().map(|added| under.steps(added.capture_id).len()).collect();
    let mut countersigned = vec![false; captures.len()];
    enrol(under);
    for _ in 0..600 {
        let kind = SENDING[dice.below(SENDING.len())];
        let steps = ready(under, kind);
        match dice.below(12) {
            0 => under.clock().advance_ms(30_000),
            1 => under.die_and_reopen(),
            2 => {
                under.queue().enqueue(now(under)).unwrap();
            }
            3 => under.clock().reboot(),
            4 => {
                let place = dice.below(captures.len());
                under.queue().send_again(captures[place].asset_id, None, now(under)).unwrap();
                countersigned[place] = false;
            }
            5 if dice.below(10) == 0 => under.clock().advance_ms(limits::REVIVAL_AFTER_MS),
            _ if steps.is_empty() => {}
            _ => {
                let step = &steps[dice.below(steps.len())];
                under.queue().begin(step.step_id, now(under), LEASE_MS).unwrap();
                if dice.below(6) == 0 {
                    continue; // Nobody ever says how it went.
                }
                let outcome = random_outcome(&dice);
                if kind == StepKind::FetchReceipt && outcome == Outcome::Done {
                    under.queue().save_countersigned(step.step_id, b"signed", now(under)).unwrap();
                    let place = captures.iter().position(|added| added.capture_id == step.capture_id).unwrap();
                    countersigned[place] = true;
                } else {
                    end(under, step.step_id, outcome);
                }
            }
        }
        for (place, added) in captures.iter().enumerate() {
            let verified = under.state(added.capture_id) == AssetState::Verified;
            assert_eq!(verified, countersigned[place], "capture {place}");
            assert_eq!(under.steps(added.capture_id).len(), before[place]);
        }
    }
    // The trouble is over: a few days later everything has come back and arrives.
    for _ in 0..4 {
        under.die_and_reopen();
        under.clock().advance_ms(limits::REVIVAL_AFTER_MS);
        under.queue().enqueue(now(under)).unwrap();
        send_all(under);
        countersign_all(under);
    }
    for added in &captures {
        assert_eq!(under.state(added.capture_id), AssetState::Verified);
        assert_eq!(step_state(under, added.capture_id, StepKind::FetchReceipt), StepState::Done);
    }
}
