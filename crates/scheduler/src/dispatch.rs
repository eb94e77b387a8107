//! What is to be done at a moment: whose time is up, who hangs, who gets the next batch.

use slab::Slab;

use crate::{
    Action, Held, QueryKey, Reason, ReplicaKey, Rules, Scheduler, Send, Timestamp, Version,
    default,
    replica::{Batch, Replica},
};

impl<P> Scheduler<P> {
    /// Gives the default output to every query whose deadline has passed, takes batches from replicas that hang, then hands
    /// out work.
    pub fn dispatch(&mut self, now: Timestamp) {
        self.expire(now);
        self.give_up_hung(now);
        for version in self.versions.values_mut() {
            while let Some((key, max)) =
                next_replica(version, &self.replicas, &self.queries, &self.rules, now)
            {
                let batch = take_batch(version, &self.queries, max);
                let of_batch = || batch.iter().map(|key| &self.queries[key.0].query);
                let deadline = of_batch().map(|query| query.deadline).min();
                let objective =
                    of_batch().map(|query| query.deadline.saturating_sub(query.arrived));
                let deadline = deadline.expect("it is not empty");
                let objective = objective.min().expect("it is not empty");
                let id = self.next_batch;
                self.next_batch = id.wrapping_add(1);
                let replica = &mut self.replicas[key.0];
                replica.in_flight.push_back(Batch {
                    id,
                    queries: batch.clone(),
                    sent: now,
                    deadline,
                    objective,
                });
                replica.sent(now);
                self.actions.push_back(Action::Send(Send {
                    replica: key,
                    batch: id,
                    queries: batch,
                    deadline,
                }));
            }
        }
    }

    /// When [`Scheduler::dispatch`] has something to do though nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let waiting = || {
            self.versions
                .values()
                .filter(|version| version.queue.len() > 0)
        };
        let versions = self.versions.values();
        let deadlines = versions.filter_map(|version| version.queue.earliest());
        let with_replicas = waiting().flat_map(|version| {
            let delay_ends = delay_ends(version, &self.queries, &self.rules);
            let replicas = version.replicas.iter();
            replicas.filter_map(move |key| Some((&self.replicas[key.0], delay_ends?)))
        });
        let ready = with_replicas.filter_map(|(replica, delay_ends)| {
            let idle = replica.has_room() && replica.in_flight.is_empty();
            let ready = if idle {
                Some(Timestamp::ZERO)
            } else {
                replica.ahead_at()
            };
            Some(ready?.max(delay_ends))
        });
        let hung = self
            .replicas
            .iter()
            .filter_map(|(_, replica)| replica.hangs_at(&self.rules));
        let away = self
            .replicas
            .iter()
            .flat_map(|(_, replica)| &replica.in_flight)
            .map(|batch| batch.deadline)
            .filter(|deadline| *deadline != Timestamp::MAX);
        deadlines.chain(ready).chain(away).chain(hung).min()
    }

    fn expire(&mut self, now: Timestamp) {
        for version in self.versions.values_mut() {
            while let Some((late, reason)) = version.queue.late(now) {
                let held = self.queries.remove(late.key.0);
                version.queue.remove(&late, held.query.fingerprint);
                version.bytes -= held.query.size;
                default(&mut self.actions, held, reason);
            }
        }
        for (_, replica) in &mut self.replicas {
            for batch in &mut replica.in_flight {
                if batch.deadline > now {
                    continue;
                }
                let mut next = Timestamp::MAX;
                for key in &batch.queries {
                    let held = &mut self.queries[key.0];
                    if held.query.deadline > now {
                        next = next.min(held.query.deadline);
                    } else if let Some(query) = held.leave() {
                        let action = Action::Default(query, Reason::TimedOutAtReplica);
                        self.actions.push_back(action);
                    }
                }
                batch.deadline = next;
            }
        }
    }
}

/// Takes the first queries of the queue, at most `max`. One that a replica died computing is a batch of its own.
fn take_batch<P>(version: &mut Version, queries: &Slab<Held<P>>, max: usize) -> Vec<QueryKey> {
    let mut batch = Vec::with_capacity(max.min(version.queue.len()));
    while batch.len() < max
        && let Some(first) = version.queue.first()
    {
        let held = &queries[first.key.0];
        if held.suspect && !batch.is_empty() {
            break;
        }
        batch.push(first.key);
        version.bytes -= held.query.size;
        version.queue.pop();
        if held.suspect {
            break;
        }
    }
    batch
}

/// The replica that the next batch goes to, and how large it may be: an idle one, else a busy one whose next batch may go
/// ahead; among equals the one that has waited longest.
fn next_replica<P>(
    version: &Version,
    replicas: &Slab<Replica>,
    queries: &Slab<Held<P>>,
    rules: &Rules,
    now: Timestamp,
) -> Option<(ReplicaKey, usize)> {
    let waiting = version.queue.len();
    let left = version.queue.first()?.deadline.saturating_sub(now);
    let delayed = delay_ends(version, queries, rules).is_some_and(|at| at > now);
    let may_have = |replica: &Replica| {
        let full = waiting >= replica.max_batch(version.max_batch, left);
        let ahead = || replica.ahead_at().is_some_and(|at| at <= now);
        full || !delayed && (replica.in_flight.is_empty() || ahead())
    };
    version
        .replicas
        .iter()
        .map(|key| (*key, &replicas[key.0]))
        .filter(|(_, replica)| replica.has_room())
        .filter(|(_, replica)| may_have(replica))
        .min_by_key(|(_, replica)| (replica.in_flight.len(), replica.last_sent))
        .map(|(key, replica)| (key, replica.max_batch(version.max_batch, left)))
}

/// When the queue's first query has waited long enough for others.
fn delay_ends<P>(version: &Version, queries: &Slab<Held<P>>, rules: &Rules) -> Option<Timestamp> {
    let first = version.queue.first()?;
    Some(
        queries[first.key.0]
            .query
            .arrived
            .saturating_add(rules.batch_delay),
    )
}
