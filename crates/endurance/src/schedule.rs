//! Which fault when: drawn from a seed, before anything starts.

use std::time::Duration;

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::weather::Fault;

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Kill a replica.
    KillReplica(usize),
    /// Start it again.
    StartReplica(usize),
    /// Stop a replica.
    StopReplica(usize),
    /// Let it go on.
    ContinueReplica(usize),
    /// Kill the frontend.
    KillFrontend,
    /// Start it again.
    StartFrontend,
    /// So many clients come, ask, and go before they are answered.
    Vanish(usize),
}

/// Something to do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the beginning.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// A fault, with its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What is wrong.
    pub fault: Fault,
    /// From when, since the beginning.
    pub begins: Duration,
    /// Until when.
    pub ends: Duration,
}

/// All faults of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What to do, in the order of time.
    pub events: Vec<Event>,
    /// What is wrong when.
    pub spans: Vec<Span>,
}

/// A fault is felt for so long after it has been mended: a replica must register, and queues be worked off.
const AFTERMATH: Duration = Duration::from_secs(2);

/// The mean time from the end of a replica's fault to its next.
const REPLICA_GAP: f64 = 40.0;

/// The same for the frontend, and for clients.
const FRONTEND_GAP: f64 = 30.0;
const CLIENTS_GAP: f64 = 8.0;

/// Seconds until the first of each, at most.
const FIRST: f64 = 15.0;

/// A slowed replica is stopped for the first part of each period.
const PERIOD: Duration = Duration::from_millis(100);
const STOPPED: Duration = Duration::from_millis(80);

impl Schedule {
    /// Faults of `replicas` replicas, the frontend and clients within `time`, all mended at its end. Faults of
    /// different processes overlap, those of one do not. In the first 15 s each process has one.
    pub fn new(seed: u64, time: Duration, replicas: usize) -> Schedule {
        let mut draw = Draw {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            time,
            kinds: Vec::new(),
        };
        let mut schedule = Schedule::default();
        // When each replica is next to have a fault; the earliest comes first, so that the kinds are mixed over time.
        let mut next: Vec<Duration> = (0..replicas).map(|_| draw.seconds(1.0, FIRST)).collect();
        while let Some((replica, begins)) = earliest(&next, time) {
            next[replica] = draw.replica(replica, begins, &mut schedule) + draw.gap(REPLICA_GAP);
        }
        let mut at = draw.seconds(1.0, FIRST);
        while at < time {
            at = draw.frontend(at, &mut schedule) + draw.gap(FRONTEND_GAP);
        }
        let mut at = draw.seconds(1.0, FIRST);
        while at < time {
            let clients = draw.random.random_range(1..=8);
            schedule.push(at, Action::Vanish(clients));
            schedule.span(Fault::VanishedClients, at, at);
            at += draw.gap(CLIENTS_GAP);
        }
        schedule.events.sort_by_key(|event| event.at);
        schedule
    }

    /// How many faults of a kind there are.
    pub fn count(&self, fault: Fault) -> usize {
        self.spans.iter().filter(|span| span.fault == fault).count()
    }

    /// What is wrong at a time.
    pub fn at(&self, at: Duration) -> impl Iterator<Item = Fault> {
        let spans = self.spans.iter();
        spans
            .filter(move |span| span.begins <= at && at < span.ends)
            .map(|span| span.fault)
    }

    fn push(&mut self, at: Duration, action: Action) {
        self.events.push(Event { at, action });
    }

    fn span(&mut self, fault: Fault, begins: Duration, ends: Duration) {
        let ends = ends + AFTERMATH;
        self.spans.push(Span {
            fault,
            begins,
            ends,
        });
    }
}

struct Draw {
    random: Xoshiro256PlusPlus,
    time: Duration,
    /// Those that come next: all are used before one comes again.
    kinds: Vec<Fault>,
}

