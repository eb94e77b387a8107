//! The scheduler's view of a replica: its batches in flight and its speed.

use std::{collections::BTreeMap, collections::VecDeque, time::Duration};

use model::DataType;

use crate::{
    BatchId, ModelVersion, NewReplica, QueryKey, Rules, Timestamp,
    policy::{BatchSample, SizePolicy},
};

/// Time before the expected end of the running batch at which the next one is sent although it is
/// not full. It covers the way to the replica, and is limited to a quarter of the batch's time, so
/// that fast models get full batches.
const SEND_AHEAD: Duration = Duration::from_millis(1);

/// A replica hangs if a batch takes this many times as long as its longest batch before.
const HANG_FACTOR: u32 = 10;

#[derive(Debug)]
pub(crate) struct ReplicaState {
    pub(crate) model: ModelVersion,
    pub(crate) input_type: DataType,
    /// The replica's own limit on the queries in a batch.
    max_batch: Option<usize>,
    /// The replica computes the first batch; the others wait there.
    pub(crate) in_flight: VecDeque<InFlightBatch>,
    /// Time at which the last batch was sent.
    pub(crate) last_sent: Timestamp,
    max_in_flight: usize,
    /// True while the replica hangs: it gets no batches until it answers.
    pub(crate) hung: bool,
    policy: SizePolicy,
    /// Time of the longest batch so far.
    longest: Option<Duration>,
    /// Estimated start of the first batch in flight: when it was sent, or when the batch before it
    /// was answered.
    started: Timestamp,
    batch_times: BatchTimes,
}

/// A batch at a replica.
#[derive(Debug)]
pub(crate) struct InFlightBatch {
    pub(crate) id: BatchId,
    pub(crate) queries: Vec<QueryKey>,
    pub(crate) sent: Timestamp,
    /// Earliest deadline among the queries that did not get the default output.
    pub(crate) deadline: Timestamp,
    /// Shortest latency objective among the queries.
    pub(crate) objective: Duration,
}

impl ReplicaState {
    pub(crate) fn new(replica: NewReplica, rules: &Rules) -> ReplicaState {
        ReplicaState {
            model: replica.model,
            input_type: replica.input_type,
            max_batch: replica.max_batch,
            in_flight: VecDeque::new(),
            last_sent: Timestamp::ZERO,
            max_in_flight: replica.batches_in_flight.max(1),
            hung: false,
            policy: SizePolicy::new(rules.adaptive),
            longest: None,
            started: Timestamp::ZERO,
            batch_times: BatchTimes::default(),
        }
    }

    /// Returns true if the replica can take one more batch.
    pub(crate) fn has_room(&self) -> bool {
        !self.hung && self.in_flight.len() < self.max_in_flight
    }

    /// Returns the maximum number of queries in the next batch. `of_version` is the registered
    /// maximum of the model version, `time_left` the time until the first query's deadline.
    pub(crate) fn max_batch(&self, of_version: Option<usize>, time_left: Duration) -> usize {
        let max = of_version.unwrap_or_else(|| self.policy.max(time_left));
        max.min(self.max_batch.unwrap_or(max)).max(1)
    }

    /// Adds a batch that is sent now.
    pub(crate) fn push_batch(&mut self, batch: InFlightBatch, now: Timestamp) {
        self.in_flight.push_back(batch);
        self.last_sent = now;
        if self.in_flight.len() == 1 {
            self.started = now;
        }
    }

    /// Removes a batch that was answered, and records how long it took.
    pub(crate) fn take_answered(&mut self, id: BatchId, now: Timestamp) -> Option<InFlightBatch> {
        let position = self.in_flight.iter().position(|batch| batch.id == id)?;
        let batch = self.in_flight.remove(position)?;
        self.hung = false;
        // A batch that was answered out of turn says nothing about the time it took.
        if position == 0 {
            let (size, took) = (batch.queries.len(), now.saturating_sub(self.started));
            self.batch_times.record(size, took);
            self.longest = self.longest.max(Some(took));
            self.policy.record(BatchSample {
                size,
                took,
                objective: batch.objective,
            });
            self.started = now;
        }
        Some(batch)
    }

    /// Removes a batch that could not be sent, and all later ones.
    pub(crate) fn take_unsent(&mut self, id: BatchId) -> VecDeque<InFlightBatch> {
        let position = self.in_flight.iter().position(|batch| batch.id == id);
        let position = position.unwrap_or(self.in_flight.len());
        self.in_flight.split_off(position)
    }

    /// Returns the time from which the running batch counts as hung; `None` without a batch.
    pub(crate) fn hangs_at(&self, rules: &Rules) -> Option<Timestamp> {
        self.in_flight.front()?;
        let limit = self.longest.map_or(rules.first_batch, |longest| {
            rules.hang_floor.max(longest.saturating_mul(HANG_FACTOR))
        });
        Some(self.started.saturating_add(limit))
    }

    /// Returns the time from which a further batch may be sent although it is not full; `None` if
    /// the replica has no room or no batch, or if the time of the running batch cannot be
    /// estimated.
    pub(crate) fn send_ahead_at(&self) -> Option<Timestamp> {
        let running = self.in_flight.front()?;
        if !self.has_room() {
            return None;
        }
        let expected = self.batch_times.expected(running.queries.len())?;
        Some(self.started + expected - SEND_AHEAD.min(expected / 4))
    }
}

/// Moving average of the time that a batch takes, by its number of queries.
#[derive(Debug, Default)]
struct BatchTimes(BTreeMap<usize, Duration>);

impl BatchTimes {
    /// Adds a sample with a weight of one eighth: smooth, and follows a change within a few
    /// batches.
    fn record(&mut self, size: usize, took: Duration) {
        self.0
            .entry(size)
            .and_modify(|mean| *mean = (*mean * 7 + took) / 8)
            .or_insert(took);
    }

    /// Returns the average for a size; `None` before the first batch of this size.
    fn expected(&self, size: usize) -> Option<Duration> {
        self.0.get(&size).copied()
    }
}
