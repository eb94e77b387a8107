//! A replica: its batches in flight, its speed and its health.

use std::{collections::VecDeque, time::Duration};

use model::DataType;

use crate::{
    BatchId, ModelVersion, NewReplica, QueryKey, ReplicaKey, ReplicaStatus, Rules, Timestamp,
    policy::SizePolicy, service_time::ServiceTime,
};

/// Time before the expected end of the running batch at which the next one is sent ahead, although
/// it is not full. It covers the way to the replica, and is at most a quarter of the batch's time,
/// so that fast models fill their batches.
const LEAD: Duration = Duration::from_millis(1);

/// Time for the answer's way back, on top of the service time; at most a tenth of the batch's time.
const RETURN: Duration = Duration::from_micros(500);

/// Time without an answer after which a replica that is too slow for any query by its estimate gets
/// one all the same, as a multiple of the estimate: the check takes a tenth of its time at most.
const RECHECK: u32 = 10;

/// Minimum of that time.
const RECHECK_FLOOR: Duration = Duration::from_millis(100);

/// A batch that takes this many times its expected time hangs.
const HANGS: u32 = 10;

/// Number of withdrawn batches whose late answers still count for the estimate.
const WITHDRAWN: usize = 8;

#[derive(Debug)]
pub(crate) struct ReplicaState {
    pub(crate) model: ModelVersion,
    pub(crate) input_type: DataType,
    /// Largest batch: declared by the replica, or halved since it ran out of memory.
    pub(crate) max_batch: Option<usize>,
    /// Batches at the replica: the first one is computing, the others wait there.
    pub(crate) in_flight: VecDeque<InFlightBatch>,
    pub(crate) health: Health,
    pub(crate) service: ServiceTime,
    /// Entry of this replica in its version's set of open replicas.
    pub(crate) open: Option<OpenReplica>,
    /// Entry of this replica in the scheduler's set of times to check on.
    pub(crate) check_at: Option<Timestamp>,
    last_sent: Timestamp,
    room: usize,
    policy: SizePolicy,
    /// Time at which the first batch in flight began, as seen from here.
    began: Timestamp,
    withdrawn: VecDeque<Withdrawn>,
    /// Time of the last answer that the estimate was computed from.
    learned_at: Timestamp,
}

/// A batch at a replica.
#[derive(Debug)]
pub(crate) struct InFlightBatch {
    pub(crate) id: BatchId,
    pub(crate) queries: Vec<QueryKey>,
    pub(crate) sent: Timestamp,
    /// Earliest deadline of its queries when it was sent.
    pub(crate) first_deadline: Timestamp,
    /// Earliest deadline of the queries that have not been answered with the default output.
    pub(crate) deadline: Timestamp,
    /// True if the batch was expected to be late, and checks whether the replica is still that
    /// slow.
    pub(crate) recheck: bool,
}

/// A batch that was taken from a replica that hangs.
#[derive(Debug)]
pub(crate) struct Withdrawn {
    id: BatchId,
    size: usize,
    began: Timestamp,
}

/// An open replica: one that can take another batch. The order is that of preference: fewest
/// batches in flight first, then the one that has waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpenReplica {
    in_flight: usize,
    last_sent: Timestamp,
    pub(crate) key: ReplicaKey,
}

/// Health of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It takes batches; the number of batches that failed in a row.
    Serving { failures: u32 },
    /// It takes no batch until it answers.
    Hung,
    /// It takes one query at `probe_at`, and no batch before; `interval` is the time between two
    /// probes.
    Ejected {
        probe_at: Timestamp,
        interval: Duration,
    },
}

/// An estimate of the service time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The mean.
    Expected,
    /// A time within which nearly every batch ends, with its answer's way back.
    Upper,
}

impl ReplicaState {
    pub(crate) fn new(joining: NewReplica, rules: &Rules) -> ReplicaState {
        ReplicaState {
            model: joining.model,
            input_type: joining.input_type,
            max_batch: joining.max_batch,
            in_flight: VecDeque::new(),
            health: Health::Serving { failures: 0 },
            service: ServiceTime::default(),
            open: None,
            check_at: None,
            last_sent: Timestamp::ZERO,
            room: joining.batches_in_flight.max(1),
            policy: SizePolicy::new(rules.adaptive),
            began: Timestamp::ZERO,
            withdrawn: VecDeque::new(),
            learned_at: Timestamp::ZERO,
        }
    }

