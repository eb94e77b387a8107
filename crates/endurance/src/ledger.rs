//! The accounting of one client: every query ends exactly once, or the ledger says what went wrong.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rustc_hash::FxBuildHasher;

use crate::{
    shared::Asked,
    weather::{Faults, Sky},
};

/// How a query ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the model's answer, which is right.
    Right,
    /// With an answer that does not belong to the question.
    Wrong,
    /// With the default output, for this reason.
    Default(String),
    /// Refused, for this reason.
    Refused(String),
    /// The model failed on it, for this reason.
    Failed(String),
    /// The connection broke while it waited.
    CutOff,
    /// There was nobody to ask.
    Unreachable,
    /// Nothing came within the client's patience, although the connection stood.
    Lost,
}

/// How many queries ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// With the right answer within the latency objective, by the client's clock.
    pub in_time: u64,
    /// With the right answer, later.
    pub late: u64,
    /// With the default output.
    pub default: u64,
    /// Refused.
    pub refused: u64,
    /// The connection broke.
    pub cut_off: u64,
    /// There was nobody to ask.
    pub unreachable: u64,
    /// A wrong answer.
    pub wrong: u64,
    /// The model failed.
    pub failed: u64,
    /// No end.
    pub lost: u64,
}

impl Tally {
    /// All of them.
    pub fn ended(&self) -> u64 {
        self.in_time + self.late + self.default + self.refused + self.errors() + self.bad()
    }

    /// Those that ended with an error at the client.
    pub fn errors(&self) -> u64 {
        self.cut_off + self.unreachable
    }

    /// Those that must not be.
    fn bad(&self) -> u64 {
        self.wrong + self.failed + self.lost
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Tally) {
        let Tally {
            in_time,
            late,
            default,
            refused,
            cut_off,
            unreachable,
            wrong,
            failed,
            lost,
        } = other;
        self.in_time += in_time;
        self.late += late;
        self.default += default;
        self.refused += refused;
        self.cut_off += cut_off;
        self.unreachable += unreachable;
        self.wrong += wrong;
        self.failed += failed;
        self.lost += lost;
    }
}

/// All that a client, or several, have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queries asked.
    pub asked: u64,
    /// How they ended, by the faults that were there when they were asked or ended.
    pub ended: BTreeMap<Faults, Tally>,
    /// Answers to queries that had ended already.
    pub doubled: u64,
    /// Answers to queries that nobody asked.
    pub strange: u64,
    /// Errors while the frontend was there: nothing explains them.
    pub unexplained: u64,
    /// Why queries ended otherwise than with an answer, and how many.
    pub reasons: BTreeMap<String, u64>,
}

