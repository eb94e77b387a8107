//! Which configuration to take: the points of a sweep that no other point beats, and the smallest one for a stated
//! rate.

use std::fmt;

use loadgen::stats::interval::median;

use crate::{
    config_key::{ConfigKey, by_config},
    rounds::{RoundCounts, Rounds},
    speed::Speed,
    trial::Trial,
    verdict::Status,
};

/// Above this share of what the no-op model reaches, the frontend is the limit, whatever the number of replicas.
const FRONTEND: f64 = 0.8;

/// What a sweep recommends.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The configurations that no other one beats in cores, rate and p99 at once, by rising cores.
    pub front: Vec<MeasuredConfig>,
    /// What to take for the rate that was asked for; absent if none was, or nothing can be told.
    pub recommended: Option<Recommendation>,
}

/// A configuration as measured: over several rounds, the median of those that count.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredConfig {
    /// What it is.
    pub key: ConfigKey,
    /// The cores of its replicas and of the frontend, each counted once. The driver's are not part of a deployment.
    pub cores: usize,
    /// Queries a second: the highest rate that meets the objective where one was looked for, else the highest at which
    /// the latency was measured.
    pub qps: f64,
    /// The p99 at that rate, in milliseconds; absent if it cannot be stated.
    pub p99_ms: Option<f64>,
    /// True if a round that counts is SUSPECT.
    pub suspect: bool,
    /// How many rounds count, and how many do not.
    pub rounds: RoundCounts,
    /// Cores of the replicas alone.
    replica_cores: usize,
    /// What the no-op model reaches at this configuration, if it was measured.
    zero_qps: Option<f64>,
}

/// A configuration for a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// The rate that was asked for, in queries a second.
    pub target_qps: f64,
    /// The measured configuration that it rests on.
    pub measured: MeasuredConfig,
    /// Replicas to take: those of the measured configuration, or more.
    pub replicas: usize,
    /// GPUs that they take.
    pub gpus: usize,
    /// Cores that they and the frontend take.
    pub cores: usize,
    /// True if so many replicas were not measured: a rate that grows with their number is assumed.
    pub extrapolated: bool,
    /// What the frontend carries with the no-op model, in queries a second, if that is too little for the rate.
    pub frontend_limit: Option<f64>,
}

impl Choice {
    /// Reads the results of a sweep of one model, without those of the no-op model beside it. INVALID ones are no
    /// configurations, nor are those where no rate met the objective.
    pub fn of(results: &[Trial], target_qps: Option<f64>) -> Choice {
        let candidates = candidates(results);
        Choice {
            front: front(&candidates),
            recommended: target_qps.and_then(|target| recommend(&candidates, target)),
        }
    }

    /// For people: the recommendation first, then the front, one line each; empty if there is nothing to tell.
    pub fn lines(&self) -> Vec<String> {
        let recommended = self.recommended.iter().flat_map(Recommendation::lines);
        let front = self
            .front
            .iter()
            .map(|candidate| format!("not beaten: {candidate}"));
        recommended.chain(front).collect()
    }
}

/// One per configuration.
fn candidates(results: &[Trial]) -> Vec<MeasuredConfig> {
    let points = by_config(results).into_iter();
    points
        .filter_map(|(key, rounds)| MeasuredConfig::of(key, &rounds))
        .collect()
}

impl MeasuredConfig {
    /// `None` if no round counts, or one that does has no speed, or none that meets the objective.
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
                .any(|round| round.verdict.status == Status::Suspect),
            rounds: rounds.counts(),
            replica_cores,
            zero_qps: speeds
                .iter()
                .find_map(|speed| Some(speed.zero.as_ref()?.throughput_qps)),
        })
    }

    /// True if it takes no more, gives no less, and is better in something.
    fn beats(&self, other: &MeasuredConfig) -> bool {
        let p99 = |candidate: &MeasuredConfig| candidate.p99_ms.unwrap_or(f64::INFINITY);
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

    /// As it is, or with more replicas like these, for this rate.
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
            frontend_limit: self.zero_qps.filter(|zero| target_qps > FRONTEND * zero),
            measured: self.clone(),
        }
    }
}

