//! The accounts of one client: every query must end exactly once, else the ledger reports a violation.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rustc_hash::FxBuildHasher;

use crate::{
    active_faults::{FaultSet, FaultSnapshot},
    run_state::QueryProgress,
};

/// The end of a query, as its client observed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryEnd {
    /// The model's correct answer.
    Correct,
    /// An answer that does not match the input.
    Wrong,
    /// The default output, with its reason.
    Default(String),
    /// A refusal, with its reason.
    Refused(String),
    /// An error of the model, with its reason.
    Failed(String),
    /// The connection broke before an answer.
    Disconnected,
    /// The frontend could not be reached.
    Unreachable,
    /// No answer within the timeout, over an intact connection.
    Lost,
}

/// Number of queries by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryTally {
    /// Correct answers within the latency objective, by the client's clock.
    pub in_time: u64,
    /// Correct answers beyond the latency objective.
    pub late: u64,
    /// Default outputs.
    pub default: u64,
    /// Refusals.
    pub refused: u64,
    /// Queries whose connection broke.
    pub disconnected: u64,
    /// Queries without a reachable frontend.
    pub unreachable: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Errors of the model.
    pub failed: u64,
    /// Queries without an answer within the timeout.
    pub lost: u64,
}

impl QueryTally {
    /// Number of all queries that ended.
    pub fn ended(&self) -> u64 {
        self.in_time + self.late + self.default + self.refused + self.errors() + self.violations()
    }

    /// Number of queries that ended with a connection error.
    pub fn errors(&self) -> u64 {
        self.disconnected + self.unreachable
    }

    /// Number of queries whose end is always a violation.
    fn violations(&self) -> u64 {
        self.wrong + self.failed + self.lost
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &QueryTally) {
        let QueryTally {
            in_time,
            late,
            default,
            refused,
            disconnected,
            unreachable,
            wrong,
            failed,
            lost,
        } = other;
        self.in_time += in_time;
        self.late += late;
        self.default += default;
        self.refused += refused;
        self.disconnected += disconnected;
        self.unreachable += unreachable;
        self.wrong += wrong;
        self.failed += failed;
        self.lost += lost;
    }
}

/// All counts of one client or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Queries sent.
    pub sent: u64,
    /// Tallies by the faults that were active when a query was sent or ended.
    pub by_faults: BTreeMap<FaultSet, QueryTally>,
    /// Answers to queries that had already ended.
    pub duplicates: u64,
    /// Answers to queries that were never sent.
    pub unknown: u64,
    /// Connection errors while the frontend was up.
    pub unexplained: u64,
    /// Number of queries without the model's answer, by reason.
    pub reasons: BTreeMap<String, u64>,
}

impl LedgerCounts {
    /// Returns the tally over all faults.
    pub fn total(&self) -> QueryTally {
        let mut total = QueryTally::default();
        self.by_faults.values().for_each(|tally| total.add(tally));
        total
    }

