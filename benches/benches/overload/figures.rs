//! The figures of a load, from its queries.

use std::{ops::Range, time::Duration};

use crate::offered::{Ending, Sent};

/// Counts over the queries that were due in a window.
///
/// An answer is in time if it arrives within the objective of the query's send. The time that the
/// generator sends late does not count against the frontend, and is shown beside it; `p99` counts
/// from the intended send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) offered: u64,
    /// Answered by the model in time.
    pub(crate) in_time: u64,
    /// Answered by the model, but not in time.
    pub(crate) late: u64,
    /// Computed for nothing: answered late, or with the default output while a replica had them.
    pub(crate) too_late: u64,
    /// Answered with the default output without being computed.
    pub(crate) shed: u64,
    /// Refused, failed or never answered.
    pub(crate) errors: u64,
    /// 99th percentile of the model's answers, in milliseconds.
    pub(crate) p99_ms: f64,
    /// 99th percentile of the generator's lag, in milliseconds.
    pub(crate) lag_ms: f64,
}

impl Figures {
    pub(crate) fn of(queries: &[Sent], objective: Duration, window: &Range<Duration>) -> Figures {
        let inside = || {
            queries
                .iter()
                .filter(|query| window.contains(&query.intended))
        };
        let count = |of: &dyn Fn(&Sent) -> bool| inside().filter(|query| of(query)).count() as u64;
        let model = |query: &Sent| query.ending == Ending::Model;
        let in_time = |query: &Sent| model(query) && query.ended - query.sent <= objective;
        let late = count(&|query| model(query) && !in_time(query));
        let at_replica = count(&|query| query.ending == Ending::LateAtReplica);
        let answered = inside().filter(|query| model(query));
        Figures {
            seconds: (window.end - window.start).as_secs_f64(),
            offered: count(&|_| true),
            in_time: count(&in_time),
            late,
            too_late: late + at_replica,
            shed: count(&|query| query.ending == Ending::Shed),
            errors: count(&|query| matches!(query.ending, Ending::Error | Ending::Missing)),
            p99_ms: p99_ms(answered.map(|query| query.ended - query.intended)),
            lag_ms: p99_ms(inside().map(|query| query.sent - query.intended)),
        }
    }

    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    /// Late answers, as a share of the model's answers.
    pub(crate) fn late_share(&self) -> f64 {
        self.late as f64 / (self.in_time + self.late).max(1) as f64
    }

    /// Queries computed too late, as a share of those computed.
    pub(crate) fn too_late_share(&self) -> f64 {
        self.too_late as f64 / (self.in_time + self.too_late).max(1) as f64
    }

    /// Share of the offered queries that were answered in time.
    pub(crate) fn in_time_share(&self) -> f64 {
        self.in_time as f64 / self.offered.max(1) as f64
    }
}

fn p99_ms(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let rank = times.len() * 99 / 100;
    times
        .get(rank)
        .map_or(f64::NAN, |time| 1e3 * time.as_secs_f64())
}
