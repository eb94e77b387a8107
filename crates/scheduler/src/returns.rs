//! Queries that leave a replica or the queue: cancelled, answered, or returned by a replica that
//! did not answer.

use std::iter;

use slab::Slab;

use crate::{
    Action, AnsweredBatch, BatchId, DefaultReason, Departure, Fingerprint, ModelVersion, Query,
    QueryKey, ReplicaKey, Scheduler, Timestamp, TrackedQuery, VersionState, answer_default,
    replica::{InFlightBatch, ReplicaState},
};

impl<P> Scheduler<P> {
    /// Cancels a query, because its client disconnected: removes it from the queue, or discards its
    /// answer if a replica has it. Returns the query; `None` if it was answered or cancelled
    /// before.
    pub fn cancel(&mut self, key: QueryKey) -> Option<Query<P>> {
        let tracked = self.queries.get_mut(key.0)?;
        let (entry, fingerprint) = (tracked.queue_entry(key), tracked.query.fingerprint);
        let model = tracked.query.model.as_deref();
        let version = model.and_then(|model| self.versions.get_mut(model));
        if let Some(version) = version
            && version.queue.remove(&entry, fingerprint)
        {
            version.bytes -= tracked.query.size;
            return self.queries.remove(key.0).into_unanswered();
        }
        tracked.take_unanswered()
    }

    /// Ends a batch that a replica answered or failed. Returns its unanswered queries, and those
    /// that wait for the same answers. `None` if the replica does not have this batch, for example
    /// because it lost the batch when it hung; a replica that hung gets batches again.
    pub fn on_answered(
        &mut self,
        replica: ReplicaKey,
        batch: BatchId,
        now: Timestamp,
    ) -> Option<AnsweredBatch<P>> {
        let replica = self.replicas.get_mut(replica.0)?;
        replica.hung = false;
        let batch = replica.take_answered(batch, now)?;
        let mut version = self.versions.get_mut(&replica.model);
        let mut answered = AnsweredBatch {
            sent: batch.sent,
            size: batch.queries.len(),
            queries: Vec::with_capacity(batch.queries.len()),
            fingerprints: Vec::new(),
        };
        for (index, key) in batch.queries.into_iter().enumerate() {
            let tracked = self.queries.remove(key.0);
            if let (Some(fingerprint), Some(version)) = (tracked.query.fingerprint, &mut version) {
                answered.fingerprints.push((index, fingerprint));
                let followers = take_followers(version, &mut self.queries, fingerprint);
                let followers = followers
                    .into_iter()
                    .filter_map(TrackedQuery::into_unanswered);
                answered
                    .queries
                    .extend(followers.map(|query| (index, query)));
            }
            let query = tracked.into_unanswered();
            answered.queries.extend(query.map(|query| (index, query)));
        }
        Some(answered)
    }

    /// Requeues the queries of a batch that could not be sent, and of the replica's later batches.
    /// None becomes suspect, because the replica has not seen them.
    pub fn on_send_failed(&mut self, replica: ReplicaKey, batch: BatchId) {
        let Some(replica) = self.replicas.get_mut(replica.0) else {
            return;
        };
        let model = replica.model.clone();
        for batch in replica.take_unsent(batch) {
            self.requeue_batch(&model, batch, false);
        }
    }

    /// Takes the batches from replicas that hang, and requeues their queries.
    pub(crate) fn eject_hung(&mut self, now: Timestamp) {
        let hangs =
            |replica: &ReplicaState| replica.hangs_at(&self.rules).is_some_and(|at| at <= now);
        let hung = self.replicas.iter().filter(|(_, replica)| hangs(replica));
        let hung: Vec<usize> = hung.map(|(key, _)| key).collect();
        for key in hung {
            let replica = &mut self.replicas[key];
            replica.hung = true;
            let model = replica.model.clone();
            let batches = std::mem::take(&mut replica.in_flight);
            for (position, batch) in batches.into_iter().enumerate() {
                let computing = position == 0;
                self.requeue_batch(&model, batch, computing);
            }
            self.actions.push_back(Action::ReplicaHung(ReplicaKey(key)));
        }
    }

    /// Removes a replica, and requeues its queries.
    pub fn on_left(&mut self, replica: ReplicaKey, departure: Departure) {
        let Some(removed) = self.replicas.try_remove(replica.0) else {
            return;
        };
        for (position, batch) in removed.in_flight.into_iter().enumerate() {
            let computing = position == 0;
            let suspect = computing && departure == Departure::Died;
            self.requeue_batch(&removed.model, batch, suspect);
        }
        let Some(version) = self.versions.get_mut(&removed.model) else {
            return;
        };
        version.replicas.retain(|key| *key != replica);
        let unregistered = version.input_type.is_none();
        if unregistered && version.replicas.is_empty() && version.queue.len() == 0 {
            self.versions.remove(&removed.model);
        }
    }

    /// Requeues the queries of a batch. With `suspect`, the batch may have caused its replica's
    /// failure: its queries become suspect, and those that were suspect before get the default
    /// output, with their followers.
    fn requeue_batch(&mut self, model: &ModelVersion, batch: InFlightBatch, suspect: bool) {
        for key in batch.queries {
            let tracked = &mut self.queries[key.0];
            let failed_twice = suspect && tracked.suspect;
            tracked.suspect |= suspect;
            let Some(version) = self.versions.get_mut(model) else {
                let query = self.queries.remove(key.0);
                answer_default(&mut self.actions, query, DefaultReason::NoReplica);
                continue;
            };
            if !failed_twice {
                requeue(version, &mut self.queries, key);
                continue;
            }
            let leader = self.queries.remove(key.0);
            let followers = leader
                .query
                .fingerprint
                .map(|fingerprint| take_followers(version, &mut self.queries, fingerprint));
            for query in iter::once(leader).chain(followers.into_iter().flatten()) {
                answer_default(&mut self.actions, query, DefaultReason::ReplicaDied);
            }
        }
    }
}

/// Requeues a query, or removes it if it was answered or cancelled. In both cases, the first query
/// with its fingerprint becomes the leader.
fn requeue<P>(version: &mut VersionState, queries: &mut Slab<TrackedQuery<P>>, key: QueryKey) {
    let tracked = &queries[key.0];
    let (fingerprint, suspect) = (tracked.query.fingerprint, tracked.suspect);
    if tracked.query.payload.is_some() {
        version.bytes += tracked.query.size;
        version.queue.push(tracked.queue_entry(key), fingerprint);
    } else {
        queries.remove(key.0);
    }
    if let Some(fingerprint) = fingerprint {
        // Followers have the same input.
        for follower in version.queue.followers(fingerprint) {
            queries[follower.key.0].suspect |= suspect;
        }
        version.queue.replace_leader(fingerprint);
    }
}

/// Removes and returns the followers of a query that has ended.
fn take_followers<P>(
    version: &mut VersionState,
    queries: &mut Slab<TrackedQuery<P>>,
    fingerprint: Fingerprint,
) -> Vec<TrackedQuery<P>> {
    let followers = version.queue.take_followers(fingerprint).into_iter();
    let followers: Vec<TrackedQuery<P>> = followers.map(|key| queries.remove(key.0)).collect();
    version.bytes -= followers
        .iter()
        .map(|tracked| tracked.query.size)
        .sum::<usize>();
    followers
}
