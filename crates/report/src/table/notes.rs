//! What must be known to read the table: what all points have in common, and each reason of a verdict once.

use std::cmp::Reverse;

use results::{Arrivals, ReplicaResult, Status, Trial, cores};

use super::row::Row;

pub(super) fn notes(results: &[Trial], rows: &[Row<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let runs = results.iter().filter_map(Trial::accuracy);
    notes.extend(runs.map(|run| run.note.clone()).next());
    if rows.iter().any(|row| row.rounds.all().len() > 1) {
        notes.push(
            "each number is the median of a point's rounds that are VALID or SUSPECT; its verdict is the worst of all its rounds"
                .to_owned(),
        );
    }
    notes.extend(rows.iter().filter_map(left_out));
    notes.extend(cut(results));
    notes.extend(sharing(results));
    notes.extend(untrained(results));
    notes.extend(differing(results));
    notes.extend(offline(results));
    notes.extend(reasons(rows));
    notes
}

/// Rounds that a row's numbers are not of.
fn left_out(row: &Row<'_>) -> Option<String> {
    let counts = row.rounds.counts();
    let partly = counts.counted > 0 && counts.left_out().is_some();
    partly.then(|| format!("point {}: {counts}", row.number))
}

/// A trace of which only the beginning was sent.
fn cut(results: &[Trial]) -> Option<String> {
    let speeds = results.iter().filter_map(Trial::speed);
    let mut phases = speeds.flat_map(|speed| &speed.phases);
    phases.find_map(|phase| match &phase.arrivals {
        Arrivals::Trace {
            file,
            arrivals,
            seconds,
            left_out: left_out @ 1..,
            ..
        } => Some(format!(
            "the trace {file} was cut: its last {left_out} of {arrivals} arrivals were not sent; it takes {seconds} s, so \
             --duration_seconds {:.0} sends them all",
            seconds.ceil()
        )),
        _ => None,
    })
}

/// Who shares cores with whom, where anything ran.
fn sharing(results: &[Trial]) -> Option<String> {
    let mut sharing: Vec<&str> = Vec::new();
    for result in results.iter().filter(|result| result.not_run().is_none()) {
        if !sharing.contains(&result.pinning.as_str()) {
            sharing.push(&result.pinning);
        }
    }
    (!sharing.is_empty()).then(|| format!("cores: {}", sharing.join("; or ")))
}

fn untrained(results: &[Trial]) -> Option<String> {
    let replicas = results.iter().flat_map(|result| &result.replicas);
    let mut artifacts = replicas.filter_map(ReplicaResult::artifact);
    let artifact = artifacts.find(|artifact| !artifact.trained)?;
    Some(format!(
        "{} is not trained, so only its speed means anything: {}",
        artifact.file, artifact.provenance
    ))
}

/// What should be the same at all points, and is not: a sweep may be resumed later, or elsewhere.
fn differing(results: &[Trial]) -> Vec<String> {
    let artifacts = results.iter().filter_map(|result| {
        let mut replicas = result.replicas.iter();
        replicas.find_map(ReplicaResult::artifact)
    });
    let differ = [
        ("machine", differ(results.iter().map(|r| &r.machine))),
        ("versions", differ(results.iter().map(|r| &r.versions))),
        ("artifact", differ(artifacts)),
    ];
    let differ = differ.into_iter().filter(|(_, differ)| *differ);
    differ
        .map(|(what, _)| {
            format!(
                "NOT all points were measured with the same {what}: see their files before you compare them"
            )
        })
        .collect()
}

fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.any(|value| Some(&value) != first.as_ref())
}

/// How the served answers compare with the offline evaluation.
fn offline(results: &[Trial]) -> Option<String> {
    let runs: Vec<_> = results.iter().filter_map(Trial::accuracy).collect();
    let first = runs.first()?;
    let equal = runs.iter().all(|run| run.equals_offline == Some(true));
    Some(match (&first.offline, equal) {
        (None, _) => "the artifact's metadata has no offline evaluation of as many inputs, so nothing is compared".to_owned(),
        (Some(_), true) => "as many answers are right as in the artifact's offline evaluation".to_owned(),
        (Some(_), false) => "the served answers DIFFER from the artifact's offline evaluation".to_owned(),
    })
}

/// Something that is held against points.
struct Held<'a> {
    /// `None` where nothing was measured.
    status: Option<Status>,
    check: &'a str,
    text: &'a str,
    points: Vec<usize>,
    /// True if each has figures of its own in the text.
    differs: bool,
}

/// Each reason once, what could not run first, then the worst.
fn reasons(rows: &[Row<'_>]) -> Vec<String> {
    let mut all: Vec<Held<'_>> = Vec::new();
    for row in rows {
        for new in row
            .rounds
            .all()
            .iter()
            .flat_map(|result| held(result, row.number))
        {
            match all.iter_mut().find(|held| held.same(&new)) {
                None => all.push(new),
                Some(held) => {
                    held.differs |= held.text != new.text;
                    if held.points.last() != Some(&row.number) {
                        held.points.push(row.number);
                    }
                }
            }
        }
    }
    all.sort_by_key(|held| (held.status.is_some(), Reverse(held.status)));
    all.iter().map(|held| held.said(rows.len())).collect()
}

fn held(result: &Trial, point: usize) -> Vec<Held<'_>> {
    let held = |(status, check, text)| Held {
        status,
        check,
        text,
        points: vec![point],
        differs: false,
    };
    match result.not_run() {
        Some(why) => vec![held((None, "", why))],
        None => {
            let reasons = result.verdict.reasons.iter();
            let reasons = reasons.map(|r| (Some(r.status), r.check.as_str(), r.text.as_str()));
            reasons.map(held).collect()
        }
    }
}

impl Held<'_> {
    /// True if one line can say both: where nothing was measured, the first line tells what is behind it.
    fn same(&self, other: &Held<'_>) -> bool {
        let alike = (self.status, self.check) == (other.status, other.check);
        alike && (self.status.is_some() || self.text.lines().next() == other.text.lines().next())
    }

    fn said(&self, rows: usize) -> String {
        let points = match &self.points[..] {
            points if points.len() == rows && rows > 1 => format!("all {rows} points"),
            [point] => format!("point {point}"),
            points => format!("points {}", cores::show(points)),
        };
        let text = self.text;
        match self.status {
            None => format!("NOT RUN, {points}: {text}"),
            Some(status) if self.differs => format!(
                "{status}, {points}: {text} (the figures are of point {})",
                self.points[0]
            ),
            Some(status) => format!("{status}, {points}: {text}"),
        }
    }
}
