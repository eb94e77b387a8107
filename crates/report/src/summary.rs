//! The answer of a sweep in one sentence, with the number of points that are not VALID.

use results::{
    Estimate, RoundCounts, Rounds, Speed, Trial, VerdictStatus, median, pareto::ParetoFront,
};

use crate::{
    names,
    text::{number, plural},
};

/// Returns the model or models, and the number of points.
pub(crate) fn title(trials: &[&Trial]) -> String {
    let mut models: Vec<_> = trials
        .iter()
        .map(|trial| trial.node_configs[0].name.as_str())
        .collect();
    models.dedup();
    let count = trials.len();
    let unit = match trials.iter().all(|trial| trial.accuracy().is_some()) {
        true => plural(count, "accuracy run"),
        false => unit(trials, count),
    };
    format!("{}: {count} {unit}", models.join(", "))
}

/// Returns the answer: the best configuration and its rate, then the number of points that are not
/// VALID.
pub(crate) fn answer(trials: &[Trial]) -> String {
    let all: Vec<&Trial> = trials.iter().collect();
    let sentence = accuracy(&all).unwrap_or_else(|| speed(trials));
    match not_valid(&all) {
        Some(not_valid) => format!("{sentence} {not_valid}"),
        None => sentence,
    }
}

/// Returns what the sweep recommends for the rate of `--target_qps`; empty without one.
pub(crate) fn recommendation(front: &ParetoFront) -> Vec<String> {
    let recommended = front.recommendation.iter();
    recommended
        .flat_map(|recommended| recommended.lines())
        .collect()
}

/// Returns the range of the shares of right answers, where accuracy was measured.
fn accuracy(trials: &[&Trial]) -> Option<String> {
    let runs = trials.iter().filter_map(|trial| trial.accuracy());
    let shares: Vec<f64> = runs.map(|run| run.share).collect();
    let lowest = shares.iter().copied().reduce(f64::min)?;
    let highest = shares.iter().copied().reduce(f64::max)?;
    let [low, high] = [lowest, highest].map(|share| number(1e2 * share));
    let range = match low == high {
        true => low,
        false => format!("{low} to {high}"),
    };
    let model = &trials.first()?.node_configs[0].name;
    Some(format!(
        "{model}: {range} % of the answers were right; no speed was measured."
    ))
}

fn speed(trials: &[Trial]) -> String {
    let configs = results::by_config(trials);
    let Some(fastest) = best(configs.values(), throughput) else {
        return "No point has a number to act on.".to_owned();
    };
    let slo = trials.iter().find_map(|trial| {
        let search = trial.speed()?.search.as_ref()?;
        Some(search.objective_ms)
    });
    let model = &fastest.first.node_configs[0].name;
    let Some(slo) = slo else {
        let suspect = fastest.suspect();
        return format!(
            "{model} serves {}{suspect}.",
            fastest.sentence(p99_under_load)
        );
    };
    match best(configs.values(), max_within_slo) {
        Some(found) => format!(
            "{} serves {}, within the SLO of {slo} ms{}.",
            found.first.node_configs[0].name,
            found.sentence(p99_within_slo),
            found.suspect()
        ),
        None => format!(
            "{model} meets the SLO of {slo} ms at no rate that was tried; without it, it serves {}{}.",
            fastest.sentence(p99_under_load),
            fastest.suspect()
        ),
    }
}

/// Counts the points that are not VALID, for instance `2 of 4 points are INVALID or did not run.`
fn not_valid(trials: &[&Trial]) -> Option<String> {
    let [_, suspect, invalid, not_run] = counts(trials).map(|(_, count)| count);
    let total = trials.len();
    let of_all = |count: usize, kind: &str| {
        let verb = if count == 1 { "is" } else { "are" };
        match kind {
            "" => format!("{count} of {total} {} did not run", unit(trials, total)),
            kind => format!("{count} of {total} {} {verb} {kind}", unit(trials, total)),
        }
    };
    let failed = match (invalid, not_run) {
        (0, 0) => None,
        (_, 0) => Some(of_all(invalid, "INVALID")),
        (0, _) => Some(of_all(not_run, "")),
        _ => Some(of_all(invalid + not_run, "INVALID or did not run")),
    };
    match (failed, suspect) {
        (None, 0) => None,
        (Some(failed), 0) => Some(format!("{failed}.")),
        (None, _) => Some(format!("{}.", of_all(suspect, "SUSPECT"))),
        (Some(failed), 1) => Some(format!("{failed}, 1 is SUSPECT.")),
        (Some(failed), _) => Some(format!("{failed}, {suspect} are SUSPECT.")),
    }
}

