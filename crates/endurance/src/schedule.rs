//! The schedule of faults, generated from a seed before the run.

use std::time::Duration;

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::active_faults::Fault;

/// A step of a fault: its injection or its repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// Kill a replica.
    KillReplica(usize),
    /// Restart a replica.
    StartReplica(usize),
    /// Stop a replica.
    StopReplica(usize),
    /// Continue a stopped replica.
    ContinueReplica(usize),
    /// Kill the frontend.
    KillFrontend,
    /// Restart the frontend.
    StartFrontend,
    /// Connect this many clients, which send queries and disconnect before the answers arrive.
    DisconnectClients(usize),
}

/// A scheduled action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultEvent {
    /// Time since the start.
    pub at: Duration,
    /// Action to take.
    pub action: FaultAction,
}

/// The time in which a fault is active, including its after-effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPeriod {
    /// Kind of the fault.
    pub fault: Fault,
    /// Start of the fault, since the start of the run.
    pub start: Duration,
    /// End of the after-effects.
    pub end: Duration,
}

/// All faults of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultSchedule {
    /// Actions, ordered by time.
    pub events: Vec<FaultEvent>,
    /// Periods of all faults.
    pub periods: Vec<FaultPeriod>,
}

/// Duration of a fault's after-effects: a replica must register, and queues must drain.
const AFTER_EFFECTS: Duration = Duration::from_secs(2);

/// Mean time between the faults of a replica, in seconds.
const REPLICA_GAP: f64 = 40.0;

/// Mean time between the faults of the frontend, in seconds.
const FRONTEND_GAP: f64 = 30.0;

/// Mean time between disconnections of clients, in seconds.
const CLIENTS_GAP: f64 = 8.0;

/// Maximum time until the first fault of each, in seconds.
const FIRST_FAULT: f64 = 15.0;

/// Period of a slowed replica's stops.
const SLOW_PERIOD: Duration = Duration::from_millis(100);

/// Time of each period for which a slowed replica is stopped.
const SLOW_STOPPED: Duration = Duration::from_millis(80);

impl FaultSchedule {
    /// Generates faults of `replicas` replicas, the frontend and clients within `time`, all repaired at its
    /// end. Faults of different processes may overlap, those of one process do not. Each process has its
    /// first fault within 15 s.
    pub fn new(seed: u64, time: Duration, replicas: usize) -> FaultSchedule {
        let mut generator = FaultGenerator {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            time,
            kinds: Vec::new(),
        };
        let mut schedule = FaultSchedule::default();
        // Start of each replica's next fault. The earliest is generated first, so that kinds mix over time.
        let mut next: Vec<Duration> = (0..replicas)
            .map(|_| generator.seconds(1.0, FIRST_FAULT))
            .collect();
        while let Some((replica, start)) = earliest(&next, time) {
            next[replica] =
                generator.replica_fault(replica, start, &mut schedule) + generator.gap(REPLICA_GAP);
        }
        let mut at = generator.seconds(1.0, FIRST_FAULT);
        while at < time {
            at = generator.frontend_fault(at, &mut schedule) + generator.gap(FRONTEND_GAP);
        }
        let mut at = generator.seconds(1.0, FIRST_FAULT);
        while at < time {
            let clients = generator.random.random_range(1..=8);
            schedule.push(at, FaultAction::DisconnectClients(clients));
            schedule.push_period(Fault::DisconnectedClients, at, at);
            at += generator.gap(CLIENTS_GAP);
        }
        schedule.events.sort_by_key(|event| event.at);
        schedule
    }

    /// Number of faults of a kind.
    pub fn count(&self, fault: Fault) -> usize {
        let periods = self.periods.iter();
        periods.filter(|period| period.fault == fault).count()
    }

    /// Returns the faults that are active at a time.
    pub fn active_at(&self, at: Duration) -> impl Iterator<Item = Fault> {
        let periods = self.periods.iter();
        periods
            .filter(move |period| period.start <= at && at < period.end)
            .map(|period| period.fault)
    }

    fn push(&mut self, at: Duration, action: FaultAction) {
        self.events.push(FaultEvent { at, action });
    }

    fn push_period(&mut self, fault: Fault, start: Duration, end: Duration) {
        self.periods.push(FaultPeriod {
            fault,
            start,
            end: end + AFTER_EFFECTS,
        });
    }
}

/// Generates random faults.
struct FaultGenerator {
    random: Xoshiro256PlusPlus,
    /// Duration of the run.
    time: Duration,
    /// Remaining kinds of replica faults; refilled when empty, so that all occur equally often.
    kinds: Vec<Fault>,
}

