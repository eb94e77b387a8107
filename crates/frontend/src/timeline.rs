//! The points in time of a query, from which clients, metrics and traces derive their figures.

use std::time::Duration;

use scheduler::Timestamp;
use wire::{
    query::{ContainerTimes, Lineage, Timing},
    rpc::{Times, Version},
};

/// The points in time of a query, by the engine's clock. Those of the model server are by its own
/// clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    pub(crate) arrived: Timestamp,
    /// Time at which the query's batch was sent; `None` if no batch with it was answered. It lies
    /// before `arrived` if the same input was being computed already.
    pub(crate) batch_sent: Option<Timestamp>,
    /// The replica's response; `None` if no replica answered, or the batch failed as a whole.
    pub(crate) served: Option<ReplicaResponse>,
    pub(crate) answered: Timestamp,
}

/// A replica's response to the batch of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicaResponse {
    pub(crate) replica_id: u32,
    pub(crate) dialect: Version,
    /// Number of queries in the batch.
    pub(crate) batch_size: usize,
    /// The model server's points in time, by its own clock; `None` if it does not state them.
    pub(crate) times: Option<Times>,
}

impl Timeline {
    /// Creates the timeline of a query that was in no answered batch.
    pub(crate) fn unsent(arrived: Timestamp, answered: Timestamp) -> Timeline {
        Timeline {
            arrived,
            batch_sent: None,
            served: None,
            answered,
        }
    }

    /// Returns the time from arrival to answer.
    pub(crate) fn latency(&self) -> Duration {
        self.answered.saturating_sub(self.arrived)
    }

    /// Returns the time from which a replica had the query: its arrival, if its batch was sent
    /// before.
    pub(crate) fn sent(&self) -> Option<Timestamp> {
        Some(self.batch_sent?.max(self.arrived))
    }

    /// Returns the duration of each stage in microseconds; all zero if no replica served the query.
    pub(crate) fn timing(&self) -> Timing {
        let (Some(served), Some(sent)) = (self.served, self.batch_sent) else {
            return Timing::default();
        };
        let times = served.times.unwrap_or_default();
        Timing {
            batch_size: u32::try_from(served.batch_size).unwrap_or(u32::MAX),
            replica_id: served.replica_id,
            queued: micros(sent.saturating_sub(self.arrived)),
            away: micros(self.answered.saturating_sub(sent)),
            waited: times.waited(),
            predicting: times.predicting(),
            replying: times.replying(),
        }
    }

    /// Returns the points in time since the Unix epoch; `clock_start` is the time at which the
    /// engine's clock started. The model server's are included in the high-performance dialect
    /// only, where they are by a shared clock.
    pub(crate) fn lineage(&self, clock_start: Duration) -> Lineage {
        let since_epoch = |time: Timestamp| micros(clock_start + time);
        let served = self.served;
        let served = served.filter(|served| served.dialect == Version::HighPerf);
        let container = served.and_then(|served| served.times);
        Lineage {
            arrived: since_epoch(self.arrived),
            sent: self.sent().map(since_epoch),
            container: container.map(|times| ContainerTimes {
                received: times.received,
                sent: times.sent,
            }),
            answered: since_epoch(self.answered),
        }
    }
}

/// Converts a duration to whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Timestamp {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_query_that_joined_a_running_batch_was_not_queued() {
        let timeline = Timeline {
            arrived: ms(15),
            batch_sent: Some(ms(10)),
            served: Some(ReplicaResponse {
                replica_id: 3,
                dialect: Version::V4,
                batch_size: 2,
                times: None,
            }),
            answered: ms(30),
        };
        let timing = timeline.timing();
        assert_eq!((timing.batch_size, timing.replica_id), (2, 3));
        assert_eq!((timing.queued, timing.away), (0, 20_000));
        assert_eq!(timeline.sent(), Some(ms(15)));
        assert_eq!(timeline.latency(), ms(15));
    }

    #[test]
    fn only_high_performance_servers_have_a_lineage_of_their_own() {
        let times = Times {
            received: 1,
            begun: 2,
            ended: 3,
            sent: 4,
        };
        for (dialect, container) in [
            (Version::V4, None),
            (
                Version::HighPerf,
                Some(ContainerTimes {
                    received: 1,
                    sent: 4,
                }),
            ),
        ] {
            let served = ReplicaResponse {
                replica_id: 0,
                dialect,
                batch_size: 1,
                times: Some(times),
            };
            let timeline = Timeline {
                batch_sent: Some(ms(2)),
                served: Some(served),
                ..Timeline::unsent(ms(1), ms(3))
            };
            let lineage = timeline.lineage(ms(1_000));
            assert_eq!(lineage.container, container);
            assert_eq!((lineage.arrived, lineage.answered), (1_001_000, 1_003_000));
        }
    }
}
