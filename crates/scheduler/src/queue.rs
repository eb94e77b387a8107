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

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Now> {
        self.0.first().map(|(deadline, _, _)| *deadline)
    }

    /// Takes a query whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Now) -> Option<QueryKey> {
        if self.earliest()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, _, key)| QueryKey(key))
    }

    /// Takes the first queries, at most `max`. One that must go alone is a batch of its own.
    pub(crate) fn take_batch(
        &mut self,
        max: usize,
        alone: impl Fn(QueryKey) -> bool,
    ) -> Vec<QueryKey> {
        let mut batch = Vec::with_capacity(max.min(self.len()));
        while batch.len() < max {
            let Some((_, _, key)) = self.0.first() else {
                break;
            };
            let key = QueryKey(*key);
            let goes_alone = alone(key);
            if goes_alone && !batch.is_empty() {
                break;
            }
            self.0.pop_first();
            batch.push(key);
            if goes_alone {
                break;
            }
        }
        batch
    }
}
