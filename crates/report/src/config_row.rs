//! Rows of the table: the rounds of each configuration.

use std::collections::BTreeMap;

use results::{Config, Rounds, Trial, Verdict};

/// A configuration with its rounds.
pub(crate) struct ConfigRow<'a> {
    /// Number in the table and in the reasons, from 1.
    pub(crate) number: usize,
    pub(crate) config: Config,
    pub(crate) rounds: Rounds<'a>,
}

impl ConfigRow<'_> {
    /// Returns the worst verdict of the rounds, with the reasons of all.
    pub(crate) fn verdict(&self) -> Verdict {
        let reasons = self
            .rounds
            .all()
            .iter()
            .flat_map(|trial| &trial.verdict.reasons);
        Verdict::of(reasons.cloned().collect())
    }

    /// Returns true if no round was measured.
    pub(crate) fn not_run(&self) -> bool {
        self.rounds.counts().not_run == self.rounds.all().len()
    }
}

/// Returns one row for each configuration, in the order of the grid.
pub(crate) fn config_rows<'a>(trials: impl Iterator<Item = &'a Trial>) -> Vec<ConfigRow<'a>> {
    let mut configs: BTreeMap<Config, Rounds<'_>> = BTreeMap::new();
    for trial in trials {
        configs.entry(trial.config()).or_default().push(trial);
    }
    let row = |(index, (config, rounds))| ConfigRow {
        number: index + 1,
        config,
        rounds,
    };
    configs.into_iter().enumerate().map(row).collect()
}
