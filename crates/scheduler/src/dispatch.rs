//! Dispatch: answers queries whose time is over, checks on replicas, and sends batches.

use crate::{
    Action, DefaultReason, OutgoingBatch, QueryKey, ReplicaKey, Scheduler, Timestamp,
    answer_default,
    queue::{Queue, QueueEntry},
    replica::InFlightBatch,
    selection::{Next, Selection, VersionView},
};

impl<P> Scheduler<P> {
    /// Gives the default output to every query whose deadline has passed or that cannot be answered
    /// in time, takes batches from replicas that hang, and sends batches to those that can take
    /// one.
    pub fn dispatch(&mut self, now: Timestamp) {
        let mut indices = std::mem::take(&mut self.indices);
        indices.extend(&self.active);
        for index in indices.drain(..) {
            self.expire(index, now);
        }
        self.check_replicas(now);
        indices.extend(&self.active);
        for index in indices.drain(..) {
            self.shed(index, now);
            self.send_batches(index, now);
        }
        self.indices = indices;
    }

    /// Time at which [`Scheduler::dispatch`] has something to do, if nothing else happens. Holds
    /// after a dispatch and until the next event.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let active = self.active.iter();
        let versions = active.filter_map(|index| self.versions[*index].wake_at);
        let check = self.checks.first().map(|check| check.at);
        versions.chain(check).min()
    }

    fn view(&self, index: usize, now: Timestamp) -> VersionView<'_, P> {
        VersionView {
            version: &self.versions[index],
            replicas: &self.replicas,
            queries: &self.queries,
            rules: &self.rules,
            now,
        }
    }

    /// Gives the default output to the queries in a queue whose deadline has passed.
    fn expire(&mut self, index: usize, now: Timestamp) {
        while let Some((late, reason)) = self.versions[index].queue.expired(now) {
            self.drop_waiting(index, late.key, reason);
        }
    }

    /// Gives the default output to the queries that no replica could answer in time.
    fn shed(&mut self, index: usize, now: Timestamp) {
        let version = &self.versions[index];
        let urgent = |first: &QueueEntry| first.deadline.saturating_sub(now) < version.horizon;
        if !version.queue.first().is_some_and(urgent) {
            return;
        }
        let view = self.view(index, now);
        let Some(soonest) = view.soonest() else {
            return;
        };
        let kept = usize::from(view.rechecks());
        let next = |queue: &Queue| queue.ready_from(Timestamp::ZERO).nth(kept).copied();
        while let Some(query) = next(&self.versions[index].queue)
            && query.deadline < soonest
        {
            self.drop_waiting(index, query.key, DefaultReason::Shed);
        }
    }

    fn drop_waiting(&mut self, index: usize, key: QueryKey, reason: DefaultReason) {
        let tracked = self.queries.remove(key.0);
        let version = &mut self.versions[index];
        version
            .queue
            .remove(&tracked.queue_entry(key), tracked.query.fingerprint);
        version.bytes -= tracked.query.size;
        self.dropped.queries += 1;
        self.dropped.bytes = self.dropped.bytes.wrapping_add(tracked.query.size);
        answer_default(&mut self.actions, tracked, reason);
    }

    fn send_batches(&mut self, index: usize, now: Timestamp) {
        let wake = loop {
            match self.view(index, now).next() {
                Next::Send(selection) => self.send(index, selection, now),
                Next::Wait(at) => break at,
            }
        };
        let version = &mut self.versions[index];
        let earliest = version.queue.earliest_deadline();
        version.wake_at = [wake, earliest].into_iter().flatten().min();
        if version.queue.len() == 0 {
            self.active.remove(&index);
        }
    }

    fn send(&mut self, index: usize, selection: Selection, now: Timestamp) {
        let queries = self.take_batch(index, selection, now);
        let of_batch = queries.iter().map(|key| &self.queries[key.0].query);
        let deadline = of_batch.map(|query| query.deadline).min();
        let deadline = deadline.expect("a selection has at least one query");
        let id = self.next_batch;
        self.next_batch = id.wrapping_add(1);
        let batch = InFlightBatch {
            id,
            queries: queries.clone(),
            sent: now,
            first_deadline: deadline,
            deadline,
            recheck: selection.recheck,
        };
        self.replicas[selection.replica.0].send(batch, now);
        self.update_sets(selection.replica, now);
        self.actions.push_back(Action::SendBatch(OutgoingBatch {
            replica: selection.replica,
            batch: id,
            queries,
            deadline,
        }));
    }

    /// Takes a batch from the queue. A query that a replica died computing is a batch of its own.
    fn take_batch(&mut self, index: usize, selection: Selection, now: Timestamp) -> Vec<QueryKey> {
        let view = self.view(index, now);
        let may_go = |place: &&_| view.may_go(place, selection.replica);
        let waiting = view.version.queue.ready_from(selection.from).filter(may_go);
        let mut places = Vec::with_capacity(selection.size);
        for place in waiting.take(selection.size) {
            let suspect = self.queries[place.key.0].suspect;
            if suspect && !places.is_empty() {
                break;
            }
            places.push(*place);
            if suspect {
                break;
            }
        }
        let version = &mut self.versions[index];
        for place in &places {
            version.queue.take(place);
            version.bytes -= self.queries[place.key.0].query.size;
        }
        places.into_iter().map(|place| place.key).collect()
    }

    /// Looks after the replicas whose time has come: deadlines of queries in flight, hangs, and
    /// probes of ejected ones.
    fn check_replicas(&mut self, now: Timestamp) {
        while let Some(check) = self.checks.first().copied()
            && check.at <= now
        {
            self.expire_in_flight(check.key, now);
            let replica = &self.replicas[check.key.0];
            if replica.hangs_at(&self.rules).is_some_and(|at| at <= now) {
                self.withdraw(check.key, now);
            }
            self.update_sets(check.key, now);
        }
    }

    /// Gives the default output to the queries at a replica whose deadline has passed.
    fn expire_in_flight(&mut self, key: ReplicaKey, now: Timestamp) {
        for batch in &mut self.replicas[key.0].in_flight {
            if batch.deadline > now {
                continue;
            }
            let mut next = Timestamp::MAX;
            for key in &batch.queries {
                let tracked = &mut self.queries[key.0];
                if tracked.query.deadline > now {
                    next = next.min(tracked.query.deadline);
                } else if let Some(query) = tracked.take_unanswered() {
                    let action = Action::AnswerDefault(query, DefaultReason::TimedOutAtReplica);
                    self.actions.push_back(action);
                }
            }
            batch.deadline = next;
        }
    }
}
