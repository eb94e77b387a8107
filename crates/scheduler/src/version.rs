//! A model version: its queue, and the replicas that pull from it.

use std::{collections::BTreeSet, time::Duration};

use model::DataType;
use slab::Slab;

use crate::{
    QueueLoad, ReplicaKey, ReplicaStatus, Rules, Timestamp,
    queue::Queue,
    replica::{Bound, Health, OpenReplica, ReplicaState},
};

#[derive(Debug, Default)]
pub(crate) struct VersionState {
    /// Largest batch, if the model's owner has set one.
    pub(crate) max_batch: Option<usize>,
    pub(crate) input_type: Option<DataType>,
    pub(crate) queue: Queue,
    /// Bytes of the inputs in the queue.
    pub(crate) bytes: usize,
    pub(crate) replicas: Vec<ReplicaKey>,
    /// Replicas that can take another batch.
    pub(crate) open: BTreeSet<OpenReplica>,
    pub(crate) objectives: ShortestObjective,
    /// A query with more time left than this can wait for a replica.
    pub(crate) horizon: Duration,
    /// Time of the next dispatch, if nothing happens before; as of the last dispatch.
    pub(crate) wake_at: Option<Timestamp>,
    /// Queries that all replicas compute in a second; kept up to date only for a limit on it.
    total_rate: f64,
    /// Time of the next update of `total_rate`.
    next_rate: Timestamp,
}

/// Time for which the rate of all replicas is not computed again: it costs a step per replica.
const RATE_KEPT: Duration = Duration::from_millis(10);

impl VersionState {
    /// The type that the version takes, if it is not `input_type`.
    pub(crate) fn mismatched_type(
        &self,
        input_type: DataType,
        replicas: &Slab<ReplicaState>,
    ) -> Option<DataType> {
        if let Some(takes) = self.input_type {
            // Replicas of another type are refused, so all of them take this one.
            return (takes != input_type).then_some(takes);
        }
        let mut takes = self.replicas.iter().map(|key| replicas[key.0].input_type);
        takes.find(|takes| *takes != input_type)
    }

    /// True if the queue has no room for an input of `size` bytes.
    pub(crate) fn is_full(&self, size: usize, rules: &Rules) -> bool {
        self.queue.len() >= rules.max_queries
            || self.bytes.saturating_add(size) > rules.max_bytes
            || rules.max_backlog.is_some_and(|max| self.backlog() > max)
    }

    /// Returns the queue depth and the number of replicas.
    pub(crate) fn load(&self, replicas: &Slab<ReplicaState>) -> QueueLoad {
        let states = self.replicas.iter().map(|key| replicas[key.0].state());
        QueueLoad {
            queries: self.queue.len(),
            bytes: self.bytes,
            replicas: self.replicas.len(),
            ejected: states
                .filter(|state| *state == ReplicaStatus::Ejected)
                .count(),
        }
    }

    /// Time in which the replicas compute the queries in the queue; zero while it is not known.
    fn backlog(&self) -> Duration {
        match self.total_rate > 0.0 {
            true => Duration::from_secs_f64(self.queue.ready_len() as f64 / self.total_rate),
            false => Duration::ZERO,
        }
    }

    /// Updates the rate of all replicas together, at most once in [`RATE_KEPT`].
    pub(crate) fn update_total_rate(&mut self, replicas: &Slab<ReplicaState>, now: Timestamp) {
        if now < self.next_rate {
            return;
        }
        self.next_rate = now + RATE_KEPT;
        let serving = self.serving(replicas);
        let rates = serving.filter_map(|(_, replica)| self.rate(replica));
        self.total_rate = rates.sum();
    }

    /// Queries that a replica computes in a second in full batches.
    pub(crate) fn rate(&self, replica: &ReplicaState) -> Option<f64> {
        let size = replica.max_batch(self.max_batch);
        let seconds = replica.time(size, Bound::Expected)?.as_secs_f64();
        Some(size as f64 / seconds.max(1e-9))
    }

    /// Replicas that neither hang nor are ejected.
    pub(crate) fn serving<'a>(
        &'a self,
        replicas: &'a Slab<ReplicaState>,
    ) -> impl Iterator<Item = (ReplicaKey, &'a ReplicaState)> {
        let all = self.replicas.iter().map(|key| (*key, &replicas[key.0]));
        all.filter(|(_, replica)| matches!(replica.health, Health::Serving { .. }))
    }
}

/// Shortest latency objective among the queries of the last one to two seconds.
#[derive(Debug)]
pub(crate) struct ShortestObjective {
    since: Timestamp,
    current: Duration,
    previous: Duration,
}

/// Time after which an objective that no query has any more is forgotten, once or twice.
const OBJECTIVE_KEPT: Duration = Duration::from_secs(1);

impl Default for ShortestObjective {
    fn default() -> ShortestObjective {
        ShortestObjective {
            since: Timestamp::ZERO,
            current: Duration::MAX,
            previous: Duration::MAX,
        }
    }
}

impl ShortestObjective {
    pub(crate) fn add(&mut self, objective: Duration, now: Timestamp) {
        if now.saturating_sub(self.since) > OBJECTIVE_KEPT {
            self.since = now;
            self.previous = std::mem::replace(&mut self.current, Duration::MAX);
        }
        self.current = self.current.min(objective);
    }

    pub(crate) fn get(&self) -> Duration {
        self.current.min(self.previous)
    }
}
