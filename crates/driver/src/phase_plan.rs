//! The phases of a trial: their order and durations. A state machine without a clock: it takes the elapsed time and
//! the measured phases.
//!
//! The first half of a profile measures the throughput. The second half is split between the latency phases or, with
//! an objective, the rates of the search. The drain of a phase shortens the phases that follow, so that a trial is
//! under load for its duration.

use std::{collections::VecDeque, time::Duration};

use loadgen::{Arrivals, WindowOpening, trace};
use results::{self, Phase, PhaseKind};

use crate::{
    search::SloSearch,
    settings::{Mode, Settings},
};

/// Minimum duration of a phase, except the first.
const MIN_PHASE: Duration = Duration::from_millis(250);

/// Maximum number of probes of a search, confirming runs included.
const PROBES: usize = 8;

/// Divisor from the second half to the duration of a probe. A confirming run takes twice as long, so five probes and
/// three confirming runs fit in.
const PROBE_DIVISOR: u32 = 12;

const ONE: Arrivals = Arrivals::Closed { in_flight: 1 };

/// A phase to run.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseSpec {
    /// Purpose of the phase.
    pub kind: PhaseKind,
    /// Arrival process of its queries.
    pub arrivals: Arrivals,
    /// Time during which queries are sent, warm-up included.
    pub duration: Duration,
}

/// The remaining phases of a trial.
#[derive(Clone, Debug)]
pub struct PhasePlan {
    duration: Duration,
    phases: VecDeque<PhaseSpec>,
    follow_up: FollowUp,
    /// True once a phase was returned. The first phase has no minimum duration: a trial has at least one phase.
    begun: bool,
}

/// The phases after the throughput phase.
#[derive(Clone, Debug)]
enum FollowUp {
    None,
    /// Latency with one query in flight.
    SingleStream,
    /// Latency at these shares of the throughput.
    Shares(Vec<f64>),
    /// A search for the highest rate that meets this objective.
    Objective(Duration),
    /// A search that has begun.
    Search(SloSearch),
}

impl PhasePlan {
    /// Returns the phases of the settings' mode, with `in_flight` queries in flight in a closed loop.
    pub fn new(settings: &Settings, in_flight: usize) -> PhasePlan {
        let duration = settings.duration;
        let closed = Arrivals::Closed { in_flight };
        let (kind, arrivals) = match &settings.mode {
            Mode::Profile | Mode::Saturate | Mode::Baseline => (PhaseKind::Throughput, closed),
            Mode::SingleStream => (PhaseKind::SingleStream, ONE),
            Mode::Open(arrivals) => (PhaseKind::Latency, arrivals.clone()),
            Mode::Flood(arrivals) => (PhaseKind::Flood, arrivals.clone()),
        };
        let (first, follow_up) = match (&settings.mode, settings.objective) {
            (Mode::Profile, Some(objective)) => (duration / 2, FollowUp::Objective(objective)),
            (Mode::Profile, None) => (duration / 2, FollowUp::Shares(settings.load_shares.clone())),
            (Mode::Baseline, _) => (duration / 2, FollowUp::SingleStream),
            _ => (duration, FollowUp::None),
        };
        let first = PhaseSpec {
            kind,
            arrivals,
            duration: first,
        };
        PhasePlan {
            duration,
            phases: VecDeque::from([first]),
            follow_up,
            begun: false,
        }
    }

    /// Returns the next phase of a trial that has been under load for `elapsed`; `None` at the end. The phase takes
    /// its planned duration, or an even share of the remaining time if that is less.
    pub fn next(&mut self, elapsed: Duration) -> Option<PhaseSpec> {
        let share = self.duration.saturating_sub(elapsed) / self.phases.len().max(1) as u32;
        let mut phase = self.phases.pop_front()?;
        phase.duration = phase.duration.min(share);
        let long_enough = !self.begun || phase.duration >= MIN_PHASE;
        self.begun = true;
        long_enough.then_some(phase)
    }

    /// True if a phase follows, provided there is time for it.
    pub fn has_next(&self) -> bool {
        !self.phases.is_empty()
    }

    /// Records a measured phase and plans the phases that depend on it.
    pub fn record(&mut self, phase: &Phase) {
        let throughput = phase.throughput.value;
        match &mut self.follow_up {
            FollowUp::Search(search) => {
                search.record(phase);
                self.plan_probe();
            }
            _ if phase.kind != PhaseKind::Throughput || throughput == 0.0 => {}
            FollowUp::Objective(objective) => {
                let search = SloSearch::new(*objective, throughput, PROBES);
                self.follow_up = FollowUp::Search(search);
                self.plan_probe();
            }
            FollowUp::Shares(shares) => {
                let duration = self.duration / 2 / shares.len().max(1) as u32;
                let phase = |share| PhaseSpec {
                    kind: PhaseKind::Latency,
                    arrivals: Arrivals::Poisson {
                        rate: share * throughput,
                        share: Some(share),
                    },
                    duration,
                };
                self.phases.extend(shares.drain(..).map(phase));
            }
            FollowUp::SingleStream => self.phases.push_back(PhaseSpec {
                kind: PhaseKind::SingleStream,
                arrivals: ONE,
                duration: self.duration / 2,
            }),
            FollowUp::None => {}
        }
    }

