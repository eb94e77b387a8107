//! How queries come back: taken back by who asked, answered, or from replicas that did not answer.

use std::iter;

use slab::Slab;

use crate::{
    Action, Answered, BatchId, Fingerprint, Finished, Left, ModelVersion, Now, Query, QueryKey,
    Reason, ReplicaKey, Scheduler, Version, default,
    replica::{Batch, Replica},
};

impl<P> Scheduler<P> {
    /// Nobody waits for a query any more: it leaves the queue, or if a replica has it, its answer goes nowhere. `None` if it
    /// has ended already.
    pub fn take_back(&mut self, key: QueryKey) -> Option<Finished<P>> {
        let query = self.queries.get_mut(key.0)?;
        let (place, fingerprint) = (query.place(key), query.fingerprint);
        for version in self.versions.values_mut() {
            if version.queue.remove(&place, fingerprint) {
                version.bytes -= query.size;
                return self.queries.remove(key.0).finish();
            }
        }
        query.leave()
    }

    /// A replica answered a batch, or failed it: its queries leave, and all that wait for the same answers. `None` if it has no
    /// such batch, any more at least: one that hung answers a batch that it has lost, and is ready for work again.
    pub fn on_answered(
        &mut self,
        replica: ReplicaKey,
        batch: BatchId,
        now: Now,
    ) -> Option<Answered<P>> {
        let replica = self.replicas.get_mut(replica.0)?;
        replica.hung = false;
        let batch = replica.take(batch, now)?;
        let mut version = self.versions.get_mut(&replica.model);
        let mut answered = Answered {
            sent: batch.sent,
            size: batch.queries.len(),
            queries: Vec::with_capacity(batch.queries.len()),
            fingerprints: Vec::new(),
        };
        for (place, key) in batch.queries.into_iter().enumerate() {
            let query = self.queries.remove(key.0);
            if let (Some(fingerprint), Some(version)) = (query.fingerprint, &mut version) {
                answered.fingerprints.push((place, fingerprint));
                let followers = settle(version, &mut self.queries, fingerprint);
                let followers = followers.into_iter().filter_map(Query::finish);
                answered
                    .queries
                    .extend(followers.map(|query| (place, query)));
            }
            answered
                .queries
                .extend(query.finish().map(|query| (place, query)));
        }
        Some(answered)
    }

    /// A batch could not be sent: nobody has seen it, nor those that were to follow it. Their queries go back to the queue as
    /// they were.
    pub fn on_unsent(&mut self, replica: ReplicaKey, batch: BatchId) {
        let Some(replica) = self.replicas.get_mut(replica.0) else {
            return;
        };
        let model = replica.model.clone();
        for batch in replica.take_back(batch) {
            self.hand_back(&model, batch, false);
        }
    }

    /// Takes the batches of replicas that hang: each goes to another.
    pub(crate) fn give_up_hung(&mut self, now: Now) {
        let hangs = |replica: &Replica| replica.hangs_at(&self.rules).is_some_and(|at| at <= now);
        let hung = self.replicas.iter().filter(|(_, replica)| hangs(replica));
        let hung: Vec<usize> = hung.map(|(key, _)| key).collect();
        for key in hung {
            let replica = &mut self.replicas[key];
            replica.hung = true;
            let (model, batches) = (
                replica.model.clone(),
                std::mem::take(&mut replica.in_flight),
            );
            for (position, batch) in batches.into_iter().enumerate() {
                self.hand_back(&model, batch, position == 0);
            }
            self.actions.push_back(Action::Hung(ReplicaKey(key)));
        }
    }

    /// A replica is gone: what it had goes back to the queue.
    pub fn on_left(&mut self, replica: ReplicaKey, left: Left) {
        let Some(gone) = self.replicas.try_remove(replica.0) else {
            return;
        };
        for (position, batch) in gone.in_flight.into_iter().enumerate() {
            let computing = position == 0;
            self.hand_back(&gone.model, batch, computing && left == Left::Died);
        }
        let Some(version) = self.versions.get_mut(&gone.model) else {
            return;
        };
        version.replicas.retain(|key| *key != replica);
        let unknown = version.input_type.is_none();
        if unknown && version.replicas.is_empty() && version.queue.waiting() == 0 {
            self.versions.remove(&gone.model);
        }
    }

    /// Puts a batch's queries back into the queue; those that a replica died computing for the second time are given up, and
    /// whoever waits for the same answer with them.
    fn hand_back(&mut self, model: &ModelVersion, batch: Batch, suspect: bool) {
        for key in batch.queries {
            let query = &mut self.queries[key.0];
            let given_up = suspect && query.suspect;
            query.suspect |= suspect;
            let Some(version) = self.versions.get_mut(model) else {
                let query = self.queries.remove(key.0);
                default(&mut self.actions, query, Reason::NoReplica);
                continue;
            };
            if !given_up {
                put_back(version, &mut self.queries, key);
                continue;
            }
            let query = self.queries.remove(key.0);
            let followers = query
                .fingerprint
                .map(|fingerprint| settle(version, &mut self.queries, fingerprint));
            for query in iter::once(query).chain(followers.into_iter().flatten()) {
                default(&mut self.actions, query, Reason::ReplicaDied);
            }
        }
    }
}

/// Puts a query back into the queue, unless nobody waits for it: then who waits for the same answer takes its place.
fn put_back<P>(version: &mut Version, queries: &mut Slab<Query<P>>, key: QueryKey) {
    let query = &queries[key.0];
    let (fingerprint, suspect) = (query.fingerprint, query.suspect);
    if query.payload.is_some() {
        version.bytes += query.size;
        version.queue.push(query.place(key), fingerprint);
    } else {
        queries.remove(key.0);
    }
    if let Some(fingerprint) = fingerprint {
        for follower in version.queue.followers(fingerprint) {
            queries[follower.key.0].suspect |= suspect;
        }
        version.queue.resign(fingerprint);
    }
}

/// Takes the queries that wait for the same answer as one that has come to its end.
fn settle<P>(
    version: &mut Version,
    queries: &mut Slab<Query<P>>,
    fingerprint: Fingerprint,
) -> Vec<Query<P>> {
    let followers = version.queue.settle(fingerprint).into_iter();
    let followers: Vec<Query<P>> = followers.map(|key| queries.remove(key.0)).collect();
    version.bytes -= followers.iter().map(|query| query.size).sum::<usize>();
    followers
}
