//! The rows of the table: the rounds of each combination.

use std::collections::BTreeMap;

use results::{Config, Rounds, Trial, Verdict};

/// A point with its rounds.
pub(super) struct Row<'a> {
    /// How it is called in the notes, from 1.
    pub(super) number: usize,
    pub(super) config: Config,
    pub(super) rounds: Rounds<'a>,
}

impl Row<'_> {
    /// The worst of its rounds' verdicts, and why.
    pub(super) fn verdict(&self) -> Verdict {
        let reasons = self
            .rounds
            .all()
            .iter()
            .flat_map(|result| &result.verdict.reasons);
        Verdict::of(reasons.cloned().collect())
    }

    /// True if there is no number in any round.
    pub(super) fn not_run(&self) -> bool {
        self.rounds.counts().not_run == self.rounds.all().len()
    }
}

/// In the order of the grid, whatever the order of measuring was.
pub(super) fn rows(results: &[Trial]) -> Vec<Row<'_>> {
    let mut points: BTreeMap<Config, Rounds<'_>> = BTreeMap::new();
    for result in results {
        points.entry(result.config()).or_default().push(result);
    }
    let row = |(index, (config, rounds))| Row {
        number: index + 1,
        config,
        rounds,
    };
    points.into_iter().enumerate().map(row).collect()
}