impl Recommendation {
    fn lines(&self) -> Vec<String> {
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
                "for {target_qps} queries/s no point is enough; {replicas} replicas would be, with {cores} cores{gpus} in \
                 all, if the rate grows with them, which was not measured, from {measured}"
            ),
        }];
        if let Some(limit) = self.frontend_limit {
            lines.push(format!(
                "the frontend carries {limit:.0} queries/s with the no-op model, so it is the limit at {target_qps} \
                 queries/s: give it more cores, or take a second frontend"
            ));
        }
        lines
    }
}

/// For instance `vgg, 2 replicas x 1 CPU, batch 4, profile: 160.0 queries/s, p99 138.0 ms, 3 cores in all (SUSPECT)`.
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
            write!(f, " ({})", Status::Suspect)?;
        }
        Ok(())
    }
}

/// The rate and the p99 of one round; `None` if no rate met the objective.
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

fn front(candidates: &[MeasuredConfig]) -> Vec<MeasuredConfig> {
    let is_beaten = |one: &&MeasuredConfig| candidates.iter().any(|other| other.beats(one));
    let mut front: Vec<MeasuredConfig> = candidates
        .iter()
        .filter(|one| !is_beaten(one))
        .cloned()
        .collect();
    front.sort_by(|one, other| {
        let rates = one.qps.total_cmp(&other.qps);
        one.cores.cmp(&other.cores).then(rates)
    });
    front
}

