//! Which phases a trial has, in which order, and how long each may take. No clock: it is told the time and what the
//! phases have shown.
//!
//! The time of a profile is halved: the first half finds the throughput, the second is split between the latency phases
//! or, with an objective, the rates that the search tries. Waiting for the last answers of a phase takes from those
//! that follow, so that a trial is under load for as long as was asked.

use std::{collections::VecDeque, time::Duration};

use loadgen::{Arrivals, Opening, trace};
use results::{self, Phase, PhaseKind};

use crate::{
    search::Search,
    settings::{Mode, Settings},
};

/// A phase shorter than this shows nothing.
const SHORTEST: Duration = Duration::from_millis(250);

/// The most rates that a search tries, confirming runs included.
const PROBES: usize = 8;

/// A rate is tried for this part of the second half, and confirmed for twice as long: five and three fit in.
const PART: u32 = 12;

const ONE: Arrivals = Arrivals::Closed { in_flight: 1 };

/// A phase that is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is for.
    pub kind: PhaseKind,
    /// How its queries arrive.
    pub arrivals: Arrivals,
    /// How long they are sent, warm-up included.
    pub duration: Duration,
}

/// What is left to do in a trial.
#[derive(Clone, Debug)]
pub struct PhasePlan {
    duration: Duration,
    steps: VecDeque<Step>,
    afterwards: Afterwards,
    /// A phase has been given out. The first one is, however short: a trial has one at least.
    begun: bool,
}

/// What follows once the throughput is known.
#[derive(Clone, Debug)]
enum Afterwards {
    Nothing,
    /// The latency of one query in flight.
    SingleStream,
    /// The latency at these shares of it.
    Shares(Vec<f64>),
    /// A search for the highest rate that meets this objective.
    Objective(Duration),
    /// It has begun.
    Search(Search),
}

impl PhasePlan {
    /// What the settings ask for, with so many queries in flight where it is a closed loop.
    pub fn new(settings: &Settings, in_flight: usize) -> PhasePlan {
        let duration = settings.duration;
        let closed = Arrivals::Closed { in_flight };
        let (kind, arrivals) = match &settings.mode {
            Mode::Profile | Mode::Saturate | Mode::Zero => (PhaseKind::Throughput, closed),
            Mode::SingleStream => (PhaseKind::SingleStream, ONE),
            Mode::Open(arrivals) => (PhaseKind::Latency, arrivals.clone()),
            Mode::Flood(arrivals) => (PhaseKind::Flood, arrivals.clone()),
        };
        let (first, afterwards) = match (&settings.mode, settings.objective) {
            (Mode::Profile, Some(objective)) => (duration / 2, Afterwards::Objective(objective)),
            (Mode::Profile, None) => (
                duration / 2,
                Afterwards::Shares(settings.load_shares.clone()),
            ),
            (Mode::Zero, _) => (duration / 2, Afterwards::SingleStream),
            _ => (duration, Afterwards::Nothing),
        };
        let first = Step {
            kind,
            arrivals,
            duration: first,
        };
        PhasePlan {
            duration,
            steps: VecDeque::from([first]),
            afterwards,
            begun: false,
        }
    }

    /// The next phase, when the trial has been under load for `elapsed`: as long as planned, or an even share of the
    /// time that is left if that is less. `None` at the end.
    pub fn next(&mut self, elapsed: Duration) -> Option<Step> {
        let left = self.duration.saturating_sub(elapsed) / self.steps.len().max(1) as u32;
        let mut step = self.steps.pop_front()?;
        step.duration = step.duration.min(left);
        let worth_it = !self.begun || step.duration >= SHORTEST;
        self.begun = true;
        worth_it.then_some(step)
    }

