//! What comes back from replicas: answers, and the batches of those that did not answer.

use crate::{
    Action, Answered, BatchId, Left, ModelVersion, Now, Reason, ReplicaKey, Scheduler, default,
    replica::{Batch, Replica},
};

impl<P> Scheduler<P> {
    /// A replica answered a batch, or failed it: its queries leave. `None` if it has no such batch, any more at least: one
    /// that hung answers a batch that it has lost, and is ready for work again.
    pub fn on_answered(
        &mut self,
        replica: ReplicaKey,
        batch: BatchId,
        now: Now,
    ) -> Option<Answered<P>> {
        let replica = self.replicas.get_mut(replica.0)?;
        replica.hung = false;
        let batch = replica.take(batch, now)?;
        let queries = batch
            .queries
            .iter()
            .map(|key| self.queries.remove(key.0).finish())
            .collect();
        Some(Answered {
            sent: batch.sent,
            queries,
        })
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
        if unknown && version.replicas.is_empty() && version.queue.len() == 0 {
            self.versions.remove(&gone.model);
        }
    }

    /// Puts a batch's queries back into the queue; those that a replica died computing for the second time are given up.
    fn hand_back(&mut self, model: &ModelVersion, batch: Batch, suspect: bool) {
        let mut version = self.versions.get_mut(model);
        for key in batch.queries {
            let query = &mut self.queries[key.0];
            let given_up = query.payload.is_none() || (suspect && query.suspect);
            match &mut version {
                Some(version) if !given_up => {
                    query.suspect |= suspect;
                    version.bytes += query.size;
                    version.queue.push(query.place(key));
                }
                known => {
                    let reason = match known {
                        Some(_) => Reason::ReplicaDied,
                        None => Reason::NoReplica,
                    };
                    let query = self.queries.remove(key.0);
                    default(&mut self.actions, query, reason);
                }
            }
        }
    }
}
