//! Chooses the next batch of a model version: the replica, and which queries.
//!
//! The queue is ordered by deadline. As long as everything that waits can be computed in time, a
//! batch takes the first queries. When the first query has so little time left that only a small
//! batch would be in time for it, there are two cases:
//!
//! - the rest of the queue is in time after such a small batch: then the small batch is sent;
//! - the rest of the queue is not: the replicas are overloaded, some queries are lost in any case,
//!   and full batches answer
//!   more of them. The batch then skips the queries that a full batch could not answer in time.

use std::time::Duration;

use slab::Slab;

use crate::{
    ReplicaKey, Rules, Timestamp, TrackedQuery,
    queue::QueueEntry,
    replica::{Bound, ReplicaState},
    version::VersionState,
};

/// Number of replicas that are compared for one batch: a longer list costs more than it gains.
const COMPARED: usize = 16;

/// Number of waiting queries that are examined to find out if a queue can be computed in time.
const EXAMINED: usize = 1_024;

/// A model version at one moment.
pub(crate) struct VersionView<'a, P> {
    pub(crate) version: &'a VersionState,
    pub(crate) replicas: &'a Slab<ReplicaState>,
    pub(crate) queries: &'a Slab<TrackedQuery<P>>,
    pub(crate) rules: &'a Rules,
    pub(crate) now: Timestamp,
}

/// The next step for a model version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send a batch.
    Send(Selection),
    /// Send nothing; look again at this time, or after the next event.
    Wait(Option<Timestamp>),
}

/// A batch to take from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) replica: ReplicaKey,
    /// Number of queries at most.
    pub(crate) size: usize,
    /// Queries with an earlier deadline stay in the queue.
    pub(crate) from: Timestamp,
    /// True if the batch is expected to be late, and checks whether the replica is still that slow.
    pub(crate) recheck: bool,
}

