//! The Pareto front of a sweep, and the smallest configuration for a target rate.

use std::fmt;

use loadgen::stats::interval::median;

use crate::{
    config_key::{ConfigKey, by_config},
    rounds::{RoundCounts, Rounds},
    speed::Speed,
    trial::Trial,
    verdict::VerdictStatus,
};

/// Share of the baseline's throughput above which the frontend is the bottleneck, with any number
/// of replicas.
const FRONTEND_SHARE: f64 = 0.8;

/// The Pareto front of a sweep, and a recommendation.
#[derive(Clone, Debug, PartialEq)]
pub struct ParetoFront {
    /// Pareto-optimal configurations, by ascending cores: no other is at least as good in GPUs,
    /// cores, rate and p99, and better in one.
    pub configs: Vec<MeasuredConfig>,
    /// Configuration for the target rate; absent without a target or a measured configuration.
    pub recommendation: Option<Recommendation>,
}

/// A measured configuration; figures are medians over the rounds that count.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredConfig {
    /// The configuration.
    pub key: ConfigKey,
    /// Number of cores of replicas and frontend, each counted once. Those of the driver are not
    /// part of a deployment.
    pub cores: usize,
    /// Rate in queries/s: the highest within the objective after a search, else the highest at
    /// which the latency was measured.
    pub qps: f64,
    /// p99 latency at that rate, in milliseconds; absent with too few samples.
    pub p99_ms: Option<f64>,
    /// True if a counted round is SUSPECT.
    pub suspect: bool,
    /// Number of rounds that count, and of those that do not.
    pub rounds: RoundCounts,
    /// Number of cores of the replicas alone.
    replica_cores: usize,
    /// Throughput of the baseline at this configuration, in queries/s, if it was measured.
    baseline_qps: Option<f64>,
}

/// A configuration for a target rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// Target rate in queries/s.
    pub target_qps: f64,
    /// Measured configuration that it is based on.
    pub measured: MeasuredConfig,
    /// Number of replicas: that of the measured configuration, or more.
    pub replicas: usize,
    /// Number of GPUs.
    pub gpus: usize,
    /// Number of cores of replicas and frontend.
    pub cores: usize,
    /// True if this number of replicas was not measured: the rate is assumed to grow with their
    /// number.
    pub extrapolated: bool,
    /// Throughput of the baseline, in queries/s, if it is too low for the target rate.
    pub frontend_limit: Option<f64>,
}

impl ParetoFront {
    /// Finds the Pareto front of a sweep of one model; `results` are without the baseline. INVALID
    /// trials are left out, and so are configurations at which no rate met the objective.
    pub fn of(results: &[Trial], target_qps: Option<f64>) -> ParetoFront {
        let measured = measured_configs(results);
        ParetoFront {
            configs: front(&measured),
            recommendation: target_qps.and_then(|target| recommend(&measured, target)),
        }
    }

    /// Returns lines for people: the recommendation, then the Pareto front.
    pub fn lines(&self) -> Vec<String> {
        let recommendation = self.recommendation.iter().flat_map(Recommendation::lines);
        let front = self.configs.iter();
        let front = front.map(|config| format!("Pareto-optimal: {config}"));
        recommendation.chain(front).collect()
    }
}

/// Returns the configurations with figures.
fn measured_configs(results: &[Trial]) -> Vec<MeasuredConfig> {
    let grouped = by_config(results).into_iter();
    grouped
        .filter_map(|(key, rounds)| MeasuredConfig::of(key, &rounds))
        .collect()
}

impl MeasuredConfig {
    /// Returns `None` if no round counts, or if a counted round has no speed or no rate that met
    /// the objective.
    fn of(key: ConfigKey, rounds: &Rounds<'_>) -> Option<MeasuredConfig> {
        let first = rounds.counted().next()?;
        let speeds: Option<Vec<&Speed>> = rounds.counted().map(Trial::speed).collect();
        let speeds = speeds?;
        let figures: Option<Vec<_>> = speeds.iter().map(|speed| figures(speed)).collect();
        let (rates, p99s): (Vec<f64>, Vec<Option<f64>>) = figures?.into_iter().unzip();
        let p99s: Option<Vec<f64>> = p99s.into_iter().collect();
        let mut cores = first.node_configs.first()?.allocated_cpus.clone();
        let replica_cores = cores.len();
        cores.extend(first.driver.cores_of("frontend").unwrap_or_default());
        cores.sort_unstable();
        cores.dedup();
        let qps = median(&rates)?;
        (qps > 0.0).then(|| MeasuredConfig {
            key,
            cores: cores.len(),
            qps,
            p99_ms: p99s.and_then(|p99s| median(&p99s)),
            suspect: rounds
                .counted()
                .any(|round| round.verdict.status == VerdictStatus::Suspect),
            rounds: rounds.counts(),
            replica_cores,
            baseline_qps: speeds
                .iter()
                .find_map(|speed| Some(speed.baseline.as_ref()?.throughput_qps)),
        })
    }