    /// True if a phase follows, unless time runs out.
    pub fn goes_on(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Takes in what a phase has shown.
    pub fn saw(&mut self, phase: &Phase) {
        let throughput = phase.throughput.value;
        match &mut self.afterwards {
            Afterwards::Search(search) => {
                search.saw(phase);
                self.probe();
            }
            _ if phase.kind != PhaseKind::Throughput || throughput == 0.0 => {}
            Afterwards::Objective(objective) => {
                self.afterwards = Afterwards::Search(Search::new(*objective, throughput, PROBES));
                self.probe();
            }
            Afterwards::Shares(shares) => {
                let duration = self.duration / 2 / shares.len().max(1) as u32;
                let step = |share| Step {
                    kind: PhaseKind::Latency,
                    arrivals: Arrivals::Poisson {
                        rate: share * throughput,
                        share: Some(share),
                    },
                    duration,
                };
                self.steps.extend(shares.drain(..).map(step));
            }
            Afterwards::SingleStream => self.steps.push_back(Step {
                kind: PhaseKind::SingleStream,
                arrivals: ONE,
                duration: self.duration / 2,
            }),
            Afterwards::Nothing => {}
        }
    }

    /// What the search has found, if there was one.
    pub fn search(&self) -> Option<results::Search> {
        match &self.afterwards {
            Afterwards::Search(search) => Some(search.result()),
            _ => None,
        }
    }

    /// The next rate that the search wants to try, if any.
    fn probe(&mut self) {
        let Afterwards::Search(search) = &self.afterwards else {
            return;
        };
        let part = self.duration / 2 / PART;
        self.steps.extend(search.next().map(|probe| {
            let (kind, duration) = match probe.confirm {
                true => (PhaseKind::Confirm, 2 * part),
                false => (PhaseKind::Search, part),
            };
            Step {
                kind,
                arrivals: Arrivals::poisson(probe.rate),
                duration,
            }
        }));
    }
}

impl Step {
    /// When its window opens. A flood has no warm-up, as in the original; a trace is what it is, so its warm-up is a
    /// share of it, whether the rate is steady then or not.
    pub fn opening(&self) -> Opening {
        let warm_up = (self.duration / 10)
            .max(Duration::from_secs(1))
            .min(self.duration / 4);
        match (self.kind, &self.arrivals) {
            (PhaseKind::Flood, _) => Opening::AtOnce,
            (_, Arrivals::Trace { .. }) => Opening::After(trace::warm_up(self.duration)),
            _ => Opening::Steady(warm_up),
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

    /// A phase that has shown this throughput.
    fn shown(step: &Step, throughput: f64) -> Phase {
        let mut phase = fixture::phase(&mut fixture::whole()).clone();
        phase.kind = step.kind;
        phase.throughput.value = throughput;
        phase
    }

    /// Everything that is done if each phase takes its time, waiting for its last answers takes `drain`, and the
    /// throughput is this.
    fn steps(mut plan: PhasePlan, throughput: f64, drain: Duration) -> Vec<Step> {
        let mut elapsed = Duration::ZERO;
        let next = || {
            let step = plan.next(elapsed)?;
            elapsed += step.duration + drain;
            plan.saw(&shown(&step, throughput));
            Some(step)
        };
        std::iter::from_fn(next).collect()
    }

    fn seconds(steps: &[Step]) -> Vec<f64> {
        steps
            .iter()
            .map(|step| step.duration.as_secs_f64())
            .collect()
    }

    #[test]
    fn a_point_has_a_phase_however_short_it_is() {
        for line in ["-d 0.001", "-d 0.3", "-d 0.3 --mode saturate"] {
            let first = plan(line).next(Duration::ZERO);
            assert!(first.is_some(), "{line}");
        }
    }

    #[test]
    fn a_profile_is_the_throughput_in_a_closed_loop_and_then_the_latency_at_shares_of_it() {
        let steps = steps(plan("-d 120 --load_shares 0.5 0.8"), 1000.0, Duration::ZERO);
        assert_eq!(seconds(&steps), [60.0, 30.0, 30.0]);
        assert_eq!(
            steps[0].arrivals,
            Arrivals::Closed {
                in_flight: IN_FLIGHT
            }
        );
        assert_eq!(steps[0].kind, PhaseKind::Throughput);
        for (step, share) in steps[1..].iter().zip([0.5, 0.8]) {
            let rate = 1000.0 * share;
            let share = Some(share);
            assert_eq!(step.arrivals, Arrivals::Poisson { rate, share });
            assert_eq!(step.kind, PhaseKind::Latency);
        }
    }

    #[test]
    fn waiting_for_last_answers_takes_from_the_phases_that_follow_and_not_more_than_there_is() {
        let drained = steps(plan("-d 120"), 5.0, Duration::from_secs(20));
        assert_eq!(seconds(&drained), [60.0, 20.0]);
        let drained = steps(plan("-d 120"), 5.0, Duration::from_secs(10));
        assert_eq!(seconds(&drained), [60.0, 25.0, 15.0]);
        let drained = steps(plan("-d 120"), 5.0, Duration::from_secs(60));
        assert_eq!(seconds(&drained), [60.0]);
    }

    #[test]
    fn with_an_objective_rates_are_tried_and_the_best_one_is_confirmed_within_the_second_half() {
        // The sound phase has a p99 of 138 ms at every rate.
        for (objective, expected) in [(200, PhaseKind::Confirm), (100, PhaseKind::Search)] {
            let mut plan = plan(&format!("-d 120 --slo_ms {objective}"));
            let mut all: Vec<Step> = Vec::new();
            let mut elapsed = Duration::ZERO;
            while let Some(step) = plan.next(elapsed) {
                elapsed += step.duration;
                plan.saw(&shown(&step, 1000.0));
                all.push(step);
            }
            assert_eq!(all[0].kind, PhaseKind::Throughput);
            assert!(
                all[1..]
                    .iter()
                    .all(|step| step.duration >= Duration::from_secs(5))
            );
            assert_eq!(all.last().unwrap().kind, expected);
            assert!(elapsed <= Duration::from_secs(120));
            let found = plan.search().unwrap().highest_qps;
            assert_eq!(found.is_some(), expected == PhaseKind::Confirm);
        }
    }

    #[test]
    fn without_a_throughput_there_is_no_share_of_it_to_try() {
        let steps = steps(plan("-d 10"), 0.0, Duration::ZERO);
        assert_eq!(seconds(&steps), [5.0]);
    }

    #[test]
    fn every_other_mode_is_one_phase_for_all_of_the_time() {
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
                Opening::Steady(minute / 10),
            ),
            (
                "single-stream",
                PhaseKind::SingleStream,
                Closed { in_flight: 1 },
                Opening::Steady(minute / 10),
            ),
            (
                "poisson --rate 7",
                PhaseKind::Latency,
                Poisson { rate, share: None },
                Opening::Steady(minute / 10),
            ),
            (
                "constant --rate 7",
                PhaseKind::Latency,
                Constant { rate },
                Opening::Steady(minute / 10),
            ),
            (
                "flood",
                PhaseKind::Flood,
                Constant { rate: 200.0 },
                Opening::AtOnce,
            ),
        ] {
            let steps = steps(
                plan(&format!("-d 60 --mode {mode}")),
                1000.0,
                Duration::ZERO,
            );
            assert_eq!(steps.len(), 1, "{mode}");
            assert_eq!(
                steps[0],
                Step {
                    kind,
                    arrivals,
                    duration: minute
                },
                "{mode}"
            );
            assert_eq!(steps[0].opening(), opening, "{mode}");
        }
    }

