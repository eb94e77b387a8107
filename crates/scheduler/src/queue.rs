//! The queries that wait for a replica of one model version.

use std::collections::BTreeSet;

use crate::{Now, QueryKey};

/// Queries in the order of their deadlines, and where those are equal, of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Queue(BTreeSet<(Now, u64, usize)>);

impl Queue {
    pub(crate) fn push(&mut self, deadline: Now, sequence: u64, query: QueryKey) {
        self.0.insert((deadline, sequence, query.0));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The query that is taken next, and its deadline.
    pub(crate) fn first(&self) -> Option<(QueryKey, Now)> {
        let (deadline, _, key) = self.0.first()?;
        Some((QueryKey(*key), *deadline))
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Now> {
        Some(self.first()?.1)
    }

    /// Takes the first query.
    pub(crate) fn pop(&mut self) -> Option<QueryKey> {
        self.0.pop_first().map(|(_, _, key)| QueryKey(key))
    }
}