    /// State for metrics and the admin list.
    pub(crate) fn state(&self) -> ReplicaStatus {
        match self.health {
            Health::Serving { .. } => ReplicaStatus::Serving,
            Health::Hung => ReplicaStatus::Hung,
            Health::Ejected { .. } => ReplicaStatus::Ejected,
        }
    }

    /// Entry in the set of open replicas; `None` if the replica cannot take a batch at `now`.
    pub(crate) fn as_open(&self, key: ReplicaKey, now: Timestamp) -> Option<OpenReplica> {
        let room = match self.health {
            Health::Serving { .. } => self.room,
            Health::Hung => 0,
            Health::Ejected { probe_at, .. } => usize::from(probe_at <= now),
        };
        (self.in_flight.len() < room).then_some(OpenReplica {
            in_flight: self.in_flight.len(),
            last_sent: self.last_sent,
            key,
        })
    }

    /// Time after `now` at which the scheduler must look at this replica, if it does not answer
    /// before.
    pub(crate) fn next_check(&self, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
        let deadlines = self.in_flight.iter().map(|batch| batch.deadline);
        let probe = match self.health {
            Health::Ejected { probe_at, .. } if probe_at > now => Some(probe_at),
            _ => None,
        };
        let deadline = deadlines.min().filter(|at| *at != Timestamp::MAX);
        [deadline, self.hangs_at(rules), probe]
            .into_iter()
            .flatten()
            .min()
    }

    /// Largest batch that the replica may get; `of_version` is the maximum that the model's owner
    /// has set.
    pub(crate) fn max_batch(&self, of_version: Option<usize>) -> usize {
        if matches!(self.health, Health::Ejected { .. }) {
            return 1;
        }
        let max = of_version.unwrap_or_else(|| self.policy.max());
        max.min(self.max_batch.unwrap_or(max)).max(1)
    }

    /// Puts a batch in flight.
    pub(crate) fn send(&mut self, batch: InFlightBatch, now: Timestamp) {
        self.last_sent = now;
        if self.in_flight.is_empty() {
            self.began = now;
        }
        self.in_flight.push_back(batch);
    }

    /// Takes an answered batch out of flight, and learns from its time.
    pub(crate) fn answered(&mut self, id: BatchId, now: Timestamp) -> Option<InFlightBatch> {
        let (batch, took) = self.remove(id, now)?;
        if let Some(took) = took {
            let (size, in_time) = (batch.queries.len(), now <= batch.first_deadline);
            if batch.recheck && in_time {
                // The estimate is wrong: by it, the batch had to be late.
                self.service = ServiceTime::default();
            }
            self.service.learn(size, took);
            self.policy.learn(size, in_time);
            self.learned_at = now;
        }
        Some(batch)
    }

    /// True if the replica is idle, and has answered nothing for so long that its estimate may be
    /// out of date.
    pub(crate) fn recheck_is_due(&self, now: Timestamp) -> bool {
        // The first batch of many models is far slower than the others: it is checked at once.
        let wait = match self.service.expect(1) {
            Some(expected) if self.service.batches() > 1 => {
                expected.saturating_mul(RECHECK).max(RECHECK_FLOOR)
            }
            _ => Duration::ZERO,
        };
        self.in_flight.is_empty() && now >= self.learned_at.saturating_add(wait)
    }

    /// Takes a failed batch out of flight. Its time says nothing about that of batches that
    /// succeed.
    pub(crate) fn failed(&mut self, id: BatchId, now: Timestamp) -> Option<InFlightBatch> {
        Some(self.remove(id, now)?.0)
    }

