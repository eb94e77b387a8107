//! A replica as the scheduler sees it: what it has, and how fast it is.

use std::{collections::BTreeMap, collections::VecDeque, time::Duration};

use model::DataType;

use crate::{
    BatchId, Joining, ModelVersion, QueryKey, Rules, Timestamp,
    policy::{Policy, Sample},
};

/// How long before the expected end of the running batch the next one goes ahead, although it is not full. It covers
/// the way to the replica; it is cut to a quarter of the batch's time, so that fast models fill their batches.
const LEAD: Duration = Duration::from_millis(1);

/// A batch that takes so many times the longest one so far is not late any more, but hangs.
const HANGS: u32 = 10;

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) model: ModelVersion,
    pub(crate) input_type: DataType,
    pub(crate) max_batch: Option<usize>,
    /// The first one is computing, the others wait at the replica.
    pub(crate) in_flight: VecDeque<Batch>,
    pub(crate) last_sent: Timestamp,
    room: usize,
    /// It hangs: no more batches until it answers.
    pub(crate) hung: bool,
    policy: Policy,
    /// The longest batch so far.
    longest: Option<Duration>,
    /// When the first batch in flight began, as far as can be told from here.
    began: Timestamp,
    pace: Pace,
}

/// A batch that a replica has.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) queries: Vec<QueryKey>,
    pub(crate) sent: Timestamp,
    /// The earliest deadline among the queries that have not been given the default output.
    pub(crate) deadline: Timestamp,
    /// The shortest latency objective of its queries.
    pub(crate) objective: Duration,
}

impl Replica {
    pub(crate) fn new(joining: Joining, rules: &Rules) -> Replica {
        Replica {
            model: joining.model,
            input_type: joining.input_type,
            max_batch: joining.max_batch,
            in_flight: VecDeque::new(),
            last_sent: Timestamp::ZERO,
            room: joining.batches_in_flight.max(1),
            hung: false,
            policy: Policy::new(rules.adaptive),
            longest: None,
            began: Timestamp::ZERO,
            pace: Pace::default(),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.hung && self.in_flight.len() < self.room
    }

    /// The largest batch that it may get now; `of_version` is what the model's owner says, `left` the time until the
    /// first query's deadline.
    pub(crate) fn max_batch(&self, of_version: Option<usize>, left: Duration) -> usize {
        let max = of_version.unwrap_or_else(|| self.policy.max(left));
        max.min(self.max_batch.unwrap_or(max)).max(1)
    }

    /// Call it after a batch has been put in flight.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        self.last_sent = now;
        if self.in_flight.len() == 1 {
            self.began = now;
        }
    }

    /// Takes a batch out of flight because it has been answered.
    pub(crate) fn take(&mut self, id: BatchId, now: Timestamp) -> Option<Batch> {
        let position = self.in_flight.iter().position(|batch| batch.id == id)?;
        let batch = self.in_flight.remove(position)?;
        self.hung = false;
        if position == 0 {
            let (size, took) = (batch.queries.len(), now.saturating_sub(self.began));
            self.pace.learn(size, took);
            self.longest = self.longest.max(Some(took));
            self.policy.learn(Sample {
                size,
                took,
                objective: batch.objective,
            });
            self.began = now;
        }
        Some(batch)
    }

    /// Takes a batch out of flight that never flew, and all after it.
    pub(crate) fn take_back(&mut self, id: BatchId) -> VecDeque<Batch> {
        let position = self.in_flight.iter().position(|batch| batch.id == id);
        let position = position.unwrap_or(self.in_flight.len());
        self.in_flight.split_off(position)
    }

    /// When its running batch can no longer be taken for a slow one; `None` if it has none.
    pub(crate) fn hangs_at(&self, rules: &Rules) -> Option<Timestamp> {
        self.in_flight.front()?;
        let patience = self.longest.map_or(rules.first_batch, |longest| {
            rules.hang_floor.max(longest.saturating_mul(HANGS))
        });
        Some(self.began.saturating_add(patience))
    }

    /// When a further batch may go ahead that is not full; `None` if it may not, or not yet known.
    pub(crate) fn ahead_at(&self) -> Option<Timestamp> {
        let running = self.in_flight.front()?;
        if !self.has_room() {
            return None;
        }
        let expected = self.pace.expect(running.queries.len())?;
        Some(self.began + expected - LEAD.min(expected / 4))
    }
}

/// How long batches take, by their size.
#[derive(Debug, Default)]
struct Pace(BTreeMap<usize, Duration>);

impl Pace {
    /// Moves an eighth of the way to what was seen: smooth, and follows a change within a few batches.
    fn learn(&mut self, size: usize, took: Duration) {
        self.0
            .entry(size)
            .and_modify(|mean| *mean = (*mean * 7 + took) / 8)
            .or_insert(took);
    }

    fn expect(&self, size: usize) -> Option<Duration> {
        self.0.get(&size).copied()
    }
}
