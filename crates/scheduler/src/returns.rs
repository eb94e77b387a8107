//! How queries come back: taken back by who asked, answered, or from replicas that did not answer.

use std::iter;

use slab::Slab;

use crate::{
    Action, Answered, BatchId, Fingerprint, Held, Left, ModelVersion, Query, QueryKey, Reason,
    ReplicaKey, Scheduler, Timestamp, Version, default,
    replica::{Batch, Replica},
};

impl<P> Scheduler<P> {
    /// Nobody waits for a query any more: it leaves the queue, or if a replica has it, its answer goes nowhere. `None` if it
    /// has ended already.
    pub fn take_back(&mut self, key: QueryKey) -> Option<Query<P>> {
        let held = self.queries.get_mut(key.0)?;
        let (place, fingerprint) = (held.place(key), held.query.fingerprint);
        let model = held.query.model.as_deref();
        let version = model.and_then(|model| self.versions.get_mut(model));
        if let Some(version) = version
            && version.queue.remove(&place, fingerprint)
        {
            version.bytes -= held.query.size;
            return self.queries.remove(key.0).finish();
        }
        held.leave()
    }

    /// A replica answered a batch, or failed it: its queries leave, and all that wait for the same answers. `None` if it has no
    /// such batch, any more at least: one that hung answers a batch that it has lost, and is ready for work again.
    pub fn on_answered(
        &mut self,
        replica: ReplicaKey,
        batch: BatchId,
        now: Timestamp,
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
            let held = self.queries.remove(key.0);
            if let (Some(fingerprint), Some(version)) = (held.query.fingerprint, &mut version) {
                answered.fingerprints.push((place, fingerprint));
                let followers = settle(version, &mut self.queries, fingerprint);
                let followers = followers.into_iter().filter_map(Held::finish);
                answered
                    .queries
                    .extend(followers.map(|query| (place, query)));
            }
            answered
                .queries
                .extend(held.finish().map(|query| (place, query)));
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
    pub(crate) fn give_up_hung(&mut self, now: Timestamp) {
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
            let held = &mut self.queries[key.0];
            let given_up = suspect && held.suspect;
            held.suspect |= suspect;
            let Some(version) = self.versions.get_mut(model) else {
                let held = self.queries.remove(key.0);
                default(&mut self.actions, held, Reason::NoReplica);
                continue;
            };
            if !given_up {
                put_back(version, &mut self.queries, key);
                continue;
            }
            let held = self.queries.remove(key.0);
            let followers = held
                .query
                .fingerprint
                .map(|fingerprint| settle(version, &mut self.queries, fingerprint));
            for held in iter::once(held).chain(followers.into_iter().flatten()) {
                default(&mut self.actions, held, Reason::ReplicaDied);
            }
        }
    }
}

/// Puts a query back into the queue, unless nobody waits for it: then who waits for the same answer takes its place.
fn put_back<P>(version: &mut Version, queries: &mut Slab<Held<P>>, key: QueryKey) {
    let held = &queries[key.0];
    let (fingerprint, suspect) = (held.query.fingerprint, held.suspect);
    if held.query.payload.is_some() {
        version.bytes += held.query.size;
        version.queue.push(held.place(key), fingerprint);
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
    queries: &mut Slab<Held<P>>,
    fingerprint: Fingerprint,
) -> Vec<Held<P>> {
    let followers = version.queue.settle(fingerprint).into_iter();
    let followers: Vec<Held<P>> = followers.map(|key| queries.remove(key.0)).collect();
    version.bytes -= followers.iter().map(|held| held.query.size).sum::<usize>();
    followers
}
