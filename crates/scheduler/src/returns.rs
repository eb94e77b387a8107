//! Queries that come back: taken back by their clients, answered, or handed back by replicas.

use std::iter;

use slab::Slab;

use crate::{
    Action, AnsweredBatch, BatchId, DefaultReason, Departure, Fingerprint, ModelVersion, Query,
    QueryKey, ReplicaCheck, ReplicaKey, Scheduler, Timestamp, TrackedQuery, answer_default,
    replica::{Health, InFlightBatch},
    version::VersionState,
};

impl<P> Scheduler<P> {
    /// Takes a query back that is no longer wanted: it leaves the queue, or the answer of the
    /// replica that has it is dropped. `None` if it has ended already.
    pub fn cancel(&mut self, key: QueryKey) -> Option<Query<P>> {
        let tracked = self.queries.get_mut(key.0)?;
        let (place, fingerprint) = (tracked.queue_entry(key), tracked.query.fingerprint);
        let model = tracked.query.model.as_deref();
        let index = model.and_then(|model| self.version_indices.get(model));
        let version = index.map(|index| &mut self.versions[*index]);
        if let Some(version) = version
            && version.queue.remove(&place, fingerprint)
        {
            version.bytes -= tracked.query.size;
            return self.queries.remove(key.0).into_unanswered();
        }
        tracked.take_unanswered()
    }

    /// Takes the answer of a replica to a batch: the batch's queries end, and with them all that
    /// wait for the same answers. `None` if the replica has no such batch, or lost it because it
    /// hung; either way it can take batches again.
    pub fn on_answered(
        &mut self,
        key: ReplicaKey,
        batch: BatchId,
        now: Timestamp,
    ) -> Option<AnsweredBatch<P>> {
        let replica = self.replicas.get_mut(key.0)?;
        let known = replica.batch_size(batch).is_some();
        replica.learn_late(batch, now);
        let ejected = matches!(replica.health, Health::Ejected { .. });
        if ejected && known {
            self.actions.push_back(Action::ReplicaReadmitted(key));
        }
        // Any answer ends a hang, but only the answer to a batch is a success.
        if known || replica.health == Health::Hung {
            replica.health = Health::Serving { failures: 0 };
        }
        let batch = replica.answered(batch, now);
        let longest = batch.as_ref().and_then(|batch| {
            let replica = &self.replicas[key.0];
            replica.service.upper(batch.queries.len())
        });
        self.update_sets(key, now);
        let batch = batch?;
        let model = &self.replicas[key.0].model;
        if let (Some(index), Some(longest)) = (self.version_indices.get(model), longest) {
            let horizon = &mut self.versions[*index].horizon;
            // Two batches may be ahead of a query, and its own.
            *horizon = horizon.mul_f64(0.99).max(longest * 3);
        }
        let ended = batch.queries.iter().copied().enumerate();
        let ended: Vec<(usize, QueryKey)> = ended.collect();
        Some(self.end(key, &batch, ended))
    }

    /// Ends queries of a batch, given with their places in it, and those that wait for the same
    /// answers.
    pub(crate) fn end(
        &mut self,
        replica: ReplicaKey,
        batch: &InFlightBatch,
        ended: Vec<(usize, QueryKey)>,
    ) -> AnsweredBatch<P> {
        let index = self.version_indices.get(&self.replicas[replica.0].model);
        let mut version = index.map(|index| &mut self.versions[*index]);
        let mut answered = AnsweredBatch {
            sent: batch.sent,
            size: batch.queries.len(),
            queries: Vec::with_capacity(ended.len()),
            fingerprints: Vec::new(),
        };
        for (place, key) in ended {
            let tracked = self.queries.remove(key.0);
            if let (Some(fingerprint), Some(version)) = (tracked.query.fingerprint, &mut version) {
                answered.fingerprints.push((place, fingerprint));
                let followers = take_followers(version, &mut self.queries, fingerprint);
                let followers = followers
                    .into_iter()
                    .filter_map(TrackedQuery::into_unanswered);
                answered
                    .queries
                    .extend(followers.map(|query| (place, query)));
            }
            answered
                .queries
                .extend(tracked.into_unanswered().map(|query| (place, query)));
        }
        answered
    }