/// What was measured before what is extrapolated; then the fewest GPUs and cores, then the lowest p99.
fn recommend(candidates: &[MeasuredConfig], target_qps: f64) -> Option<Recommendation> {
    let scaled = candidates
        .iter()
        .map(|candidate| candidate.scaled(target_qps));
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
        speed::Search,
        verdict::{Reason, Verdict},
    };
    use proptest::prelude::*;

    /// So many replicas with a core each, and one core for the frontend.
    fn point(replicas: usize, qps: f64, p99_ms: f64) -> Trial {
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

    fn judged(mut result: Trial, status: Status) -> Trial {
        result.verdict = Verdict::of(vec![Reason {
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

    fn sizes(choice: &Choice) -> Vec<(usize, usize)> {
        let front = choice.front.iter();
        front
            .map(|candidate| (candidate.cores, candidate.key.batch_size))
            .collect()
    }

    #[test]
    fn a_point_that_another_beats_in_all_is_not_on_the_front() {
        let results = [
            batch(point(1, 100.0, 20.0), 1),
            batch(point(1, 150.0, 30.0), 2),
            batch(point(1, 140.0, 40.0), 4),
            batch(point(2, 140.0, 25.0), 8),
            batch(point(3, 140.0, 26.0), 16),
        ];
        let choice = Choice::of(&results, None);
        assert_eq!(sizes(&choice), [(2, 1), (2, 2), (3, 8)]);
        assert_eq!(choice.recommended, None);
    }

    #[test]
    fn the_recommendation_takes_the_fewest_cores_and_then_the_lowest_p99() {
        let results = [
            batch(point(1, 100.0, 20.0), 1),
            batch(point(2, 190.0, 30.0), 2),
            batch(point(2, 180.0, 25.0), 4),
            batch(point(3, 300.0, 10.0), 8),
        ];
        let for_rate = |target| Choice::of(&results, Some(target)).recommended.unwrap();
        assert_eq!(for_rate(90.0).measured.key.batch_size, 1);
        let recommended = for_rate(170.0);
        assert_eq!(recommended.measured.key.batch_size, 4);
        assert_eq!((recommended.replicas, recommended.cores), (2, 3));
        assert!(!recommended.extrapolated);
        assert_eq!(for_rate(185.0).measured.key.batch_size, 2);
    }

    #[test]
    fn a_rate_that_no_point_reaches_is_extrapolated_by_replicas_and_said_to_be() {
        let results = [
            batch(point(1, 100.0, 20.0), 1),
            batch(point(2, 240.0, 30.0), 2),
        ];
        let choice = Choice::of(&results, Some(1000.0));
        let recommended = choice.recommended.as_ref().unwrap();
        // 8.3 replicas of the second kind, ten of the first.
        assert_eq!((recommended.replicas, recommended.cores), (9, 10));
        assert!(recommended.extrapolated);
        let line = &choice.lines()[0];
        assert!(
            line.contains("9 replicas would be, with 10 cores in all"),
            "{line}"
        );
        assert!(line.contains("which was not measured"), "{line}");
    }

    #[test]
    fn a_frontend_that_cannot_carry_the_rate_is_said_to_be_the_limit() {
        let recommended = |target| Choice::of(&[profiled()], Some(target)).recommended.unwrap();
        assert_eq!(recommended(7_900.0).frontend_limit, None);
        assert_eq!(recommended(8_100.0).frontend_limit, Some(10_000.0));
        let lines = Choice::of(&[profiled()], Some(8_100.0)).lines();
        assert!(
            lines[1].starts_with("the frontend carries 10000 queries/s"),
            "{lines:?}"
        );
    }

    #[test]
    fn the_rate_is_the_one_that_the_p99_was_measured_at() {
        let of = |result: &Trial| Choice::of(std::slice::from_ref(result), None).front.pop();
        let mut result = profiled();
        assert_eq!(of(&result).unwrap().qps, 160.0);
        let search = |highest_qps| Search {
            objective_ms: 50.0,
            highest_qps,
            p99_ms: Some(45.0),
            missed_qps: None,
        };
        speed(&mut result).search = Some(search(Some(120.0)));
        let candidate = of(&result).unwrap();
        assert_eq!((candidate.qps, candidate.p99_ms), (120.0, Some(45.0)));
        // No rate within the objective: no configuration.
        speed(&mut result).search = Some(search(None));
        assert_eq!(of(&result), None);
    }

    #[test]
    fn invalid_points_are_left_out_and_suspect_ones_marked() {
        let results = [
            judged(batch(point(1, 1e6, 1.0), 1), Status::Invalid),
            judged(batch(point(1, 100.0, 20.0), 2), Status::Suspect),
        ];
        let choice = Choice::of(&results, Some(50.0));
        assert_eq!(sizes(&choice), [(2, 2)]);
        assert_eq!(
            choice.lines(),
            [
                "for 50 queries/s take noop, 1 replica x 1 CPU, batch 2, saturate: 100.0 queries/s, p99 20.0 ms, 2 cores in \
                 all (SUSPECT)",
                "not beaten: noop, 1 replica x 1 CPU, batch 2, saturate: 100.0 queries/s, p99 20.0 ms, 2 cores in all \
                 (SUSPECT)"
            ]
        );
        assert_eq!(Choice::of(&results[..1], Some(50.0)).lines(), [""; 0]);
    }

    #[test]
    fn rounds_of_one_point_are_one_configuration() {
        let choice = Choice::of(&[point(1, 100.0, 20.0), point(1, 110.0, 22.0)], None);
        let [candidate] = &choice.front[..] else {
            panic!("{choice:?}");
        };
        assert_eq!((candidate.qps, candidate.p99_ms), (105.0, Some(21.0)));
    }

    #[test]
    fn the_lucky_round_does_not_choose_the_configuration() {
        let round = |batch_size, qps| batch(point(1, qps, 20.0), batch_size);
        let results = [
            round(1, 90.0),
            round(1, 500.0),
            round(1, 80.0),
            round(2, 100.0),
            judged(round(2, 1e6), Status::Invalid),
            round(2, 102.0),
        ];
        let choice = Choice::of(&results, Some(95.0));
        assert_eq!(
            choice.lines()[0],
            "for 95 queries/s take noop, 1 replica x 1 CPU, batch 2, saturate: 101.0 queries/s, p99 20.0 ms, 2 cores in \
             all (median of 2 of 3 rounds, left out: 1 INVALID)"
        );
        // Batch size 1 has 90 in the median, as soon and with as many cores.
        assert_eq!(choice.front.len(), 1, "{choice:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_not_on_the_front_is_beaten_by_something_on_it(
            points in prop::collection::vec((1..5_usize, 1..6_u32, 1..6_u32), 1..20),
        ) {
            let results: Vec<_> = points
                .iter()
                .enumerate()
                .map(|(index, (replicas, qps, p99))| batch(point(*replicas, (*qps).into(), (*p99).into()), index + 1))
                .collect();
            let candidates = candidates(&results);
            let front = front(&candidates);
            for one in &candidates {
                let on_front = front.contains(one);
                prop_assert_eq!(on_front, !front.iter().any(|other| other.beats(one)));
            }
        }
    }
}
