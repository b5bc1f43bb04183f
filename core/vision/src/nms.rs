//! Candidates, and of those that show the same thing, the best.

use crate::placement::Edges;
use snaptrak_inference::registry::NmsRule;

/// Candidates that are compared with each other at most. Of more, the best are taken: a trained model gives some hundreds, a
/// wrong one could give every anchor for every class, and comparing is quadratic.
pub(crate) const CANDIDATES_MAX: usize = 4096;

/// A box that scored above the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// Index of its label.
    pub(crate) class: usize,
    /// 0 to 1.
    pub(crate) score: f32,
    /// Fractions of the model's input.
    pub(crate) edges: Edges,
}

/// Best first; of boxes that overlap by `rule.iou` or more (of one class, if the rule says so) only the best; at most
/// `boxes_max`.
pub(crate) fn suppress(mut candidates: Vec<Candidate>, rule: NmsRule, boxes_max: usize) -> Vec<Candidate> {
    // Equal scores in the order of the anchors, so that the answer is always the same.
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(CANDIDATES_MAX);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.len() >= boxes_max {
            break;
        }
        let rival = |other: &Candidate| !rule.per_class || other.class == candidate.class;
        if kept.iter().filter(|other| rival(other)).all(|other| overlap(&candidate.edges, &other.edges) < rule.iou) {
            kept.push(candidate);
        }
    }
    kept
}

/// Intersection over union; 0 where neither has an area.
pub(crate) fn overlap(a: &Edges, b: &Edges) -> f32 {
    let width = (a.x1.min(b.x1) - a.x0.max(b.x0)).max(0.0);
    let height = (a.y1.min(b.y1) - a.y0.max(b.y0)).max(0.0);
    let both = width * height;
    let area = |edges: &Edges| (edges.x1 - edges.x0).max(0.0) * (edges.y1 - edges.y0).max(0.0);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_CLASS: NmsRule = NmsRule { iou: 0.5, per_class: true };

    fn candidate(class: usize, score: f32, x0: f32, width: f32) -> Candidate {
        Candidate { class, score, edges: Edges { x0, y0: 0.0, x1: x0 + width, y1: 1.0 } }
    }

    #[test]
    fn the_best_of_a_heap_stays_and_other_classes_are_left_alone() {
        let all = vec![
            candidate(0, 0.6, 0.0, 1.0),
            candidate(0, 0.9, 0.1, 1.0),
            candidate(1, 0.7, 0.0, 1.0),
            candidate(0, 0.5, 3.0, 1.0),
        ];
        let kept = suppress(all.clone(), PER_CLASS, 10);
        assert_eq!(kept.iter().map(|kept| kept.score).collect::<Vec<_>>(), [0.9, 0.7, 0.5]);
        let kept = suppress(all.clone(), NmsRule { per_class: false, ..PER_CLASS }, 10);
        assert_eq!(kept.iter().map(|kept| kept.score).collect::<Vec<_>>(), [0.9, 0.5]);
        assert_eq!(suppress(all, PER_CLASS, 1).len(), 1);
    }

    #[test]
    fn overlap_is_that_of_paper_and_pencil() {
        let unit = Edges { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
        let half = Edges { x0: 0.5, ..unit };
        assert_eq!(overlap(&unit, &unit), 1.0);
        assert_eq!(overlap(&unit, &half), 0.5);
        assert_eq!(overlap(&unit, &Edges { x0: 2.0, x1: 3.0, ..unit }), 0.0);
        let nothing = Edges { x1: 0.0, ..unit };
        assert_eq!(overlap(&nothing, &nothing), 0.0);
        let inside_out = Edges { x0: 1.0, x1: 0.0, ..unit };
        assert_eq!(overlap(&inside_out, &inside_out), 0.0);
    }

    #[test]
    fn every_anchor_for_every_class_ends_soon() {
        let all = vec![candidate(0, 0.5, 0.0, 1.0); 2_000_000];
        assert_eq!(suppress(all, PER_CLASS, 1000).len(), 1);
    }
}