/// Returns what the trials of a sweep are called: points, or measurements where points have several
/// rounds.
fn unit(trials: &[&Trial], count: usize) -> String {
    match trials.iter().any(|trial| trial.round > 1) {
        true => plural(count, "measurement"),
        false => plural(count, "point"),
    }
}

/// Counts trials by verdict; those that did not run are apart.
pub(crate) fn counts(trials: &[&Trial]) -> [(&'static str, usize); 4] {
    let of = |status| {
        let ran = trials.iter().filter(|trial| trial.not_run().is_none());
        ran.filter(|trial| trial.verdict.status == status).count()
    };
    let not_run = trials.iter().filter(|trial| trial.not_run().is_some());
    [
        ("VALID", of(VerdictStatus::Valid)),
        ("SUSPECT", of(VerdictStatus::Suspect)),
        ("INVALID", of(VerdictStatus::Invalid)),
        ("NOT RUN", not_run.count()),
    ]
}

/// Returns the throughput of the first phase.
pub(crate) fn throughput(speed: &Speed) -> Option<Estimate> {
    Some(speed.phases.first()?.throughput)
}

/// Returns the maximum rate within the SLO, where the sweep searched for it.
fn max_within_slo(speed: &Speed) -> Option<Estimate> {
    let value = speed.search.as_ref()?.highest_qps?;
    Some(Estimate {
        value,
        ..Estimate::default()
    })
}

/// The configuration with the highest median rate.
pub(crate) struct BestConfig<'a> {
    /// The first round that counts.
    pub(crate) first: &'a Trial,
    rounds: &'a Rounds<'a>,
    counts: RoundCounts,
    /// Rates of the rounds that count, ascending, in queries per second.
    rates: Vec<Estimate>,
    /// Median of the rates.
    pub(crate) median: f64,
}

/// Returns the configuration with the highest median rate, among those where every round that
/// counts has one.
pub(crate) fn best<'a>(
    configs: impl Iterator<Item = &'a Rounds<'a>>,
    read: impl Fn(&Speed) -> Option<Estimate>,
) -> Option<BestConfig<'a>> {
    let of = |rounds: &'a Rounds<'a>| {
        let rates = rounds.counted().map(|round| read(round.speed()?));
        let mut rates = rates.collect::<Option<Vec<_>>>()?;
        rates.sort_by(|a, b| a.value.total_cmp(&b.value));
        let values: Vec<_> = rates.iter().map(|rate| rate.value).collect();
        Some(BestConfig {
            first: rounds.counted().next()?,
            rounds,
            counts: rounds.counts(),
            median: median(&values)?,
            rates,
        })
    };
    configs
        .filter_map(of)
        .max_by(|a, b| a.median.total_cmp(&b.median))
}

impl BestConfig<'_> {
    /// For instance `6.30 queries/s (95 % interval 6.10 to 6.50) with 1 replica x 2 CPUs at batch
    /// 4; p99 700.0 ms`.
    fn sentence(&self, p99: impl Fn(&BestConfig<'_>) -> Option<String>) -> String {
        let config = names::config(&self.first.node_configs[0]);
        let p99 = p99(self).unwrap_or_else(|| "too few samples for a p99".to_owned());
        format!("{} with {config}; {p99}", self.rate())
    }

    /// Returns a mark if a round that counts is SUSPECT, else nothing.
    fn suspect(&self) -> &'static str {
        let mut counted = self.rounds.counted();
        match counted.any(|round| round.verdict.status == VerdictStatus::Suspect) {
            true => " (SUSPECT)",
            false => "",
        }
    }

    /// Returns the rate with its interval, or with its range over several rounds.
    fn rate(&self) -> String {
        let counts = self.counts.to_string();
        let interval = match &self.rates[..] {
            [
                Estimate {
                    low: Some(low),
                    high: Some(high),
                    ..
                },
            ] => Some(format!(
                "95 % interval {} to {}",
                number(*low),
                number(*high)
            )),
            [least, .., most] => Some(format!("{} to {}", number(least.value), number(most.value))),
            _ => None,
        };
        let notes: Vec<String> = [Some(counts).filter(|counts| !counts.is_empty()), interval]
            .into_iter()
            .flatten()
            .collect();
        let rate = number(self.median);
        match notes.is_empty() {
            true => format!("{rate} queries/s"),
            false => format!("{rate} queries/s ({})", notes.join("; ")),
        }
    }
}

