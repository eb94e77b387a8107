//! What must be known to read the table: what all points have in common, and each reason of a verdict once.

use super::Row;
use crate::{
    cores,
    report::DEBUG_BUILD,
    results::{NOT_RUN, PointResult, Reason, ReplicaResult},
};

pub(super) fn notes(results: &[PointResult], rows: &[Row<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let runs = results.iter().filter_map(PointResult::accuracy);
    notes.extend(runs.map(|run| run.note.clone()).next());
    if rows.iter().any(|row| row.rounds.len() > 1) {
        notes.push(
            "each number is the median of a point's rounds, and its verdict the worst".to_owned(),
        );
    }
    notes.push(format!("cores: {}", results[0].pinning));
    notes.extend(untrained(results));
    if results.iter().any(|r| r.versions.profile == "debug") {
        notes.push(DEBUG_BUILD.to_owned());
    }
    notes.extend(differing(results));
    notes.extend(offline(results));
    notes.extend(reasons(rows));
    notes
}

fn untrained(results: &[PointResult]) -> Option<String> {
    let replicas = results.iter().flat_map(|result| &result.replicas);
    let mut artifacts = replicas.filter_map(ReplicaResult::artifact);
    let artifact = artifacts.find(|artifact| !artifact.trained)?;
    Some(format!(
        "{} is not trained, so only its speed means anything: {}",
        artifact.file, artifact.provenance
    ))
}

/// What should be the same at all points, and is not: a sweep may be resumed later, or elsewhere.
fn differing(results: &[PointResult]) -> Vec<String> {
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
fn offline(results: &[PointResult]) -> Option<String> {
    let runs: Vec<_> = results.iter().filter_map(PointResult::accuracy).collect();
    let first = runs.first()?;
    let equal = runs.iter().all(|run| run.equals_offline == Some(true));
    Some(match (&first.offline, equal) {
        (None, _) => "the artifact's metadata has no offline evaluation of as many inputs, so nothing is compared".to_owned(),
        (Some(_), true) => "as many answers are right as in the artifact's offline evaluation".to_owned(),
        (Some(_), false) => "the served answers DIFFER from the artifact's offline evaluation".to_owned(),
    })
}

/// A reason, and the points that it is held against.
struct Held<'a> {
    reason: &'a Reason,
    points: Vec<usize>,
    /// True if each has figures of its own in the text.
    differs: bool,
}

/// Each reason once, the worst first.
fn reasons(rows: &[Row<'_>]) -> Vec<String> {
    let mut all: Vec<Held<'_>> = Vec::new();
    for row in rows {
        for reason in row.rounds.iter().flat_map(|r| &r.verdict.reasons) {
            match all.iter_mut().find(|held| same(held.reason, reason)) {
                None => all.push(Held {
                    reason,
                    points: vec![row.number],
                    differs: false,
                }),
                Some(held) => {
                    held.differs |= held.reason.text != reason.text;
                    if held.points.last() != Some(&row.number) {
                        held.points.push(row.number);
                    }
                }
            }
        }
    }
    all.sort_by_key(|held| std::cmp::Reverse(held.reason.status));
    let said = all.iter().map(|held| said(held, rows.len()));
    said.collect()
}

/// True if one line can say both: of what could not run, the first line tells what is behind it.
fn same(a: &Reason, b: &Reason) -> bool {
    let line = |reason: &Reason| reason.text.lines().next().map(str::to_owned);
    (a.status, &a.check) == (b.status, &b.check) && (a.check != NOT_RUN || line(a) == line(b))
}

fn said(held: &Held<'_>, rows: usize) -> String {
    let Reason {
        status,
        check,
        text,
    } = held.reason;
    let points = match &held.points[..] {
        points if points.len() == rows && rows > 1 => format!("all {rows} points"),
        [point] => format!("point {point}"),
        points => format!("points {}", cores::show(points)),
    };
    let status = match check.as_str() {
        NOT_RUN => "NOT RUN".to_owned(),
        _ => status.to_string(),
    };
    match held.differs {
        true => format!(
            "{status}, {points}: {text} (the figures are of point {})",
            held.points[0]
        ),
        false => format!("{status}, {points}: {text}"),
    }
}