    /// True if it is at least as good in GPUs, cores, rate and p99, and better in one.
    fn dominates(&self, other: &MeasuredConfig) -> bool {
        let p99 = |config: &MeasuredConfig| config.p99_ms.unwrap_or(f64::INFINITY);
        let no_worse = self.key.gpus <= other.key.gpus
            && self.cores <= other.cores
            && self.qps >= other.qps
            && p99(self) <= p99(other);
        let better = self.key.gpus < other.key.gpus
            || self.cores < other.cores
            || self.qps > other.qps
            || p99(self) < p99(other);
        no_worse && better
    }

    /// Returns the configuration for this rate, with more replicas if the measured number is too
    /// low.
    fn scaled(&self, target_qps: f64) -> Recommendation {
        let measured = self.key.replicas.max(1);
        let needed = (target_qps * measured as f64 / self.qps).ceil() as usize;
        let replicas = needed.max(measured);
        let for_all =
            |count: usize| (count as f64 / measured as f64 * replicas as f64).ceil() as usize;
        Recommendation {
            target_qps,
            replicas,
            gpus: for_all(self.key.gpus),
            cores: self
                .cores
                .saturating_add(for_all(self.replica_cores) - self.replica_cores),
            extrapolated: replicas > measured,
            frontend_limit: self
                .baseline_qps
                .filter(|baseline| target_qps > FRONTEND_SHARE * baseline),
            measured: self.clone(),
        }
    }
}

impl Recommendation {
    /// Describes the recommendation, one line each: what to deploy, and the limit of the frontend
    /// if that is too low.
    pub fn lines(&self) -> Vec<String> {
        let Recommendation {
            target_qps,
            replicas,
            gpus,
            cores,
            measured,
            ..
        } = self;
        let gpus = if *gpus > 0 {
            format!(" and {gpus} GPUs")
        } else {
            String::new()
        };
        let mut lines = vec![match self.extrapolated {
            false => format!("for {target_qps} queries/s take {measured}"),
            true => format!(
                "no measured configuration reaches {target_qps} queries/s; {replicas} replicas with {cores} cores{gpus} in \
                 all would, if the rate grows with the replicas (extrapolated, not measured), from {measured}"
            ),
        }];
        if let Some(limit) = self.frontend_limit {
            lines.push(format!(
                "the frontend reaches {limit:.0} queries/s with the no-op model, so it is the bottleneck at {target_qps} \
                 queries/s; give it more cores, or add a second frontend"
            ));
        }
        lines
    }
}

/// For instance `vgg, 2 replicas x 1 CPU, batch 4, profile: 160.0 queries/s, p99 138.0 ms, 3 cores
/// in all (SUSPECT)`.
impl fmt::Display for MeasuredConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.1} queries/s, ", self.key, self.qps)?;
        match self.p99_ms {
            Some(ms) => write!(f, "p99 {ms:.1} ms, ")?,
            None => write!(f, "too few samples for a p99, ")?,
        }
        let plural = if self.cores == 1 { "" } else { "s" };
        write!(f, "{} core{plural} in all", self.cores)?;
        match self.rounds.to_string() {
            text if text.is_empty() => {}
            text => write!(f, " ({text})")?,
        }
        if self.suspect {
            write!(f, " ({})", VerdictStatus::Suspect)?;
        }
        Ok(())
    }
}

/// Returns rate and p99 of one round; `None` if no rate met the objective.
fn figures(speed: &Speed) -> Option<(f64, Option<f64>)> {
    if let Some(search) = &speed.search {
        return Some((search.highest_qps?, search.p99_ms));
    }
    let phase = speed.latency()?;
    let p99 = phase
        .latency
        .as_ref()
        .and_then(|latency| latency.percentile(0.99));
    Some((phase.throughput.value, p99.map(|p99| p99.ms.value)))
}

