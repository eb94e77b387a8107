//! Reasons of the verdicts, each stated once: those of the whole sweep, and those of some points.

use std::cmp::Reverse;

use results::{Trial, VerdictReason, VerdictStatus, cores};

use crate::{config_row::ConfigRow, text::plural};

/// The distinct reasons of a sweep.
pub(crate) struct Reasons<'a> {
    /// Reasons that hold in the same words at every point that was measured.
    sweep: Vec<PointReason<'a>>,
    /// All other reasons: points that did not run first, then the worst.
    points: Vec<PointReason<'a>>,
    counts: PointCounts,
}

/// Number of points of a sweep.
#[derive(Clone, Copy)]
struct PointCounts {
    all: usize,
    measured: usize,
}

/// A reason, and the points that it is about.
struct PointReason<'a> {
    /// `None` if the point did not run.
    status: Option<VerdictStatus>,
    check: &'a str,
    text: &'a str,
    /// Numbers of rows, ascending.
    points: Vec<usize>,
    /// True if the points have different figures in the text.
    differs: bool,
}

impl<'a> Reasons<'a> {
    /// Collects the reasons of all rows.
    pub(crate) fn of(rows: &[ConfigRow<'a>]) -> Reasons<'a> {
        let mut all: Vec<PointReason<'a>> = Vec::new();
        for row in rows {
            let rounds = row.rounds.all().iter();
            for new in rounds.flat_map(|trial| reasons_of(trial, row.number)) {
                match all.iter_mut().find(|reason| reason.is_same(&new)) {
                    None => all.push(new),
                    Some(reason) => reason.merge(&new),
                }
            }
        }
        all.sort_by_key(|reason| (reason.status.is_some(), Reverse(reason.status)));
        let counts = PointCounts {
            all: rows.len(),
            measured: rows.iter().filter(|row| !row.not_run()).count(),
        };
        let (sweep, points) = all.into_iter().partition(|reason| reason.is_of(counts));
        Reasons {
            sweep,
            points,
            counts,
        }
    }

    /// Returns the reasons that hold for the whole sweep, one line each.
    pub(crate) fn of_sweep(&self) -> Vec<String> {
        self.lines(&self.sweep)
    }

    /// Returns the reasons that hold for some points, one line each.
    pub(crate) fn of_points(&self) -> Vec<String> {
        self.lines(&self.points)
    }

    /// Returns true if the reason is among those of the whole sweep.
    pub(crate) fn holds_for_sweep(&self, reason: &VerdictReason) -> bool {
        let same =
            |other: &PointReason<'_>| other.check == reason.check && other.text == reason.text;
        self.sweep.iter().any(same)
    }

    fn lines(&self, reasons: &[PointReason<'_>]) -> Vec<String> {
        let lines = reasons.iter().map(|reason| reason.line(self.counts));
        lines.collect()
    }
}

/// Lists the reasons of one trial; the only reason of a trial that did not run is why.
fn reasons_of(trial: &Trial, point: usize) -> Vec<PointReason<'_>> {
    let reason = |(status, check, text)| PointReason {
        status,
        check,
        text,
        points: vec![point],
        differs: false,
    };
    match trial.not_run() {
        Some(why) => vec![reason((None, "", why))],
        None => {
            let reasons = trial.verdict.reasons.iter();
            let reasons = reasons.map(|r| (Some(r.status), r.check.as_str(), r.text.as_str()));
            reasons.map(reason).collect()
        }
    }
}

impl PointReason<'_> {
    /// Returns true if one line can state both. Points that did not run are compared by the first
    /// line of their text, because a log follows it.
    fn is_same(&self, other: &PointReason<'_>) -> bool {
        let alike = (self.status, self.check) == (other.status, other.check);
        alike && (self.status.is_some() || self.text.lines().next() == other.text.lines().next())
    }

    fn merge(&mut self, other: &PointReason<'_>) {
        self.differs |= self.text != other.text;
        for &point in &other.points {
            if self.points.last() != Some(&point) {
                self.points.push(point);
            }
        }
    }

    /// Returns true if it holds for all of several points that were measured.
    fn is_of(&self, counts: PointCounts) -> bool {
        self.status.is_some()
            && !self.differs
            && counts.measured > 1
            && self.points.len() == counts.measured
    }

    /// For instance `SUSPECT, points 2-3: the mean batch has 4.20 of 8 queries`.
    fn line(&self, counts: PointCounts) -> String {
        let text = self.text;
        let status = self
            .status
            .map_or("NOT RUN".to_owned(), |status| status.to_string());
        let points = self.points(counts);
        match (self.status, self.differs) {
            (Some(_), true) => format!(
                "{status}, {points}: {text} (the figures are of point {})",
                self.points[0]
            ),
            _ => format!("{status}, {points}: {text}"),
        }
    }

    fn points(&self, counts: PointCounts) -> String {
        match self.points.len() {
            2 if counts.all == 2 => "both points".to_owned(),
            count if count > 1 && count == counts.all => format!("all {count} points"),
            count if self.is_of(counts) => format!("all {count} measured points"),
            count => format!("{} {}", plural(count, "point"), cores::show(&self.points)),
        }
    }
}