impl Draw {
    /// Half a second at least, so much in the mean.
    fn gap(&mut self, mean: f64) -> Duration {
        let uniform: f64 = self.random.random_range(f64::EPSILON..1.0);
        Duration::from_secs_f64(0.5 - (mean - 0.5) * uniform.ln())
    }

    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(self.random.random_range(from..to))
    }

    /// A fault of a replica. Answers when it ends.
    fn replica(&mut self, replica: usize, begins: Duration, schedule: &mut Schedule) -> Duration {
        let fault = self.kind();
        let lasts = match fault {
            Fault::KilledReplica => self.seconds(0.0, 4.0),
            // Some so short that nobody notices, some so long that the frontend gives it up, or takes it to hang.
            Fault::StoppedReplica if self.random.random_bool(0.4) => self.seconds(6.0, 15.0),
            Fault::StoppedReplica => self.seconds(0.05, 3.0),
            _ => self.seconds(3.0, 8.0),
        };
        let ends = (begins + lasts).min(self.time);
        match fault {
            Fault::KilledReplica => {
                schedule.push(begins, Action::KillReplica(replica));
                schedule.push(ends, Action::StartReplica(replica));
            }
            Fault::StoppedReplica => {
                schedule.push(begins, Action::StopReplica(replica));
                schedule.push(ends, Action::ContinueReplica(replica));
            }
            _ => {
                let mut at = begins;
                while at < ends {
                    schedule.push(at, Action::StopReplica(replica));
                    schedule.push((at + STOPPED).min(ends), Action::ContinueReplica(replica));
                    at += PERIOD;
                }
            }
        }
        schedule.span(fault, begins, ends);
        ends
    }

    /// The frontend dies, for a third of the times twice: it is killed again while it starts. Answers when it is up
    /// again.
    fn frontend(&mut self, begins: Duration, schedule: &mut Schedule) -> Duration {
        let mut at = begins;
        for _ in 0..if self.random.random_bool(0.33) { 2 } else { 1 } {
            schedule.push(at, Action::KillFrontend);
            at = (at + self.seconds(0.0, 2.0)).min(self.time);
            schedule.push(at, Action::StartFrontend);
            at = (at + self.seconds(0.0, 0.3)).min(self.time);
        }
        schedule.span(Fault::KilledFrontend, begins, at);
        at
    }

    fn kind(&mut self) -> Fault {
        if self.kinds.is_empty() {
            self.kinds = vec![
                Fault::KilledReplica,
                Fault::StoppedReplica,
                Fault::SlowedReplica,
            ];
            self.kinds.shuffle(&mut self.random);
        }
        self.kinds.pop().unwrap_or(Fault::KilledReplica)
    }
}

fn earliest(next: &[Duration], before: Duration) -> Option<(usize, Duration)> {
    let next = next.iter().copied().enumerate();
    next.filter(|(_, at)| *at < before)
        .min_by_key(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(600);

    #[test]
    fn a_seed_repeats_and_another_differs() {
        assert_eq!(Schedule::new(1, TIME, 6), Schedule::new(1, TIME, 6));
        assert_ne!(Schedule::new(1, TIME, 6), Schedule::new(2, TIME, 6));
    }

    #[test]
    fn whatever_the_seed_a_minute_has_each_kind_and_leaves_nothing_broken() {
        for seed in 0..200 {
            let time = Duration::from_secs(60);
            let schedule = Schedule::new(seed, time, 6);
            for fault in Fault::ALL {
                assert!(
                    schedule.count(fault) > 0,
                    "seed {seed} has no {}",
                    fault.name()
                );
            }
            let (mut running, mut going, mut frontend) = ([true; 6], [true; 6], true);
            for event in &schedule.events {
                assert!(event.at <= time, "{event:?}");
                match event.action {
                    Action::KillReplica(replica) => {
                        assert!(running[replica] && going[replica], "{event:?}");
                        running[replica] = false;
                    }
                    Action::StartReplica(replica) => running[replica] = true,
                    Action::StopReplica(replica) => {
                        assert!(running[replica], "{event:?}");
                        going[replica] = false;
                    }
                    Action::ContinueReplica(replica) => going[replica] = true,
                    Action::KillFrontend => {
                        assert!(frontend, "{event:?}");
                        frontend = false;
                    }
                    Action::StartFrontend => frontend = true,
                    Action::Vanish(clients) => assert!(clients > 0),
                }
            }
            assert!(
                frontend && running == [true; 6] && going == [true; 6],
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_fault_is_felt_from_its_beginning_until_after_its_end() {
        let schedule = Schedule::new(1, TIME, 6);
        let span = schedule.spans[0];
        assert!(schedule.at(span.begins).any(|fault| fault == span.fault));
        assert!(
            schedule
                .at(span.ends - AFTERMATH)
                .any(|fault| fault == span.fault)
        );
        assert_eq!(schedule.at(2 * TIME).count(), 0);
    }
}
