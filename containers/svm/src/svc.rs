//! One-vs-one classification: one decision per pair of classes, and a vote.

use ndarray::{ArrayView1, NdFloat};

/// Returns the class with most votes, the lowest of equal ones. `decisions` has one decision per
/// pair of [`pairs`]. As in libsvm, a decision above 0 is a vote for the first class of its pair.
pub(crate) fn vote<F: NdFloat>(decisions: ArrayView1<F>, classes: usize) -> usize {
    winner(
        decisions.iter().map(|&decision| decision > F::zero()),
        classes,
    )
}

/// Returns the pairs of classes in the order of their decisions: (0, 1), (0, 2), ... (1, 2), ...
pub(crate) fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |a| (a + 1..classes).map(move |b| (a, b)))
}

/// Returns the class that wins most pairs; `first_wins` is true if a pair's first class wins.
pub(crate) fn winner(first_wins: impl Iterator<Item = bool>, classes: usize) -> usize {
    let mut votes = vec![0; classes];
    for ((a, b), first) in pairs(classes).zip(first_wins) {
        votes[if first { a } else { b }] += 1;
    }
    // `min_by_key` returns the first of equal keys.
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