    /// Returns the outcome of the search, if there was one.
    pub fn search(&self) -> Option<results::SearchResult> {
        match &self.follow_up {
            FollowUp::Search(search) => Some(search.result()),
            _ => None,
        }
    }

    /// Plans the next probe of the search, if any.
    fn plan_probe(&mut self) {
        let FollowUp::Search(search) = &self.follow_up else {
            return;
        };
        let probe_duration = self.duration / 2 / PROBE_DIVISOR;
        self.phases.extend(search.next().map(|probe| {
            let (kind, duration) = match probe.confirm {
                true => (PhaseKind::Confirm, 2 * probe_duration),
                false => (PhaseKind::Search, probe_duration),
            };
            PhaseSpec {
                kind,
                arrivals: Arrivals::poisson(probe.rate),
                duration,
            }
        }));
    }
}

impl PhaseSpec {
    /// Returns the condition that opens the measurement window. A flood has no warm-up, as in the original driver.
    /// The warm-up of a trace is a share of it, because its rate need not become steady.
    pub fn opening(&self) -> WindowOpening {
        let warm_up = (self.duration / 10)
            .max(Duration::from_secs(1))
            .min(self.duration / 4);
        match (self.kind, &self.arrivals) {
            (PhaseKind::Flood, _) => WindowOpening::Immediate,
            (_, Arrivals::Trace { .. }) => WindowOpening::After(trace::warm_up(self.duration)),
            _ => WindowOpening::Steady(warm_up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use results::fixture;

    const IN_FLIGHT: usize = 12;

    fn plan(line: &str) -> PhasePlan {
        let folder = tempfile::tempdir().unwrap();
        let line = format!(
            "driver -m noop {line} --results_dir {}",
            folder.path().display()
        );
        PhasePlan::new(&cli::tests::sweep(&line).unwrap(), IN_FLIGHT)
    }

    /// A measured phase with this throughput.
    fn measured(spec: &PhaseSpec, throughput: f64) -> Phase {
        let mut phase = fixture::phase(&mut fixture::whole()).clone();
        phase.kind = spec.kind;
        phase.throughput.value = throughput;
        phase
    }

    /// All phases of a trial, if each takes its duration and `drain` and has this throughput.
    fn phases(mut plan: PhasePlan, throughput: f64, drain: Duration) -> Vec<PhaseSpec> {
        let mut elapsed = Duration::ZERO;
        let next = || {
            let phase = plan.next(elapsed)?;
            elapsed += phase.duration + drain;
            plan.record(&measured(&phase, throughput));
            Some(phase)
        };
        std::iter::from_fn(next).collect()
    }

    fn seconds(phases: &[PhaseSpec]) -> Vec<f64> {
        phases
            .iter()
            .map(|phase| phase.duration.as_secs_f64())
            .collect()
    }

    #[test]
    fn short_trials_have_a_phase() {
        for line in ["-d 0.001", "-d 0.3", "-d 0.3 --mode saturate"] {
            let first = plan(line).next(Duration::ZERO);
            assert!(first.is_some(), "{line}");
        }
    }

    #[test]
    fn a_profile_measures_throughput_then_latency_at_shares() {
        let phases = phases(plan("-d 120 --load_shares 0.5 0.8"), 1000.0, Duration::ZERO);
        assert_eq!(seconds(&phases), [60.0, 30.0, 30.0]);
        assert_eq!(
            phases[0].arrivals,
            Arrivals::Closed {
                in_flight: IN_FLIGHT
            }
        );
        assert_eq!(phases[0].kind, PhaseKind::Throughput);
        for (phase, share) in phases[1..].iter().zip([0.5, 0.8]) {
            let rate = 1000.0 * share;
            let share = Some(share);
            assert_eq!(phase.arrivals, Arrivals::Poisson { rate, share });
            assert_eq!(phase.kind, PhaseKind::Latency);
        }
    }

    #[test]
    fn drains_shorten_the_phases_that_follow() {
        let drained = phases(plan("-d 120"), 5.0, Duration::from_secs(20));
        assert_eq!(seconds(&drained), [60.0, 20.0]);
        let drained = phases(plan("-d 120"), 5.0, Duration::from_secs(10));
        assert_eq!(seconds(&drained), [60.0, 25.0, 15.0]);
        let drained = phases(plan("-d 120"), 5.0, Duration::from_secs(60));
        assert_eq!(seconds(&drained), [60.0]);
    }

    #[test]
    fn an_objective_is_searched_and_confirmed_in_the_second_half() {
        // The fixture has a p99 of 138 ms at every rate.
        for (objective, expected) in [(200, PhaseKind::Confirm), (100, PhaseKind::Search)] {
            let mut plan = plan(&format!("-d 120 --slo_ms {objective}"));
            let mut all: Vec<PhaseSpec> = Vec::new();
            let mut elapsed = Duration::ZERO;
            while let Some(phase) = plan.next(elapsed) {
                elapsed += phase.duration;
                plan.record(&measured(&phase, 1000.0));
                all.push(phase);
            }
            assert_eq!(all[0].kind, PhaseKind::Throughput);
            assert!(
                all[1..]
                    .iter()
                    .all(|phase| phase.duration >= Duration::from_secs(5))
            );
            assert_eq!(all.last().unwrap().kind, expected);
            assert!(elapsed <= Duration::from_secs(120));
            let found = plan.search().unwrap().highest_qps;
            assert_eq!(found.is_some(), expected == PhaseKind::Confirm);
        }
    }

    #[test]
    fn a_throughput_of_zero_ends_the_trial() {
        let phases = phases(plan("-d 10"), 0.0, Duration::ZERO);
        assert_eq!(seconds(&phases), [5.0]);
    }

    #[test]
    fn every_other_mode_is_one_phase() {
        use Arrivals::{Closed, Constant, Poisson};
        let minute = Duration::from_secs(60);
        let rate = 7.0;
        for (mode, kind, arrivals, opening) in [
            (
                "saturate",
                PhaseKind::Throughput,
                Closed {
                    in_flight: IN_FLIGHT,
                },
                WindowOpening::Steady(minute / 10),
            ),
            (
                "single-stream",
                PhaseKind::SingleStream,
                Closed { in_flight: 1 },
                WindowOpening::Steady(minute / 10),
            ),
            (
                "poisson --rate 7",
                PhaseKind::Latency,
                Poisson { rate, share: None },
                WindowOpening::Steady(minute / 10),
            ),
            (
                "constant --rate 7",
                PhaseKind::Latency,
                Constant { rate },
                WindowOpening::Steady(minute / 10),
            ),
            (
                "flood",
                PhaseKind::Flood,
                Constant { rate: 200.0 },
                WindowOpening::Immediate,
            ),
        ] {
            let phases = phases(
                plan(&format!("-d 60 --mode {mode}")),
                1000.0,
                Duration::ZERO,
            );
            assert_eq!(phases.len(), 1, "{mode}");
            assert_eq!(
                phases[0],
                PhaseSpec {
                    kind,
                    arrivals,
                    duration: minute
                },
                "{mode}"
            );
            assert_eq!(phases[0].opening(), opening, "{mode}");
        }
    }

    /// The only phase of a trace with two queries per second.
    fn of_trace(seconds: u32, line: &str) -> PhaseSpec {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace");
        let times = (0..=2 * seconds).map(|n| format!("{}\n", f64::from(n) / 2.0));
        std::fs::write(&file, times.collect::<String>()).unwrap();
        let line = format!("--mode trace --trace {} {line}", file.display());
        let phases = phases(plan(&line), 1000.0, Duration::ZERO);
        assert_eq!(phases.len(), 1);
        phases[0].clone()
    }

    #[test]
    fn the_warm_up_is_a_tenth_of_the_trace() {
        // Durations of 60 s and 120 s exceed the trace.
        for (seconds, line) in [(11, ""), (15, ""), (15, "-d 60"), (15, "-d 15.001")] {
            let phase = of_trace(seconds, line);
            let length = Duration::from_secs(seconds.into()) + Duration::from_millis(1);
            assert_eq!(phase.duration, length);
            assert_eq!(phase.opening(), WindowOpening::After(length / 10));
            let Arrivals::Trace {
                arrivals, left_out, ..
            } = phase.arrivals
            else {
                panic!("{phase:?}")
            };
            assert_eq!((arrivals, left_out), (2 * seconds as usize + 1, 0));
        }
    }

    #[test]
    fn a_longer_trace_is_cut_and_counted() {
        let phase = of_trace(300, "-d 120");
        assert_eq!(phase.duration, Duration::from_secs(120));
        assert_eq!(
            phase.opening(),
            WindowOpening::After(Duration::from_secs(12))
        );
        let Arrivals::Trace {
            arrivals,
            seconds,
            left_out,
            ..
        } = phase.arrivals
        else {
            panic!("{phase:?}")
        };
        // The arrival at 120 s is beyond the end.
        assert_eq!((arrivals, seconds, left_out), (601, 300.001, 361));
    }

    #[test]
    fn the_baseline_is_a_throughput_and_then_a_single_stream() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!(
            "driver -m noop -d 4 --results_dir {}",
            folder.path().display()
        );
        let settings = Settings {
            mode: Mode::Baseline,
            ..cli::tests::sweep(&line).unwrap()
        };
        let phases = phases(PhasePlan::new(&settings, IN_FLIGHT), 1e5, Duration::ZERO);
        let kinds: Vec<_> = phases.iter().map(|phase| phase.kind).collect();
        assert_eq!(kinds, [PhaseKind::Throughput, PhaseKind::SingleStream]);
        assert_eq!(seconds(&phases), [2.0, 2.0]);
        assert_eq!(phases[1].arrivals, ONE);
    }
}
