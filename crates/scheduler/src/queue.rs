//! The queue of one model version, with request coalescing.
//!
//! Of the queries with the same fingerprint, one is the leader: it is queued for computation, or a
//! replica has it. The others are followers: they wait for its answer. If the leader ends without
//! an answer, the first follower becomes the leader.

use std::collections::{BTreeSet, HashMap};

use crate::{DefaultReason, Fingerprint, QueryKey, Timestamp};

/// A query in the queue. Entries are ordered by deadline, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueEntry {
    pub(crate) deadline: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) key: QueryKey,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Queries to be computed: leaders, and queries without a fingerprint.
    ready: BTreeSet<QueueEntry>,
    /// The leader for each fingerprint, in the queue or at a replica.
    leaders: HashMap<Fingerprint, QueueEntry>,
    followers: BTreeSet<(Fingerprint, QueueEntry)>,
    /// The followers again, ordered by deadline.
    followers_by_deadline: BTreeSet<QueueEntry>,
}

impl Queue {
    /// Returns the number of queries that are to be computed.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Returns the number of queries, including the followers.
    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.followers_by_deadline.len()
    }

    /// Returns the query that is computed next.
    pub(crate) fn first(&self) -> Option<&QueueEntry> {
        self.ready.first()
    }

    /// Returns the queries that are to be computed and have this deadline or a later one, ordered
    /// by deadline.
    pub(crate) fn ready_from(&self, deadline: Timestamp) -> impl Iterator<Item = &QueueEntry> {
        let first = QueueEntry {
            deadline,
            ..QueueEntry::MIN
        };
        self.ready.range(first..)
    }

    /// Removes a query that is to be computed. It stays the leader of its followers until
    /// [`Queue::take_followers`] or [`Queue::replace_leader`].
    pub(crate) fn take(&mut self, entry: &QueueEntry) {
        self.ready.remove(entry);
    }

    /// Returns the earliest deadline in the queue, including the followers.
    pub(crate) fn earliest_deadline(&self) -> Option<Timestamp> {
        let firsts = [self.ready.first(), self.followers_by_deadline.first()];
        firsts
            .into_iter()
            .flatten()
            .map(|first| first.deadline)
            .min()
    }

    /// Returns a query whose deadline has passed, with the reason for its default output. A queued
    /// leader is due before its followers, so that the leader of an expired follower is at a
    /// replica.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<(QueueEntry, DefaultReason)> {
        let expired = |entries: &BTreeSet<QueueEntry>| {
            let first = entries.first().copied();
            first.filter(|first| first.deadline <= now)
        };
        let in_queue = expired(&self.ready).map(|entry| (entry, DefaultReason::TimedOutInQueue));
        in_queue.or_else(|| {
            let follower = expired(&self.followers_by_deadline)?;
            Some((follower, DefaultReason::TimedOutAtReplica))
        })
    }

    /// Adds a query. Without a leader for its fingerprint at a replica, the first query with this
    /// fingerprint leads.
    pub(crate) fn push(&mut self, entry: QueueEntry, fingerprint: Option<Fingerprint>) {
        match fingerprint {
            Some(fingerprint) => {
                self.add_follower(fingerprint, entry);
                self.elect_leader(fingerprint);
            }
            None => drop(self.ready.insert(entry)),
        }
    }

    /// Removes a query; returns false if it is not in the queue.
    pub(crate) fn remove(&mut self, entry: &QueueEntry, fingerprint: Option<Fingerprint>) -> bool {
        let was_ready = self.ready.remove(entry);
        match fingerprint {
            Some(fingerprint) if was_ready => self.replace_leader(fingerprint),
            Some(fingerprint) => return self.remove_follower(fingerprint, entry),
            None => {}
        }
        was_ready
    }

    /// Makes the first follower the leader, because the leader was removed or came back from a
    /// replica.
    pub(crate) fn replace_leader(&mut self, fingerprint: Fingerprint) {
        self.leaders.remove(&fingerprint);
        self.elect_leader(fingerprint);
    }

    /// Removes and returns the followers of a leader that has ended.
    pub(crate) fn take_followers(&mut self, fingerprint: Fingerprint) -> Vec<QueryKey> {
        self.leaders.remove(&fingerprint);
        let followers: Vec<QueueEntry> = self.followers(fingerprint).collect();
        for entry in &followers {
            self.remove_follower(fingerprint, entry);
        }
        followers.into_iter().map(|entry| entry.key).collect()
    }

    /// Returns the followers for a fingerprint, ordered by deadline.
    pub(crate) fn followers(&self, fingerprint: Fingerprint) -> impl Iterator<Item = QueueEntry> {
        let same = self.followers.range((fingerprint, QueueEntry::MIN)..);
        let same = same.take_while(move |(other, _)| *other == fingerprint);
        same.map(|(_, entry)| *entry)
    }

    /// Returns the keys of all queries, including the followers.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = QueryKey> {
        let entries = self.ready.into_iter().chain(self.followers_by_deadline);
        entries.map(|entry| entry.key)
    }

    fn add_follower(&mut self, fingerprint: Fingerprint, entry: QueueEntry) {
        self.followers.insert((fingerprint, entry));
        self.followers_by_deadline.insert(entry);
    }

    fn remove_follower(&mut self, fingerprint: Fingerprint, entry: &QueueEntry) -> bool {
        self.followers.remove(&(fingerprint, *entry));
        self.followers_by_deadline.remove(entry)
    }

    /// Makes the query with the earliest deadline the leader, unless a replica has the leader.
    fn elect_leader(&mut self, fingerprint: Fingerprint) {
        if let Some(leader) = self.leaders.remove(&fingerprint) {
            if !self.ready.remove(&leader) {
                self.leaders.insert(fingerprint, leader);
                return;
            }
            self.add_follower(fingerprint, leader);
        }
        let first = self.followers(fingerprint).next();
        if let Some(first) = first {
            self.remove_follower(fingerprint, &first);
            self.ready.insert(first);
            self.leaders.insert(fingerprint, first);
        }
    }
}

impl QueueEntry {
    const MIN: QueueEntry = QueueEntry {
        deadline: Timestamp::ZERO,
        sequence: 0,
        key: QueryKey(0),
    };
}