    /// Takes a batch out of flight; with its service time if it was the one that was computing.
    fn remove(&mut self, id: BatchId, now: Timestamp) -> Option<(InFlightBatch, Option<Duration>)> {
        let position = self.in_flight.iter().position(|batch| batch.id == id)?;
        let batch = self.in_flight.remove(position)?;
        let took = (position == 0).then(|| now.saturating_sub(self.began));
        if position == 0 {
            self.began = now;
        }
        Some((batch, took))
    }

    /// Number of queries in a batch in flight or withdrawn.
    pub(crate) fn batch_size(&self, id: BatchId) -> Option<usize> {
        let in_flight = self.in_flight.iter().find(|batch| batch.id == id);
        let withdrawn = self.withdrawn.iter().find(|batch| batch.id == id);
        let in_flight = in_flight.map(|batch| batch.queries.len());
        in_flight.or_else(|| withdrawn.map(|batch| batch.size))
    }

    /// Learns from the late answer to a batch that may have been withdrawn.
    pub(crate) fn learn_late(&mut self, id: BatchId, now: Timestamp) {
        if let Some(batch) = self.forget_withdrawn(id) {
            let took = now.saturating_sub(batch.began);
            self.service.learn_in_full(batch.size, took);
        }
    }

    /// Removes a batch that was withdrawn, once it is answered.
    pub(crate) fn forget_withdrawn(&mut self, id: BatchId) -> Option<Withdrawn> {
        let position = self.withdrawn.iter().position(|batch| batch.id == id)?;
        self.withdrawn.remove(position)
    }

    /// Takes a batch out of flight that could not be sent, and all after it.
    pub(crate) fn take_unsent(&mut self, id: BatchId) -> VecDeque<InFlightBatch> {
        let position = self.in_flight.iter().position(|batch| batch.id == id);
        let position = position.unwrap_or(self.in_flight.len());
        self.in_flight.split_off(position)
    }

    /// Takes all batches from a replica that hangs.
    pub(crate) fn withdraw(&mut self) -> VecDeque<InFlightBatch> {
        self.health = Health::Hung;
        if let Some(running) = self.in_flight.front() {
            if self.withdrawn.len() == WITHDRAWN {
                self.withdrawn.pop_front();
            }
            self.withdrawn.push_back(Withdrawn {
                id: running.id,
                size: running.queries.len(),
                began: self.began,
            });
        }
        std::mem::take(&mut self.in_flight)
    }

    /// Time at which the running batch counts as hanging; `None` if there is none.
    pub(crate) fn hangs_at(&self, rules: &Rules) -> Option<Timestamp> {
        let running = self.in_flight.front()?;
        let expected = self.service.expect(running.queries.len());
        let patience = expected.map_or(rules.first_batch, |expected| {
            rules.hang_floor.max(expected.saturating_mul(HANGS))
        });
        Some(self.began.saturating_add(patience))
    }

    /// Time at which another batch may be sent ahead that is not full; `None` if that is not known.
    pub(crate) fn ahead_at(&self) -> Option<Timestamp> {
        let running = self.in_flight.front()?;
        let expected = self.service.expect(running.queries.len())?;
        Some(self.began + expected - LEAD.min(expected / 4))
    }

    /// Time at which a batch of `size` queries ends if it is sent now; `None` if nothing is known
    /// of the replica.
    pub(crate) fn finish(&self, size: usize, bound: Bound, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for (position, batch) in self.in_flight.iter().enumerate() {
            let takes = self.time(batch.queries.len(), bound)?;
            at = match position {
                0 if self.began + takes > now => self.began + takes,
                // A running batch that is late already is taken to need a little longer still.
                0 => now + now.saturating_sub(self.began) / 8,
                _ => at + takes,
            };
        }
        let takes = self.time(size, bound)?;
        let back = match bound {
            Bound::Expected => Duration::ZERO,
            Bound::Upper => RETURN.min(takes / 10),
        };
        Some(at.saturating_add(takes).saturating_add(back))
    }

    /// Service time of a batch of `size` queries.
    pub(crate) fn time(&self, size: usize, bound: Bound) -> Option<Duration> {
        match bound {
            Bound::Expected => self.service.expect(size),
            Bound::Upper => self.service.upper(size),
        }
    }
}