    /// Hands back a batch that could not be sent, and those that were to follow it. Their queries
    /// return to the queue as they were.
    pub fn on_send_failed(&mut self, key: ReplicaKey, batch: BatchId) {
        let Some(replica) = self.replicas.get_mut(key.0) else {
            return;
        };
        let model = replica.model.clone();
        for batch in replica.take_unsent(batch) {
            self.requeue_batch(&model, batch, false);
        }
        self.update_sets(key, Timestamp::ZERO);
    }

    /// Takes the batches of a replica that hangs; the running one may be the reason.
    pub(crate) fn withdraw(&mut self, key: ReplicaKey, now: Timestamp) {
        let replica = &mut self.replicas[key.0];
        let (model, batches) = (replica.model.clone(), replica.withdraw());
        for (position, batch) in batches.into_iter().enumerate() {
            self.requeue_batch(&model, batch, position == 0);
        }
        self.update_sets(key, now);
        self.actions.push_back(Action::ReplicaHung(key));
    }

    /// Removes a replica; the queries of its batches return to the queue.
    pub fn on_left(&mut self, key: ReplicaKey, left: Departure) {
        let Some(gone) = self.replicas.try_remove(key.0) else {
            return;
        };
        if let Some(at) = gone.check_at {
            self.checks.remove(&ReplicaCheck { at, key });
        }
        if let Some(index) = self.version_indices.get(&gone.model) {
            let version = &mut self.versions[*index];
            version.replicas.retain(|other| *other != key);
            if let Some(open) = &gone.open {
                version.open.remove(open);
            }
        }
        for (position, batch) in gone.in_flight.into_iter().enumerate() {
            let computing = position == 0;
            self.requeue_batch(&gone.model, batch, computing && left == Departure::Died);
        }
        let Some(index) = self.version_indices.get(&gone.model).copied() else {
            return;
        };
        let version = &self.versions[index];
        let unknown = version.input_type.is_none();
        if unknown && version.replicas.is_empty() && version.queue.len() == 0 {
            self.versions.remove(index);
            self.version_indices.remove(&gone.model);
            self.active.remove(&index);
        }
    }

    /// Puts a batch's queries back into the queue. Those that a replica died computing for the
    /// second time get the default output, and so do those that wait for the same answer.
    fn requeue_batch(&mut self, model: &ModelVersion, batch: InFlightBatch, suspect: bool) {
        for key in batch.queries {
            let tracked = &mut self.queries[key.0];
            let given_up = suspect && tracked.suspect;
            tracked.suspect |= suspect;
            if !given_up {
                self.requeue(model, key);
                continue;
            }
            let tracked = self.queries.remove(key.0);
            let index = self.version_indices.get(model);
            let followers = tracked.query.fingerprint.zip(index).map(|(same, index)| {
                take_followers(&mut self.versions[*index], &mut self.queries, same)
            });
            for tracked in iter::once(tracked).chain(followers.into_iter().flatten()) {
                answer_default(&mut self.actions, tracked, DefaultReason::ReplicaDied);
            }
        }
    }

    /// Puts a query back into the queue. If it has been answered, the next one that waits for the
    /// same answer takes its place.
    pub(crate) fn requeue(&mut self, model: &ModelVersion, key: QueryKey) {
        let Some(index) = self.version_indices.get(model).copied() else {
            let tracked = self.queries.remove(key.0);
            return answer_default(&mut self.actions, tracked, DefaultReason::NoReplica);
        };
        let version = &mut self.versions[index];
        let tracked = &self.queries[key.0];
        let (fingerprint, suspect) = (tracked.query.fingerprint, tracked.suspect);
        if tracked.query.payload.is_some() {
            version.bytes += tracked.query.size;
            version.queue.push(tracked.queue_entry(key), fingerprint);
        } else {
            self.queries.remove(key.0);
        }
        if let Some(fingerprint) = fingerprint {
            for follower in version.queue.followers(fingerprint) {
                self.queries[follower.key.0].suspect |= suspect;
            }
            version.queue.replace_leader(fingerprint);
        }
        self.active.insert(index);
    }
}

/// Takes the queries from the queue that wait for the same answer as one that has ended.
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
