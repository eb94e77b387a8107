//! Batches that fail as a whole: retries, smaller batches, and the ejection of replicas.

use crate::{
    Action, AnsweredBatch, BatchFailure, BatchId, ReplicaKey, Rules, Scheduler, Timestamp,
    replica::Health,
};

impl<P> Scheduler<P> {
    /// Takes the failure of a whole batch. Each query that has not failed before returns to the
    /// queue, for another replica, if there is one; a batch that ran out of memory is split.
    /// Returns the queries that end with this failure; `None` if the replica has no such batch.
    pub fn on_failed(
        &mut self,
        key: ReplicaKey,
        batch: BatchId,
        failure: BatchFailure,
        now: Timestamp,
    ) -> Option<AnsweredBatch<P>> {
        let replica = self.replicas.get_mut(key.0)?;
        if replica.health == Health::Hung {
            replica.health = Health::Serving { failures: 0 };
        }
        replica.forget_withdrawn(batch);
        let batch = replica.failed(batch, now);
        let Some(batch) = batch else {
            self.update_sets(key, now);
            return None;
        };
        let (model, size) = (replica.model.clone(), batch.queries.len());
        let split = failure == BatchFailure::OutOfMemory && size > 1;
        if split {
            let max = replica.max_batch.unwrap_or(size);
            replica.max_batch = Some(max.min(size / 2));
        } else {
            self.count_failure(key, now);
        }
        let others = self.has_other(key);
        let mut ended = Vec::new();
        for (place, query) in batch.queries.iter().copied().enumerate() {
            let tracked = &mut self.queries[query.0];
            let again = split || others && tracked.failed_on.is_none();
            if !split {
                tracked.failed_on = Some(key);
            }
            match again {
                true => self.requeue(&model, query),
                false => ended.push((place, query)),
            }
        }
        self.update_sets(key, now);
        Some(self.end(key, &batch, ended))
    }

    /// Returns the number of queries in a batch that a replica has, or that was taken from it
    /// because it hung; `None` if there is no such batch.
    pub fn batch_size(&self, key: ReplicaKey, batch: BatchId) -> Option<usize> {
        self.replicas.get(key.0)?.batch_size(batch)
    }

    /// Current state of a replica.
    pub fn replica_state(&self, key: ReplicaKey) -> Option<crate::ReplicaStatus> {
        self.replicas.get(key.0).map(|replica| replica.state())
    }

    /// Counts a failed batch, and ejects the replica if it is one too many in a row. The last
    /// serving replica of a model version is never ejected: a model's error says more than a
    /// default output.
    fn count_failure(&mut self, key: ReplicaKey, now: Timestamp) {
        let others = self.has_other(key);
        let replica = &mut self.replicas[key.0];
        let before = replica.health;
        replica.health = after_failure(before, &self.rules, others, now);
        let is_ejected = |health| matches!(health, Health::Ejected { .. });
        if is_ejected(replica.health) && !is_ejected(before) {
            self.actions.push_back(Action::ReplicaEjected(key));
        }
    }

    /// True if another replica of the same version serves.
    fn has_other(&self, key: ReplicaKey) -> bool {
        let version = self.version(&self.replicas[key.0].model);
        version.is_some_and(|version| {
            let mut serving = version.serving(&self.replicas);
            serving.any(|(other, _)| other != key)
        })
    }
}

fn after_failure(health: Health, rules: &Rules, others: bool, now: Timestamp) -> Health {
    match health {
        Health::Ejected { probe_at, interval } if probe_at <= now => {
            let interval = interval.saturating_mul(2).min(rules.last_probe);
            Health::Ejected {
                probe_at: now + interval,
                interval,
            }
        }
        // A batch that was in flight before the ejection.
        Health::Ejected { .. } => health,
        Health::Serving { failures } if others && failures + 1 >= rules.eject_after => {
            Health::Ejected {
                probe_at: now + rules.first_probe,
                interval: rules.first_probe,
            }
        }
        Health::Serving { failures } => Health::Serving {
            failures: failures.saturating_add(1),
        },
        Health::Hung => Health::Hung,
    }
}
