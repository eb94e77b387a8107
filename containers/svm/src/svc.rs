//! One-vs-one classification: a decision for each pair of classes, and votes.

use ndarray::{ArrayView1, NdFloat};

/// The class with most votes, the lowest of several; one decision per pair of [`pairs`]. As in libsvm, a decision must be
/// above 0 for the first class of its pair.
pub(crate) fn vote<F: NdFloat>(decisions: ArrayView1<F>, classes: usize) -> usize {
    winner(
        decisions.iter().map(|&decision| decision > F::zero()),
        classes,
    )
}

/// Pairs of classes in the order of their decisions: (0, 1), (0, 2), ... (1, 2), ...
pub(crate) fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |a| (a + 1..classes).map(move |b| (a, b)))
}

/// Of each pair, the first class wins where `first_wins`.
pub(crate) fn winner(first_wins: impl Iterator<Item = bool>, classes: usize) -> usize {
    let mut votes = vec![0; classes];
    for ((a, b), first) in pairs(classes).zip(first_wins) {
        votes[if first { a } else { b }] += 1;
    }
    // Of equal keys `min_by_key` takes the first.
    (0..classes)
        .min_by_key(|&class| std::cmp::Reverse(votes[class]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_tie_goes_to_the_lowest_class() {
        // 0 beats 1, 2 beats 0, 1 beats 2: one vote each.
        assert_eq!(vote(array![1.0, -1.0, 1.0].view(), 3), 0);
        // 1 beats 0, 2 beats 0, 1 beats 2.
        assert_eq!(vote(array![-1.0, -1.0, 1.0].view(), 3), 1);
        // A decision of zero is a vote for the second of the pair.
        assert_eq!(vote(array![0.0].view(), 2), 1);
    }
}
