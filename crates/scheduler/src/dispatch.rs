//! The work of one moment: answering expired queries, ejecting replicas that hang, forming and
//! assigning batches.

use slab::Slab;

use crate::{
    Action, DefaultReason, OutgoingBatch, QueryKey, ReplicaKey, Rules, Scheduler, Timestamp,
    TrackedQuery, VersionState, answer_default,
    replica::{InFlightBatch, ReplicaState},
};

impl<P> Scheduler<P> {
    /// Answers every query whose deadline has passed with the default output, takes the batches
    /// from replicas that hang, then assigns batches to replicas. [`Scheduler::next_action`]
    /// returns the resulting actions.
    pub fn dispatch(&mut self, now: Timestamp) {
        self.answer_expired(now);
        self.eject_hung(now);
        for version in self.versions.values_mut() {
            while let Some((key, max)) =
                next_replica(version, &self.replicas, &self.queries, &self.rules, now)
            {
                let keys = take_batch(version, &self.queries, max);
                let queries = || keys.iter().map(|key| &self.queries[key.0].query);
                let deadlines = queries().map(|query| query.deadline);
                let objectives =
                    queries().map(|query| query.deadline.saturating_sub(query.arrived));
                let deadline = deadlines.min().expect("the batch is not empty");
                let objective = objectives.min().expect("the batch is not empty");
                let id = self.next_batch;
                self.next_batch = id.wrapping_add(1);
                let batch = InFlightBatch {
                    id,
                    queries: keys.clone(),
                    sent: now,
                    deadline,
                    objective,
                };
                self.replicas[key.0].push_batch(batch, now);
                self.actions.push_back(Action::SendBatch(OutgoingBatch {
                    replica: key,
                    batch: id,
                    queries: keys,
                    deadline,
                }));
            }
        }
    }

    /// Returns the next time at which [`Scheduler::dispatch`] has work, if no event comes before: a
    /// deadline, the end of a batch delay, the time to send a batch ahead, or the time at which a
    /// replica counts as hung.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let versions = || self.versions.values();
        let replicas = || self.replicas.iter().map(|(_, replica)| replica);
        let queued = versions().filter_map(|version| version.queue.earliest_deadline());
        let assignable = versions().flat_map(|version| {
            let delay_end = delay_end(version, &self.queries, &self.rules);
            let replicas = version.replicas.iter().map(|key| &self.replicas[key.0]);
            replicas.filter_map(move |replica| {
                let delay_end = delay_end?;
                let idle = replica.has_room() && replica.in_flight.is_empty();
                let ready = if idle {
                    Some(Timestamp::ZERO)
                } else {
                    replica.send_ahead_at()
                };
                Some(ready?.max(delay_end))
            })
        });
        let hung = replicas().filter_map(|replica| replica.hangs_at(&self.rules));
        let at_replicas = replicas()
            .flat_map(|replica| &replica.in_flight)
            .map(|batch| batch.deadline)
            .filter(|deadline| *deadline != Timestamp::MAX);
        queued
            .chain(assignable)
            .chain(at_replicas)
            .chain(hung)
            .min()
    }

    /// Answers every query whose deadline has passed with the default output, in the queues and at
    /// the replicas.
    fn answer_expired(&mut self, now: Timestamp) {
        for version in self.versions.values_mut() {
            while let Some((entry, reason)) = version.queue.expired(now) {
                let query = self.queries.remove(entry.key.0);
                version.queue.remove(&entry, query.query.fingerprint);
                version.bytes -= query.query.size;
                answer_default(&mut self.actions, query, reason);
            }
        }
        for (_, replica) in &mut self.replicas {
            for batch in &mut replica.in_flight {
                if batch.deadline > now {
                    continue;
                }
                let mut next = Timestamp::MAX;
                for key in &batch.queries {
                    let tracked = &mut self.queries[key.0];
                    if tracked.query.deadline > now {
                        next = next.min(tracked.query.deadline);
                    } else if let Some(query) = tracked.take_unanswered() {
                        let reason = DefaultReason::TimedOutAtReplica;
                        self.actions.push_back(Action::AnswerDefault(query, reason));
                    }
                }
                batch.deadline = next;
            }
        }
    }
}

/// Removes the first queries from the queue, at most `max`. A suspect query is a batch of its own.
fn take_batch<P>(
    version: &mut VersionState,
    queries: &Slab<TrackedQuery<P>>,
    max: usize,
) -> Vec<QueryKey> {
    let mut batch = Vec::with_capacity(max.min(version.queue.ready_len()));
    while batch.len() < max
        && let Some(first) = version.queue.first()
    {
        let tracked = &queries[first.key.0];
        if tracked.suspect && !batch.is_empty() {
            break;
        }
        batch.push(first.key);
        version.bytes -= tracked.query.size;
        version.queue.pop();
        if tracked.suspect {
            break;
        }
    }
    batch
}

/// Returns the replica for the next batch, and the maximum number of queries in it. An idle replica
/// comes first, then a busy one that may get a batch ahead; among equals, the one whose last batch
/// was sent longest ago.
fn next_replica<P>(
    version: &VersionState,
    replicas: &Slab<ReplicaState>,
    queries: &Slab<TrackedQuery<P>>,
    rules: &Rules,
    now: Timestamp,
) -> Option<(ReplicaKey, usize)> {
    let ready = version.queue.ready_len();
    let time_left = version.queue.first()?.deadline.saturating_sub(now);
    let delayed = delay_end(version, queries, rules).is_some_and(|end| end > now);
    let may_get_batch = |replica: &ReplicaState| {
        let full = ready >= replica.max_batch(version.max_batch, time_left);
        let due = || replica.send_ahead_at().is_some_and(|at| at <= now);
        full || !delayed && (replica.in_flight.is_empty() || due())
    };
    version
        .replicas
        .iter()
        .map(|key| (*key, &replicas[key.0]))
        .filter(|(_, replica)| replica.has_room())
        .filter(|(_, replica)| may_get_batch(replica))
        .min_by_key(|(_, replica)| (replica.in_flight.len(), replica.last_sent))
        .map(|(key, replica)| (key, replica.max_batch(version.max_batch, time_left)))
}

/// Returns the end of the batch delay of the queue's first query; `None` if no query is to be
/// computed.
fn delay_end<P>(
    version: &VersionState,
    queries: &Slab<TrackedQuery<P>>,
    rules: &Rules,
) -> Option<Timestamp> {
    let first = version.queue.first()?;
    let arrived = queries[first.key.0].query.arrived;
    Some(arrived.saturating_add(rules.batch_delay))
}
