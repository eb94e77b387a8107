//! The queries that wait for a replica of one model version.

use std::collections::BTreeSet;

use crate::{Now, QueryKey};

/// Where a query stands: by its deadline, then by its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) deadline: Now,
    pub(crate) sequence: u64,
    pub(crate) key: QueryKey,
}

/// Queries in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Queue(BTreeSet<Place>);

impl Queue {
    pub(crate) fn push(&mut self, place: Place) {
        self.0.insert(place);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The query that is taken next.
    pub(crate) fn first(&self) -> Option<&Place> {
        self.0.first()
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Now> {
        Some(self.first()?.deadline)
    }

    /// Takes the first query.
    pub(crate) fn pop(&mut self) -> Option<QueryKey> {
        Some(self.0.pop_first()?.key)
    }

    /// Takes any query; false if it is not here.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        self.0.remove(place)
    }
}
