//! The queries that wait for one model version.
//!
//! Of those with the same fingerprint one leads: it is to be computed, or a replica has it. The others follow: they wait for
//! its answer, and the first of them leads when it leaves without one.

use std::collections::{BTreeSet, HashMap};

use crate::{Fingerprint, QueryKey, Reason, Timestamp};

/// Where a query stands: by its deadline, then by its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) deadline: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) key: QueryKey,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Queries that are to be computed, in the order of their places.
    ready: BTreeSet<Place>,
    /// Who leads, in the queue or at a replica.
    leaders: HashMap<Fingerprint, Place>,
    followers: BTreeSet<(Fingerprint, Place)>,
    /// The followers again, in the order of their places.
    following: BTreeSet<Place>,
}

impl Queue {
    /// Queries that are to be computed.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }

    /// All queries that wait, for a replica or for a leader's answer.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.following.len()
    }

    /// The query that is computed next.
    pub(crate) fn first(&self) -> Option<&Place> {
        self.ready.first()
    }

    /// Takes the query that is computed next. It leads until it is settled or resigns.
    pub(crate) fn pop(&mut self) -> Option<QueryKey> {
        Some(self.ready.pop_first()?.key)
    }

    /// The earliest deadline of all that wait.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        let firsts = [self.ready.first(), self.following.first()];
        firsts
            .into_iter()
            .flatten()
            .map(|first| first.deadline)
            .min()
    }

    /// A query whose deadline has passed, and where it passed. A leader in the queue stands before its followers: one that is
    /// late has its leader at a replica.
    pub(crate) fn late(&self, now: Timestamp) -> Option<(Place, Reason)> {
        let late = |places: &BTreeSet<Place>| {
            let first = places.first().copied();
            first.filter(|first| first.deadline <= now)
        };
        let in_queue = late(&self.ready).map(|place| (place, Reason::TimedOutInQueue));
        in_queue.or_else(|| Some((late(&self.following)?, Reason::TimedOutAtReplica)))
    }

    pub(crate) fn push(&mut self, place: Place, fingerprint: Option<Fingerprint>) {
        match fingerprint {
            Some(fingerprint) => {
                self.follow(fingerprint, place);
                self.elect(fingerprint);
            }
            None => drop(self.ready.insert(place)),
        }
    }

    /// Takes a query that waits; false if it does not.
    pub(crate) fn remove(&mut self, place: &Place, fingerprint: Option<Fingerprint>) -> bool {
        let was_ready = self.ready.remove(place);
        match fingerprint {
            Some(fingerprint) if was_ready => self.resign(fingerprint),
            Some(fingerprint) => return self.leave(fingerprint, place),
            None => {}
        }
        was_ready
    }

    /// A leader is gone, or is back from a replica: who stands first leads.
    pub(crate) fn resign(&mut self, fingerprint: Fingerprint) {
        self.leaders.remove(&fingerprint);
        self.elect(fingerprint);
    }

    /// A leader has come to its end: its followers leave with it.
    pub(crate) fn settle(&mut self, fingerprint: Fingerprint) -> Vec<QueryKey> {
        self.leaders.remove(&fingerprint);
        let followers: Vec<Place> = self.followers(fingerprint).collect();
        for place in &followers {
            self.leave(fingerprint, place);
        }
        followers.into_iter().map(|place| place.key).collect()
    }

    /// Who waits for the same answer.
    pub(crate) fn followers(&self, fingerprint: Fingerprint) -> impl Iterator<Item = Place> {
        let same = self.followers.range((fingerprint, Place::FIRST)..);
        let same = same.take_while(move |(other, _)| *other == fingerprint);
        same.map(|(_, place)| *place)
    }

    /// Everyone who waits.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = QueryKey> {
        let waiting = self.ready.into_iter().chain(self.following);
        waiting.map(|place| place.key)
    }

    fn follow(&mut self, fingerprint: Fingerprint, place: Place) {
        self.followers.insert((fingerprint, place));
        self.following.insert(place);
    }

    fn leave(&mut self, fingerprint: Fingerprint, place: &Place) -> bool {
        self.followers.remove(&(fingerprint, *place));
        self.following.remove(place)
    }

    /// Who stands first leads, unless a replica has the leader.
    fn elect(&mut self, fingerprint: Fingerprint) {
        if let Some(leader) = self.leaders.remove(&fingerprint) {
            if !self.ready.remove(&leader) {
                self.leaders.insert(fingerprint, leader);
                return;
            }
            self.follow(fingerprint, leader);
        }
        let first = self.followers(fingerprint).next();
        if let Some(first) = first {
            self.leave(fingerprint, &first);
            self.ready.insert(first);
            self.leaders.insert(fingerprint, first);
        }
    }
}

impl Place {
    const FIRST: Place = Place {
        deadline: Timestamp::ZERO,
        sequence: 0,
        key: QueryKey(0),
    };
}