fn front(measured: &[MeasuredConfig]) -> Vec<MeasuredConfig> {
    let is_dominated = |one: &&MeasuredConfig| measured.iter().any(|other| other.dominates(one));
    let mut front: Vec<MeasuredConfig> = measured
        .iter()
        .filter(|one| !is_dominated(one))
        .cloned()
        .collect();
    front.sort_by(|one, other| {
        let rates = one.qps.total_cmp(&other.qps);
        one.cores.cmp(&other.cores).then(rates)
    });
    front
}

/// Prefers measured over extrapolated configurations, then the fewest GPUs and cores, then the
/// lowest p99.
fn recommend(measured: &[MeasuredConfig], target_qps: f64) -> Option<Recommendation> {
    let scaled = measured.iter().map(|config| config.scaled(target_qps));
    scaled.min_by(|one, other| {
        let takes = |r: &Recommendation| (r.extrapolated, r.gpus, r.cores);
        let p99 = |r: &Recommendation| r.measured.p99_ms.unwrap_or(f64::INFINITY);
        takes(one)
            .cmp(&takes(other))
            .then(p99(one).total_cmp(&p99(other)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{phase, profiled, speed, whole},
        speed::SearchResult,
        verdict::{Verdict, VerdictReason},
    };
    use proptest::prelude::*;

    /// A trial of this number of replicas with a core each, and one core for the frontend.
    fn trial(replicas: usize, qps: f64, p99_ms: f64) -> Trial {
        let mut result = whole();
        let node = &mut result.node_configs[0];
        node.num_replicas = replicas;
        node.allocated_cpus = (10..10 + replicas).collect();
        let phase = phase(&mut result);
        phase.throughput.value = qps;
        let percentiles = &mut phase.latency.as_mut().unwrap().percentiles;
        percentiles.last_mut().unwrap().ms.value = p99_ms;
        result
    }

    fn judged(mut result: Trial, status: VerdictStatus) -> Trial {
        result.verdict = Verdict::of(vec![VerdictReason {
            status,
            check: String::new(),
            text: String::new(),
        }]);
        result
    }

    fn batch(mut result: Trial, size: usize) -> Trial {
        result.node_configs[0].batch_size = size;
        result
    }

    fn sizes(pareto: &ParetoFront) -> Vec<(usize, usize)> {
        let front = pareto.configs.iter();
        front
            .map(|config| (config.cores, config.key.batch_size))
            .collect()
    }

    #[test]
    fn front_has_no_dominated_configuration() {
        let results = [
            batch(trial(1, 100.0, 20.0), 1),
            batch(trial(1, 150.0, 30.0), 2),
            batch(trial(1, 140.0, 40.0), 4),
            batch(trial(2, 140.0, 25.0), 8),
            batch(trial(3, 140.0, 26.0), 16),
        ];
        let pareto = ParetoFront::of(&results, None);
        assert_eq!(sizes(&pareto), [(2, 1), (2, 2), (3, 8)]);
        assert_eq!(pareto.recommendation, None);
    }

    #[test]
    fn recommends_the_fewest_cores_then_the_lowest_p99() {
        let results = [
            batch(trial(1, 100.0, 20.0), 1),
            batch(trial(2, 190.0, 30.0), 2),
            batch(trial(2, 180.0, 25.0), 4),
            batch(trial(3, 300.0, 10.0), 8),
        ];
        let for_rate = |target| {
            ParetoFront::of(&results, Some(target))
                .recommendation
                .unwrap()
        };
        assert_eq!(for_rate(90.0).measured.key.batch_size, 1);
        let recommended = for_rate(170.0);
        assert_eq!(recommended.measured.key.batch_size, 4);
        assert_eq!((recommended.replicas, recommended.cores), (2, 3));
        assert!(!recommended.extrapolated);
        assert_eq!(for_rate(185.0).measured.key.batch_size, 2);
    }

    #[test]
    fn extrapolates_to_rates_above_the_measured_ones() {
        let results = [
            batch(trial(1, 100.0, 20.0), 1),
            batch(trial(2, 240.0, 30.0), 2),
        ];
        let pareto = ParetoFront::of(&results, Some(1000.0));
        let recommended = pareto.recommendation.as_ref().unwrap();
        // 8.3 replicas of the second configuration, ten of the first.
        assert_eq!((recommended.replicas, recommended.cores), (9, 10));
        assert!(recommended.extrapolated);
        let line = &pareto.lines()[0];
        assert!(
            line.contains("9 replicas with 10 cores in all would"),
            "{line}"
        );
        assert!(line.contains("extrapolated, not measured"), "{line}");
    }

    #[test]
    fn states_that_the_frontend_is_the_bottleneck() {
        let recommended = |target| {
            ParetoFront::of(&[profiled()], Some(target))
                .recommendation
                .unwrap()
        };
        assert_eq!(recommended(7_900.0).frontend_limit, None);
        assert_eq!(recommended(8_100.0).frontend_limit, Some(10_000.0));
        let lines = ParetoFront::of(&[profiled()], Some(8_100.0)).lines();
        assert!(
            lines[1].starts_with("the frontend reaches 10000 queries/s"),
            "{lines:?}"
        );
    }

    #[test]
    fn rate_and_p99_are_of_the_same_phase() {
        let of = |result: &Trial| {
            ParetoFront::of(std::slice::from_ref(result), None)
                .configs
                .pop()
        };
        let mut result = profiled();
        assert_eq!(of(&result).unwrap().qps, 160.0);
        let search = |highest_qps| SearchResult {
            objective_ms: 50.0,
            highest_qps,
            p99_ms: Some(45.0),
            missed_qps: None,
        };
        speed(&mut result).search = Some(search(Some(120.0)));
        let config = of(&result).unwrap();
        assert_eq!((config.qps, config.p99_ms), (120.0, Some(45.0)));
        // Without a rate within the objective there is no configuration.
        speed(&mut result).search = Some(search(None));
        assert_eq!(of(&result), None);
    }

    #[test]
    fn leaves_out_invalid_trials_and_marks_suspect_ones() {
        let results = [
            judged(batch(trial(1, 1e6, 1.0), 1), VerdictStatus::Invalid),
            judged(batch(trial(1, 100.0, 20.0), 2), VerdictStatus::Suspect),
        ];
        let pareto = ParetoFront::of(&results, Some(50.0));
        assert_eq!(sizes(&pareto), [(2, 2)]);
        assert_eq!(
            pareto.lines(),
            [
                "for 50 queries/s take noop, 1 replica x 1 CPU, batch 2, saturate: 100.0 queries/s, p99 20.0 ms, 2 cores in \
                 all (SUSPECT)",
                "Pareto-optimal: noop, 1 replica x 1 CPU, batch 2, saturate: 100.0 queries/s, p99 20.0 ms, 2 cores in all \
                 (SUSPECT)"
            ]
        );
        assert_eq!(ParetoFront::of(&results[..1], Some(50.0)).lines(), [""; 0]);
    }

    #[test]
    fn rounds_are_one_configuration() {
        let pareto = ParetoFront::of(&[trial(1, 100.0, 20.0), trial(1, 110.0, 22.0)], None);
        let [config] = &pareto.configs[..] else {
            panic!("{pareto:?}");
        };
        assert_eq!((config.qps, config.p99_ms), (105.0, Some(21.0)));
    }

    #[test]
    fn one_lucky_round_does_not_decide() {
        let round = |batch_size, qps| batch(trial(1, qps, 20.0), batch_size);
        let results = [
            round(1, 90.0),
            round(1, 500.0),
            round(1, 80.0),
            round(2, 100.0),
            judged(round(2, 1e6), VerdictStatus::Invalid),
            round(2, 102.0),
        ];
        let pareto = ParetoFront::of(&results, Some(95.0));
        assert_eq!(
            pareto.lines()[0],
            "for 95 queries/s take noop, 1 replica x 1 CPU, batch 2, saturate: 101.0 queries/s, p99 20.0 ms, 2 cores in \
             all (median of 2 of 3 rounds, left out: 1 INVALID)"
        );
        // Batch size 1 has a median of 90 queries/s, with equal p99 and cores.
        assert_eq!(pareto.configs.len(), 1, "{pareto:?}");
    }

    proptest! {
        #[test]
        fn dominated_configurations_are_dominated_by_the_front(
            trials in prop::collection::vec((1..5_usize, 1..6_u32, 1..6_u32), 1..20),
        ) {
            let results: Vec<_> = trials
                .iter()
                .enumerate()
                .map(|(index, (replicas, qps, p99))| batch(trial(*replicas, (*qps).into(), (*p99).into()), index + 1))
                .collect();
            let measured = measured_configs(&results);
            let front = front(&measured);
            for one in &measured {
                let on_front = front.contains(one);
                prop_assert_eq!(on_front, !front.iter().any(|other| other.dominates(one)));
            }
        }
    }
}