    /// Adds the counts of another client.
    pub fn add(&mut self, other: LedgerCounts) {
        self.sent += other.sent;
        for (faults, tally) in &other.by_faults {
            self.by_faults.entry(*faults).or_default().add(tally);
        }
        self.duplicates += other.duplicates;
        self.unknown += other.unknown;
        self.unexplained += other.unexplained;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    /// Lists the violations, one line each; empty if every query is accounted for.
    pub fn violations(&self) -> Vec<String> {
        let total = self.total();
        let unaccounted = self.sent.abs_diff(total.ended());
        let checks = [
            (
                total.lost,
                "queries were lost: no answer within the timeout",
            ),
            (
                unaccounted,
                "queries are unaccounted for: a bug in this program's counting",
            ),
            (
                self.duplicates,
                "answers arrived for queries that had already ended",
            ),
            (
                self.unknown,
                "answers arrived for queries that were never sent",
            ),
            (total.wrong, "answers do not match their inputs"),
            (
                total.failed,
                "queries ended with a model error, although these models never fail",
            ),
            (
                self.unexplained,
                "queries ended with a connection error while the frontend was up",
            ),
        ];
        let violated = checks.iter().filter(|(count, _)| *count > 0);
        violated
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// The open queries of one client, and its counts.
#[derive(Debug)]
pub struct Ledger {
    objective: Duration,
    timeout: Duration,
    next: u32,
    open: HashMap<u32, OpenQuery, FxBuildHasher>,
    /// Tallies by index of the fault set, which avoids a map look-up per query.
    by_faults: Vec<QueryTally>,
    counts: LedgerCounts,
}

#[derive(Clone, Copy, Debug)]
struct OpenQuery {
    sent: Instant,
    faults: FaultSet,
}

impl Ledger {
    /// Creates an empty ledger. An answer within `objective` is in time. A query without an end after
    /// `timeout` counts as lost.
    pub fn new(objective: Duration, timeout: Duration) -> Ledger {
        Ledger {
            objective,
            timeout,
            next: 0,
            open: HashMap::default(),
            by_faults: vec![QueryTally::default(); FaultSet::COMBINATIONS],
            counts: LedgerCounts::default(),
        }
    }

    /// Opens a query that is sent at `now`, and returns its number.
    pub fn send(&mut self, now: Instant, active: FaultSnapshot) -> u32 {
        let number = self.next;
        self.next += 1;
        self.counts.sent += 1;
        let open = OpenQuery {
            sent: now,
            faults: active.faults,
        };
        self.open.insert(number, open);
        number
    }

    /// Closes a query.
    pub fn end(&mut self, number: u32, end: QueryEnd, now: Instant, active: FaultSnapshot) {
        match self.open.remove(&number) {
            Some(open) => self.count(open, end, now, active),
            None if number < self.next => self.counts.duplicates += 1,
            None => self.counts.unknown += 1,
        }
    }

    /// Closes every open query with the same error, for instance because the connection broke. A query that
    /// is older than the timeout counts as lost, so that a crash of the frontend does not hide a lost query.
    pub fn end_all(&mut self, end: &QueryEnd, now: Instant, active: FaultSnapshot) {
        for (_, open) in std::mem::take(&mut self.open) {
            let overdue = now.saturating_duration_since(open.sent) > self.timeout;
            let end = if overdue { &QueryEnd::Lost } else { end };
            self.count(open, end.clone(), now, active);
        }
    }

    /// Number of queries in flight.
    pub fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Time after which an open query counts as lost.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Progress of the client.
    pub fn progress(&self) -> QueryProgress {
        let in_time = self.by_faults.iter().map(|tally| tally.in_time);
        QueryProgress {
            sent: self.counts.sent,
            in_time: in_time.sum(),
        }
    }

    /// Counts all open queries as lost, returns the counts, and resets them. Query numbers continue.
    pub fn close(&mut self, now: Instant, active: FaultSnapshot) -> LedgerCounts {
        for (_, open) in std::mem::take(&mut self.open) {
            self.count(open, QueryEnd::Lost, now, active);
        }
        let mut counts = std::mem::take(&mut self.counts);
        for (index, tally) in self.by_faults.iter_mut().enumerate() {
            let tally = std::mem::take(tally);
            if tally.ended() > 0 {
                counts.by_faults.insert(FaultSet::from_index(index), tally);
            }
        }
        counts
    }

    /// Counts the end of a query.
    fn count(&mut self, open: OpenQuery, end: QueryEnd, now: Instant, active: FaultSnapshot) {
        let tally = &mut self.by_faults[open.faults.or(active.faults).index()];
        let in_time = now.saturating_duration_since(open.sent) <= self.objective;
        let count = match &end {
            QueryEnd::Correct if in_time => &mut tally.in_time,
            QueryEnd::Correct => &mut tally.late,
            QueryEnd::Wrong => &mut tally.wrong,
            QueryEnd::Default(_) => &mut tally.default,
            QueryEnd::Refused(_) => &mut tally.refused,
            QueryEnd::Failed(_) => &mut tally.failed,
            QueryEnd::Disconnected => &mut tally.disconnected,
            QueryEnd::Unreachable => &mut tally.unreachable,
            QueryEnd::Lost => &mut tally.lost,
        };
        *count += 1;
        match end {
            QueryEnd::Default(reason) | QueryEnd::Refused(reason) | QueryEnd::Failed(reason) => {
                *self.counts.reasons.entry(reason).or_default() += 1;
            }
            QueryEnd::Disconnected | QueryEnd::Unreachable if !active.outage => {
                self.counts.unexplained += 1
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active_faults::Fault;

    const OBJECTIVE: Duration = Duration::from_millis(100);
    const TIMEOUT: Duration = Duration::from_secs(10);
    const NO_FAULT: FaultSnapshot = FaultSnapshot {
        faults: FaultSet::NONE,
        outage: false,
    };
    const OUTAGE: FaultSnapshot = FaultSnapshot {
        faults: FaultSet::NONE,
        outage: true,
    };

    fn ledger() -> (Ledger, Instant) {
        (Ledger::new(OBJECTIVE, TIMEOUT), Instant::now())
    }

    fn violations(ledger: &mut Ledger, now: Instant) -> Vec<String> {
        ledger.close(now, NO_FAULT).violations()
    }

    #[test]
    fn queries_that_end_once_violate_nothing() {
        let (mut ledger, now) = ledger();
        let ends = [
            QueryEnd::Correct,
            QueryEnd::Default("timed out in queue".into()),
            QueryEnd::Refused("overloaded".into()),
            QueryEnd::Disconnected,
            QueryEnd::Unreachable,
        ];
        for end in ends {
            let number = ledger.send(now, OUTAGE);
            ledger.end(number, end, now, OUTAGE);
        }
        let counts = ledger.close(now, NO_FAULT);
        assert_eq!(counts.violations(), [""; 0]);
        let total = counts.total();
        assert_eq!((counts.sent, total.ended(), total.in_time), (5, 5, 1));
        assert_eq!((total.default, total.refused, total.errors()), (1, 1, 2));
        assert_eq!(counts.reasons.len(), 2);
    }

    #[test]
    fn a_query_without_an_end_is_lost() {
        let (mut ledger, now) = ledger();
        let [_, second, _] = [(); 3].map(|()| ledger.send(now, NO_FAULT));
        ledger.end(second, QueryEnd::Correct, now, NO_FAULT);
        let found = violations(&mut ledger, now);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("2 queries were lost"), "{found:?}");
    }

    #[test]
    fn an_answer_after_a_default_output_is_a_violation() {
        let (mut ledger, now) = ledger();
        let number = ledger.send(now, NO_FAULT);
        ledger.end(number, QueryEnd::Default("late".into()), now, NO_FAULT);
        ledger.end(number, QueryEnd::Correct, now, NO_FAULT);
        let found = violations(&mut ledger, now);
        assert_eq!(
            found,
            ["1 answers arrived for queries that had already ended"]
        );
    }

    #[test]
    fn unknown_and_wrong_answers_are_violations() {
        let (mut ledger, now) = ledger();
        let number = ledger.send(now, NO_FAULT);
        ledger.end(number + 1, QueryEnd::Correct, now, NO_FAULT);
        ledger.end(number, QueryEnd::Wrong, now, NO_FAULT);
        let found = violations(&mut ledger, now);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("never sent"), "{found:?}");
        assert!(found[1].contains("do not match"), "{found:?}");
    }

    #[test]
    fn connection_errors_are_allowed_only_during_an_outage() {
        let (mut ledger, now) = ledger();
        ledger.send(now, NO_FAULT);
        ledger.end_all(&QueryEnd::Disconnected, now, OUTAGE);
        assert_eq!(
            (ledger.in_flight(), violations(&mut ledger, now).len()),
            (0, 0)
        );
        ledger.send(now, NO_FAULT);
        ledger.end_all(&QueryEnd::Disconnected, now, NO_FAULT);
        let found = violations(&mut ledger, now);
        assert_eq!(
            found,
            ["1 queries ended with a connection error while the frontend was up"]
        );
    }

    #[test]
    fn queries_overdue_at_a_crash_count_as_lost() {
        let (mut ledger, now) = ledger();
        ledger.send(now, NO_FAULT);
        ledger.end_all(&QueryEnd::Disconnected, now + TIMEOUT + OBJECTIVE, OUTAGE);
        let total = ledger.close(now, NO_FAULT).total();
        assert_eq!((total.lost, total.disconnected), (1, 0));
    }

    #[test]
    fn late_answers_count_under_all_faults_they_met() {
        let (mut ledger, now) = ledger();
        let snapshot = |faults: &[Fault]| FaultSnapshot {
            faults: FaultSet::of(faults.iter().copied()),
            outage: false,
        };
        let number = ledger.send(now, snapshot(&[Fault::SlowedReplica]));
        let later = now + 2 * OBJECTIVE;
        ledger.end(
            number,
            QueryEnd::Correct,
            later,
            snapshot(&[Fault::StoppedReplica]),
        );
        let counts = ledger.close(now, NO_FAULT);
        let both = FaultSet::of([Fault::SlowedReplica, Fault::StoppedReplica]);
        assert_eq!(counts.by_faults.keys().collect::<Vec<_>>(), [&both]);
        assert_eq!(counts.total().late, 1);
    }

    #[test]
    fn counts_of_clients_add_up() {
        let (mut ledger, now) = ledger();
        let mut all = LedgerCounts::default();
        for _ in 0..2 {
            let number = ledger.send(now, NO_FAULT);
            ledger.end(number, QueryEnd::Default("x".into()), now, NO_FAULT);
            ledger.end(number, QueryEnd::Correct, now, NO_FAULT);
            ledger.end(1_000, QueryEnd::Correct, now, NO_FAULT);
            ledger.send(now, NO_FAULT);
            ledger.end_all(&QueryEnd::Disconnected, now, NO_FAULT);
            all.add(ledger.close(now, NO_FAULT));
        }
        assert_eq!((all.sent, all.total().ended()), (4, 4));
        assert_eq!((all.duplicates, all.unknown, all.unexplained), (2, 2, 2));
        assert_eq!(all.reasons["x"], 2);
    }
}