impl<P> VersionView<'_, P> {
    pub(crate) fn next(&self) -> Next {
        let Some(first) = self.version.queue.first() else {
            return Next::Wait(None);
        };
        let delay_ends = self.delay_ends(first);
        let mut wake: Option<Timestamp> = None;
        let mut best: Option<(Duration, Selection)> = None;
        for open in self.version.open.iter().take(COMPARED) {
            let replica = &self.replicas[open.key.0];
            let max = replica.max_batch(self.version.max_batch);
            // Ahead of a running batch, a full one is sent at once; but if time is short, the
            // choice of its queries is better made late, when more of them are there.
            let full = self.version.queue.ready_len() >= max;
            let idle = replica.in_flight.is_empty();
            if !full || !idle && self.is_urgent(replica, max, first) {
                let delay_ends = if full { self.now } else { delay_ends };
                let running_ends = match replica.in_flight.is_empty() {
                    true => Some(self.now),
                    false => replica.ahead_at(),
                };
                let Some(at) = running_ends.map(|at| at.max(delay_ends)) else {
                    continue;
                };
                if at > self.now {
                    wake = Some(wake.map_or(at, |wake| wake.min(at)));
                    continue;
                }
            }
            if self.others_are_sooner(open.key) {
                continue;
            }
            let Some(selection) = self.select(open.key, max) else {
                continue;
            };
            let takes = self.takes(replica, selection.size);
            // Replicas of about the same speed share the work in turn.
            if best.is_none_or(|(shortest, _)| takes < shortest.mul_f64(0.75)) {
                best = Some((takes, selection));
            }
        }
        best.map_or(Next::Wait(wake), |(_, selection)| Next::Send(selection))
    }

    /// True if the first query is too late for a full batch.
    fn is_urgent(&self, replica: &ReplicaState, max: usize, first: &QueueEntry) -> bool {
        let finish = replica.finish(max, Bound::Upper, self.now);
        finish.is_some_and(|at| at > first.deadline)
    }

    /// The earliest time at which any replica could answer one more query; `None` if it is not
    /// known.
    pub(crate) fn soonest(&self) -> Option<Timestamp> {
        let mut soonest = None;
        for (_, replica) in self.version.serving(self.replicas) {
            let finish = replica.finish(1, Bound::Expected, self.now)?;
            soonest = Some(soonest.map_or(finish, |soonest: Timestamp| soonest.min(finish)));
        }
        soonest
    }

    /// Time until a batch ends. A replica of which nothing is known comes first while it is idle,
    /// and last while it is busy.
    fn takes(&self, replica: &ReplicaState, size: usize) -> Duration {
        match replica.finish(size, Bound::Expected, self.now) {
            Some(at) => at.saturating_sub(self.now),
            None if replica.in_flight.is_empty() => Duration::ZERO,
            None => Duration::MAX / 2,
        }
    }

    /// Time until which an idle replica waits for a fuller batch.
    fn delay_ends(&self, first: &QueueEntry) -> Timestamp {
        let arrived = self.queries[first.key.0].query.arrived;
        arrived.saturating_add(self.rules.batch_delay)
    }

    /// True if the other replicas are expected to have computed the whole queue well before this
    /// one could end a batch: then a slow replica is left idle.
    fn others_are_sooner(&self, key: ReplicaKey) -> bool {
        if !(2..=COMPARED).contains(&self.version.replicas.len()) {
            return false;
        }
        let waiting = self.version.queue.ready_len();
        let (mut rate, mut starts, mut shortest) = (0.0, Duration::MAX, Duration::MAX);
        for (other, replica) in self.version.serving(self.replicas) {
            if other == key {
                continue;
            }
            let size = waiting.min(replica.max_batch(self.version.max_batch));
            let (Some(finish), Some(takes), Some(more)) = (
                replica.finish(size, Bound::Expected, self.now),
                replica.time(size, Bound::Expected),
                self.version.rate(replica),
            ) else {
                return false;
            };
            rate += more;
            starts = starts.min(finish.saturating_sub(self.now).saturating_sub(takes));
            shortest = shortest.min(takes);
        }
        if rate == 0.0 {
            return false;
        }
        let replica = &self.replicas[key.0];
        let size = waiting.min(replica.max_batch(self.version.max_batch));
        let Some(own) = replica.finish(size, Bound::Expected, self.now) else {
            return false;
        };
        let drained = starts + shortest.max(Duration::from_secs_f64(waiting as f64 / rate));
        own.saturating_sub(self.now) > drained.mul_f64(1.5)
    }

    /// Chooses the queries of a batch of at most `max`; `None` if the replica can answer none of
    /// those that wait.
    fn select(&self, key: ReplicaKey, max: usize) -> Option<Selection> {
        let queue = &self.version.queue;
        let first = queue
            .ready_from(Timestamp::ZERO)
            .find(|place| self.may_go(place, key))?;
        let select = |size: usize, from: Timestamp| Selection {
            replica: key,
            size,
            from,
            recheck: false,
        };
        let replica = &self.replicas[key.0];
        let size = max.min(queue.ready_len());
        let finish = |size, bound| replica.finish(size, bound, self.now);
        let Some(at) = finish(size, Bound::Upper) else {
            return Some(select(size, Timestamp::ZERO));
        };
        if at <= first.deadline {
            return Some(select(size, Timestamp::ZERO));
        }
        let in_time = |size, bound, deadline| finish(size, bound).is_some_and(|at| at <= deadline);
        let small = largest(size, |size| in_time(size, Bound::Upper, first.deadline)).max(1);
        let first_can = in_time(1, Bound::Expected, first.deadline);
        if first_can && self.rest_is_in_time(replica, small, max) {
            return Some(select(small, Timestamp::ZERO));
        }
        let size = self.fair_size(replica, size);
        for bound in [Bound::Upper, Bound::Expected] {
            let fill = |size: usize| {
                let mut late_enough = queue
                    .ready_from(finish(size, bound).unwrap_or(self.now))
                    .filter(|place| self.may_go(place, key));
                late_enough.nth(size - 1).is_some()
            };
            let size = largest(size, fill);
            if size > 0 {
                return Some(select(size, finish(size, bound)?));
            }
        }
        let recheck = replica.recheck_is_due(self.now);
        recheck.then(|| Selection {
            recheck,
            ..select(1, Timestamp::ZERO)
        })
    }

    /// True if a query is sent to a replica although it is expected to be late. Without it, a
    /// replica that was slow once would get no query in time for its estimate any more.
    pub(crate) fn rechecks(&self) -> bool {
        let mut serving = self.version.serving(self.replicas);
        serving.any(|(_, replica)| replica.recheck_is_due(self.now))
    }

    /// False for a query that the replica has failed before, as long as another one can take it.
    pub(crate) fn may_go(&self, place: &QueueEntry, replica: ReplicaKey) -> bool {
        let failed_on = self.queries[place.key.0].failed_on;
        failed_on != Some(replica)
            || !self
                .version
                .serving(self.replicas)
                .any(|(other, _)| other != replica)
    }

    /// True if the queries after the first `sent` are expected to be in time in full batches of
    /// `max`.
    fn rest_is_in_time(&self, replica: &ReplicaState, sent: usize, max: usize) -> bool {
        let (Some(begins), Some(takes)) = (
            replica.finish(sent, Bound::Upper, self.now),
            replica.time(max, Bound::Upper),
        ) else {
            return true;
        };
        let each = takes / self.version.replicas.len().max(1) as u32;
        let rest = self.version.queue.ready_from(Timestamp::ZERO).skip(sent);
        // The first query of each batch has the least time.
        let mut firsts = rest.take(EXAMINED).step_by(max).zip(1_u32..);
        firsts.all(|(place, batches)| begins + each * batches <= place.deadline)
    }

    /// Largest batch that leaves queries of the shortest objective a chance: one that arrives while
    /// such a batch is running can be in the next one. No limit if the replica is too slow for that
    /// in any case.
    fn fair_size(&self, replica: &ReplicaState, size: usize) -> usize {
        let shortest = self.version.objectives.get();
        let fits = |size: usize| {
            let takes = replica.time(size, Bound::Upper);
            takes.is_some_and(|takes| takes.saturating_mul(2) <= shortest)
        };
        match largest(size, fits) {
            0 => size,
            size => size,
        }
    }
}

/// The largest of `1..=max` that fits, if every smaller one fits as well; 0 if none does.
fn largest(max: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, max);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match fits(middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}