    /// The only step of a trace with a query every half a second.
    fn of_trace(seconds: u32, line: &str) -> Step {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace");
        let times = (0..=2 * seconds).map(|n| format!("{}\n", f64::from(n) / 2.0));
        std::fs::write(&file, times.collect::<String>()).unwrap();
        let line = format!("--mode trace --trace {} {line}", file.display());
        let steps = steps(plan(&line), 1000.0, Duration::ZERO);
        assert_eq!(steps.len(), 1);
        steps[0].clone()
    }

    #[test]
    fn the_warm_up_is_a_tenth_of_the_trace() {
        // A minute and two are more than there is.
        for (seconds, line) in [(11, ""), (15, ""), (15, "-d 60"), (15, "-d 15.001")] {
            let step = of_trace(seconds, line);
            let length = Duration::from_secs(seconds.into()) + Duration::from_millis(1);
            assert_eq!(step.duration, length);
            assert_eq!(step.opening(), Opening::After(length / 10));
            let Arrivals::Trace {
                arrivals, left_out, ..
            } = step.arrivals
            else {
                panic!("{step:?}")
            };
            assert_eq!((arrivals, left_out), (2 * seconds as usize + 1, 0));
        }
    }

    #[test]
    fn a_longer_trace_is_cut_and_the_result_says_so() {
        let step = of_trace(300, "-d 120");
        assert_eq!(step.duration, Duration::from_secs(120));
        assert_eq!(step.opening(), Opening::After(Duration::from_secs(12)));
        let Arrivals::Trace {
            arrivals,
            seconds,
            left_out,
            ..
        } = step.arrivals
        else {
            panic!("{step:?}")
        };
        // The one at 120 s is too late.
        assert_eq!((arrivals, seconds, left_out), (601, 300.001, 361));
    }

    #[test]
    fn the_zero_is_a_throughput_and_then_a_single_stream() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!(
            "driver -m noop -d 4 --results_dir {}",
            folder.path().display()
        );
        let settings = Settings {
            mode: Mode::Zero,
            ..cli::tests::sweep(&line).unwrap()
        };
        let steps = steps(PhasePlan::new(&settings, IN_FLIGHT), 1e5, Duration::ZERO);
        let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, [PhaseKind::Throughput, PhaseKind::SingleStream]);
        assert_eq!(seconds(&steps), [2.0, 2.0]);
        assert_eq!(steps[1].arrivals, ONE);
    }
}