impl FaultGenerator {
    /// Returns a random gap of at least 0.5 s, with this mean in seconds.
    fn gap(&mut self, mean: f64) -> Duration {
        let uniform: f64 = self.random.random_range(f64::EPSILON..1.0);
        Duration::from_secs_f64(0.5 - (mean - 0.5) * uniform.ln())
    }

    /// Returns a uniformly random duration between two limits in seconds.
    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(self.random.random_range(from..to))
    }

    /// Adds a fault of a replica, and returns its end.
    fn replica_fault(
        &mut self,
        replica: usize,
        start: Duration,
        schedule: &mut FaultSchedule,
    ) -> Duration {
        let fault = self.next_kind();
        let duration = match fault {
            Fault::KilledReplica => self.seconds(0.0, 4.0),
            // Short stops go unnoticed; after long ones the frontend ejects the replica or considers it hung.
            Fault::StoppedReplica if self.random.random_bool(0.4) => self.seconds(6.0, 15.0),
            Fault::StoppedReplica => self.seconds(0.05, 3.0),
            _ => self.seconds(3.0, 8.0),
        };
        let end = (start + duration).min(self.time);
        match fault {
            Fault::KilledReplica => {
                schedule.push(start, FaultAction::KillReplica(replica));
                schedule.push(end, FaultAction::StartReplica(replica));
            }
            Fault::StoppedReplica => {
                schedule.push(start, FaultAction::StopReplica(replica));
                schedule.push(end, FaultAction::ContinueReplica(replica));
            }
            _ => {
                let mut at = start;
                while at < end {
                    schedule.push(at, FaultAction::StopReplica(replica));
                    schedule.push(
                        (at + SLOW_STOPPED).min(end),
                        FaultAction::ContinueReplica(replica),
                    );
                    at += SLOW_PERIOD;
                }
            }
        }
        schedule.push_period(fault, start, end);
        end
    }

    /// Adds a kill of the frontend, with probability 1/3 a second one during its restart. Returns the end of
    /// the fault.
    fn frontend_fault(&mut self, start: Duration, schedule: &mut FaultSchedule) -> Duration {
        let mut at = start;
        for _ in 0..if self.random.random_bool(0.33) { 2 } else { 1 } {
            schedule.push(at, FaultAction::KillFrontend);
            at = (at + self.seconds(0.0, 2.0)).min(self.time);
            schedule.push(at, FaultAction::StartFrontend);
            at = (at + self.seconds(0.0, 0.3)).min(self.time);
        }
        schedule.push_period(Fault::KilledFrontend, start, at);
        at
    }

    /// Returns the kind of the next replica fault.
    fn next_kind(&mut self) -> Fault {
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

/// Returns index and time of the earliest entry that is before `before`.
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
    fn a_seed_determines_the_schedule() {
        assert_eq!(
            FaultSchedule::new(1, TIME, 6),
            FaultSchedule::new(1, TIME, 6)
        );
        assert_ne!(
            FaultSchedule::new(1, TIME, 6),
            FaultSchedule::new(2, TIME, 6)
        );
    }

    #[test]
    fn a_minute_has_every_fault_and_repairs_all() {
        for seed in 0..200 {
            let time = Duration::from_secs(60);
            let schedule = FaultSchedule::new(seed, time, 6);
            for fault in Fault::ALL {
                assert!(
                    schedule.count(fault) > 0,
                    "seed {seed} has no {}",
                    fault.name()
                );
            }
            let (mut running, mut continued, mut frontend) = ([true; 6], [true; 6], true);
            for event in &schedule.events {
                assert!(event.at <= time, "{event:?}");
                match event.action {
                    FaultAction::KillReplica(replica) => {
                        assert!(running[replica] && continued[replica], "{event:?}");
                        running[replica] = false;
                    }
                    FaultAction::StartReplica(replica) => running[replica] = true,
                    FaultAction::StopReplica(replica) => {
                        assert!(running[replica], "{event:?}");
                        continued[replica] = false;
                    }
                    FaultAction::ContinueReplica(replica) => continued[replica] = true,
                    FaultAction::KillFrontend => {
                        assert!(frontend, "{event:?}");
                        frontend = false;
                    }
                    FaultAction::StartFrontend => frontend = true,
                    FaultAction::DisconnectClients(clients) => assert!(clients > 0),
                }
            }
            assert!(
                frontend && running == [true; 6] && continued == [true; 6],
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_fault_is_active_until_after_its_repair() {
        let schedule = FaultSchedule::new(1, TIME, 6);
        let period = schedule.periods[0];
        let is_active = |at| schedule.active_at(at).any(|fault| fault == period.fault);
        assert!(is_active(period.start));
        assert!(is_active(period.end - AFTER_EFFECTS));
        assert_eq!(schedule.active_at(2 * TIME).count(), 0);
    }
}