impl Counts {
    /// How they ended, whatever the faults.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.ended.values().for_each(|tally| total.add(tally));
        total
    }

    /// Adds another client's.
    pub fn add(&mut self, other: Counts) {
        self.asked += other.asked;
        for (faults, tally) in &other.ended {
            self.ended.entry(*faults).or_default().add(tally);
        }
        self.doubled += other.doubled;
        self.strange += other.strange;
        self.unexplained += other.unexplained;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    /// What must not be, a line each; none if every query is accounted for.
    pub fn violations(&self) -> Vec<String> {
        let total = self.total();
        let unaccounted = self.asked.abs_diff(total.ended());
        let facts = [
            (
                total.lost,
                "queries were lost: no end came within the client's patience",
            ),
            (
                unaccounted,
                "queries are not accounted for: this program counts wrongly",
            ),
            (
                self.doubled,
                "answers came to queries that had ended already",
            ),
            (self.strange, "answers came to queries that nobody asked"),
            (total.wrong, "answers do not belong to their questions"),
            (
                total.failed,
                "queries ended with a model's failure, and none of these models fails",
            ),
            (
                self.unexplained,
                "queries ended with an error while the frontend was there",
            ),
        ];
        let broken = facts.iter().filter(|(count, _)| *count > 0);
        broken
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// One client's queries that have not ended, and its counts.
#[derive(Debug)]
pub struct Ledger {
    objective: Duration,
    patience: Duration,
    next: u32,
    open: HashMap<u32, Open, FxBuildHasher>,
    /// By the index of the faults: a look-up less for each query than in [`Counts`].
    ended: Vec<Tally>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    at: Instant,
    faults: Faults,
}

impl Ledger {
    /// An answer is in time within `objective`. A query that has not ended within `patience` is lost, unless it ends
    /// later.
    pub fn new(objective: Duration, patience: Duration) -> Ledger {
        Ledger {
            objective,
            patience,
            next: 0,
            open: HashMap::default(),
            ended: vec![Tally::default(); Faults::COMBINATIONS],
            counts: Counts::default(),
        }
    }

    /// A query is asked now. Answers its number.
    pub fn ask(&mut self, now: Instant, sky: Sky) -> u32 {
        let number = self.next;
        self.next += 1;
        self.counts.asked += 1;
        let faults = sky.faults;
        self.open.insert(number, Open { at: now, faults });
        number
    }

    /// A query ends.
    pub fn end(&mut self, number: u32, ending: Ending, now: Instant, sky: Sky) {
        match self.open.remove(&number) {
            Some(open) => self.count(open, ending, now, sky),
            None if number < self.next => self.counts.doubled += 1,
            None => self.counts.strange += 1,
        }
    }

    /// Every open query ends with the same error, for instance because the connection broke. One that had been open for
    /// longer than the patience was lost before: a frontend that dies must not cover for one that forgets.
    pub fn end_all(&mut self, ending: &Ending, now: Instant, sky: Sky) {
        for (_, open) in std::mem::take(&mut self.open) {
            let overdue = now.saturating_duration_since(open.at) > self.patience;
            let ending = if overdue { &Ending::Lost } else { ending };
            self.count(open, ending.clone(), now, sky);
        }
    }

    /// How many queries have not ended.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The client's patience.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How far the client is.
    pub fn progress(&self) -> Asked {
        let in_time = self.ended.iter().map(|tally| tally.in_time);
        Asked {
            asked: self.counts.asked,
            in_time: in_time.sum(),
        }
    }

    /// Closes the account: what has not ended is lost. Gives the counts and begins anew; numbers go on.
    pub fn close(&mut self, now: Instant, sky: Sky) -> Counts {
        for (_, open) in std::mem::take(&mut self.open) {
            self.count(open, Ending::Lost, now, sky);
        }
        let mut counts = std::mem::take(&mut self.counts);
        for (index, tally) in self.ended.iter_mut().enumerate() {
            let tally = std::mem::take(tally);
            if tally.ended() > 0 {
                counts.ended.insert(Faults::from_index(index), tally);
            }
        }
        counts
    }

    fn count(&mut self, open: Open, ending: Ending, now: Instant, sky: Sky) {
        let tally = &mut self.ended[open.faults.or(sky.faults).index()];
        let in_time = now.saturating_duration_since(open.at) <= self.objective;
        let place = match &ending {
            Ending::Right if in_time => &mut tally.in_time,
            Ending::Right => &mut tally.late,
            Ending::Wrong => &mut tally.wrong,
            Ending::Default(_) => &mut tally.default,
            Ending::Refused(_) => &mut tally.refused,
            Ending::Failed(_) => &mut tally.failed,
            Ending::CutOff => &mut tally.cut_off,
            Ending::Unreachable => &mut tally.unreachable,
            Ending::Lost => &mut tally.lost,
        };
        *place += 1;
        match ending {
            Ending::Default(reason) | Ending::Refused(reason) | Ending::Failed(reason) => {
                *self.counts.reasons.entry(reason).or_default() += 1;
            }
            Ending::CutOff | Ending::Unreachable if !sky.outage => self.counts.unexplained += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::Fault;

    const OBJECTIVE: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(10);
    const CLEAR: Sky = Sky {
        faults: Faults::NONE,
        outage: false,
    };
    const OUTAGE: Sky = Sky {
        faults: Faults::NONE,
        outage: true,
    };

    fn ledger() -> (Ledger, Instant) {
        (Ledger::new(OBJECTIVE, PATIENCE), Instant::now())
    }

    fn violations(ledger: &mut Ledger, now: Instant) -> Vec<String> {
        ledger.close(now, CLEAR).violations()
    }

    #[test]
    fn queries_that_end_once_however_they_end_violate_nothing_and_add_up() {
        let (mut ledger, now) = ledger();
        let endings = [
            Ending::Right,
            Ending::Default("timed out in queue".into()),
            Ending::Refused("overloaded".into()),
            Ending::CutOff,
            Ending::Unreachable,
        ];
        for ending in endings {
            let number = ledger.ask(now, OUTAGE);
            ledger.end(number, ending, now, OUTAGE);
        }
        let counts = ledger.close(now, CLEAR);
        assert_eq!(counts.violations(), [""; 0]);
        let total = counts.total();
        assert_eq!((counts.asked, total.ended(), total.in_time), (5, 5, 1));
        assert_eq!((total.default, total.refused, total.errors()), (1, 1, 2));
        assert_eq!(counts.reasons.len(), 2);
    }

    #[test]
    fn a_query_without_an_end_is_lost() {
        let (mut ledger, now) = ledger();
        let [_, second, _] = [(); 3].map(|()| ledger.ask(now, CLEAR));
        ledger.end(second, Ending::Right, now, CLEAR);
        let found = violations(&mut ledger, now);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("2 queries were lost"), "{found:?}");
    }

    #[test]
    fn a_query_that_ends_twice_is_found_also_if_the_first_end_was_a_default() {
        let (mut ledger, now) = ledger();
        let number = ledger.ask(now, CLEAR);
        ledger.end(number, Ending::Default("late".into()), now, CLEAR);
        ledger.end(number, Ending::Right, now, CLEAR);
        let found = violations(&mut ledger, now);
        assert_eq!(found, ["1 answers came to queries that had ended already"]);
    }

    #[test]
    fn an_answer_to_no_question_and_one_to_another_question_are_found() {
        let (mut ledger, now) = ledger();
        let number = ledger.ask(now, CLEAR);
        ledger.end(number + 1, Ending::Right, now, CLEAR);
        ledger.end(number, Ending::Wrong, now, CLEAR);
        let found = violations(&mut ledger, now);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("nobody asked"), "{found:?}");
        assert!(found[1].contains("do not belong"), "{found:?}");
    }

    #[test]
    fn a_broken_connection_ends_what_waits_and_is_excused_only_while_the_frontend_is_gone() {
        let (mut ledger, now) = ledger();
        ledger.ask(now, CLEAR);
        ledger.end_all(&Ending::CutOff, now, OUTAGE);
        assert_eq!((ledger.open(), violations(&mut ledger, now).len()), (0, 0));
        ledger.ask(now, CLEAR);
        ledger.end_all(&Ending::CutOff, now, CLEAR);
        let found = violations(&mut ledger, now);
        assert_eq!(
            found,
            ["1 queries ended with an error while the frontend was there"]
        );
    }

    #[test]
    fn a_query_that_was_overdue_when_the_frontend_died_was_lost_before() {
        let (mut ledger, now) = ledger();
        ledger.ask(now, CLEAR);
        ledger.end_all(&Ending::CutOff, now + PATIENCE + OBJECTIVE, OUTAGE);
        let total = ledger.close(now, CLEAR).total();
        assert_eq!((total.lost, total.cut_off), (1, 0));
    }

    #[test]
    fn an_answer_counts_under_the_faults_that_it_met_and_late_beyond_the_objective() {
        let (mut ledger, now) = ledger();
        let sky = |faults: &[Fault]| Sky {
            faults: Faults::of(faults.iter().copied()),
            outage: false,
        };
        let number = ledger.ask(now, sky(&[Fault::SlowedReplica]));
        let later = now + 2 * OBJECTIVE;
        ledger.end(number, Ending::Right, later, sky(&[Fault::StoppedReplica]));
        let counts = ledger.close(now, CLEAR);
        let both = Faults::of([Fault::SlowedReplica, Fault::StoppedReplica]);
        assert_eq!(counts.ended.keys().collect::<Vec<_>>(), [&both]);
        assert_eq!(counts.total().late, 1);
    }

    #[test]
    fn counts_of_clients_add_up() {
        let (mut ledger, now) = ledger();
        let mut all = Counts::default();
        for _ in 0..2 {
            let number = ledger.ask(now, CLEAR);
            ledger.end(number, Ending::Default("x".into()), now, CLEAR);
            ledger.end(number, Ending::Right, now, CLEAR);
            ledger.end(1_000, Ending::Right, now, CLEAR);
            ledger.ask(now, CLEAR);
            ledger.end_all(&Ending::CutOff, now, CLEAR);
            all.add(ledger.close(now, CLEAR));
        }
        assert_eq!((all.asked, all.total().ended()), (4, 4));
        assert_eq!((all.doubled, all.strange, all.unexplained), (2, 2, 2));
        assert_eq!(all.reasons["x"], 2);
    }
}