/// Returns the median p99 of the rounds, with the load that it was measured at.
fn p99_under_load(best: &BestConfig<'_>) -> Option<String> {
    let ms = best.rounds.median(|speed| {
        let latency = speed.latency()?.latency.as_ref()?;
        Some(latency.percentile(0.99)?.ms.value)
    })?;
    let phase = best.first.speed()?.latency()?;
    Some(format!(
        "p99 {} ms {}",
        number(ms),
        names::under_load(phase)
    ))
}

/// Returns the median p99 of the confirming runs.
fn p99_within_slo(best: &BestConfig<'_>) -> Option<String> {
    let p99 = |speed: &Speed| speed.search.as_ref()?.p99_ms;
    Some(format!("p99 {} ms", number(best.rounds.median(p99)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{
        SearchResult, TrialOutcome,
        fixture::{accurate, profiled, speed as speed_of, whole},
    };

    fn not_run() -> Trial {
        let outcome = TrialOutcome::NotRun {
            not_run: "no cores".to_owned(),
        };
        Trial { outcome, ..whole() }
    }

    fn with_status(status: VerdictStatus) -> Trial {
        let mut trial = whole();
        trial.node_configs[0].batch_size = 8;
        trial.verdict.status = status;
        trial
    }

    #[test]
    fn answer_names_rate_interval_config_and_p99() {
        assert_eq!(
            answer(&[whole()]),
            "noop serves 200.0 queries/s (95 % interval 195.0 to 205.0) with 2 replicas x 1 CPU at batch 4; p99 138.0 ms \
             with 24 queries in flight."
        );
        let profiled = answer(&[profiled()]);
        assert!(
            profiled.ends_with("; p99 138.0 ms at 80 % load."),
            "{profiled}"
        );
    }

    #[test]
    fn answer_counts_points_that_are_not_valid() {
        let ends = |trials: &[Trial], end: &str| {
            let answer = answer(trials);
            assert!(answer.ends_with(end), "{answer}");
        };
        let [suspect, invalid] = [VerdictStatus::Suspect, VerdictStatus::Invalid].map(with_status);
        ends(&[whole(), suspect.clone()], "1 of 2 points is SUSPECT.");
        ends(&[whole(), not_run()], "1 of 2 points did not run.");
        ends(&[whole(), invalid.clone()], "1 of 2 points is INVALID.");
        ends(
            &[whole(), invalid, not_run(), suspect],
            "2 of 4 points are INVALID or did not run, 1 is SUSPECT.",
        );
        let none = "No point has a number to act on. 1 of 1 point did not run.";
        assert_eq!(answer(&[not_run()]), none);
    }

    #[test]
    fn searched_rate_replaces_the_throughput() {
        let searched = |highest_qps| {
            let mut trial = profiled();
            speed_of(&mut trial).search = Some(SearchResult {
                objective_ms: 50.0,
                highest_qps,
                p99_ms: Some(45.0),
                missed_qps: None,
            });
            answer(&[trial])
        };
        assert_eq!(
            searched(Some(120.0)),
            "noop serves 120.0 queries/s with 2 replicas x 1 CPU at batch 4; p99 45.0 ms, within the SLO of 50 ms."
        );
        let none = "noop meets the SLO of 50 ms at no rate that was tried; without it, it serves 200.0 queries/s";
        assert!(searched(None).starts_with(none), "{}", searched(None));
    }

    #[test]
    fn answer_of_an_accuracy_run_states_no_speed() {
        let text = answer(&[accurate()]);
        assert_eq!(
            text,
            "noop: 97.0 % of the answers were right; no speed was measured."
        );
    }
}
