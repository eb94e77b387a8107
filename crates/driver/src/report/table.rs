//! The table of all iterations, and what must be known to read it.

use std::io::{Write, stdout};

use comfy_table::{CellAlignment, Table, presets};

use super::DEBUG_BUILD;
use crate::results::{AccuracyRun, Latency, Outcome, Phase, PointResult, ReplicaResult, Speed};

/// In fewer batches than these, where the window cuts them makes a difference of several per cent.
const FEW_BATCHES: f64 = 20.0;

/// Prints the table, and what must be known to read it.
pub fn table(results: &[PointResult]) {
    let text = render(results);
    if !text.is_empty() {
        // Nothing is left to do if standard output is closed: the results are on disk.
        let _ = writeln!(stdout(), "{text}");
    }
}

pub(super) fn render(results: &[PointResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    match first.accuracy() {
        None => table.set_header(SPEED),
        Some(_) => table.set_header(ACCURACY),
    };
    for result in results {
        table.add_row(row(result));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    for note in notes(first, results) {
        text.push_str("\n* ");
        text.push_str(&note);
    }
    text
}

const SPEED: [&str; 12] = [
    "replicas",
    "CPUs",
    "batch",
    "queries/s",
    "mean ms",
    "p50 ms",
    "p99 ms",
    "mean batch",
    "ok",
    "default",
    "timeout",
    "error",
];

const ACCURACY: [&str; 11] = [
    "replicas", "CPUs", "batch", "right", "of", "share", "offline", "ok", "default", "timeout",
    "error",
];

fn row(result: &PointResult) -> Vec<String> {
    let node = &result.node_configs[0];
    let missing = match (result.replicas_died, result.replicas_lost) {
        (0, 0) => String::new(),
        (0, lost) => format!(" ({lost} lost)"),
        (died, _) => format!(" ({died} died)"),
    };
    let mut row = vec![
        format!("{}{missing}", node.num_replicas),
        node.cpus_per_replica.to_string(),
        node.batch_size.to_string(),
    ];
    row.extend(match &result.outcome {
        Outcome::Speed(speed) => speed_cells(speed).to_vec(),
        Outcome::Accuracy { accuracy_run } => accuracy_cells(accuracy_run).to_vec(),
        Outcome::NotRun { .. } => vec!["-".to_owned(); 5],
    });
    let totals = &result.totals;
    let counts = [totals.ok, totals.default, totals.timeout, totals.error];
    row.extend(counts.map(|count| count.to_string()));
    row
}

fn speed_cells(speed: &Speed) -> [String; 5] {
    let phase = &speed.phases[0];
    let latency = |read: fn(&Latency) -> Option<f64>| {
        let latency = phase.latency.as_ref().and_then(read);
        latency.map_or("-".to_owned(), |ms| format!("{ms:.2}"))
    };
    let mean_batch = phase.mean_batch.map(|mean| format!("{mean:.2}"));
    [
        format!("{:.1}", speed.throughput_qps),
        latency(|l| Some(l.mean)),
        latency(|l| Some(l.percentile(0.5)?.ms.value)),
        latency(|l| Some(l.percentile(0.99)?.ms.value)),
        mean_batch.unwrap_or("-".to_owned()),
    ]
}

fn accuracy_cells(run: &AccuracyRun) -> [String; 4] {
    [
        run.served.right.to_string(),
        run.served.of.to_string(),
        format!("{:.1} %", 100.0 * run.share),
        run.offline
            .map_or("-".to_owned(), |offline| offline.right.to_string()),
    ]
}

fn notes(first: &PointResult, results: &[PointResult]) -> Vec<String> {
    let mut notes: Vec<_> = first
        .accuracy()
        .map(|run| run.note.clone())
        .into_iter()
        .collect();
    notes.push(format!("cores: {}", first.pinning));
    let mut artifacts = results
        .iter()
        .flat_map(|result| &result.replicas)
        .filter_map(ReplicaResult::artifact);
    if let Some(artifact) = artifacts.find(|artifact| !artifact.trained) {
        notes.push(format!(
            "{} is not trained, so only its speed means anything: {}",
            artifact.file, artifact.provenance
        ));
    }
    let some = |is: fn(&PointResult) -> bool| results.iter().any(is);
    if some(|result| result.versions.profile == "debug") {
        notes.push(DEBUG_BUILD.to_owned());
    }
    if some(PointResult::lost_replicas) {
        notes.push(
            "some replicas died or lost their connection, so these numbers are not of the replicas asked for: see \
             their logs"
                .to_owned(),
        );
    }
    let phases: Vec<_> = phases(results).collect();
    if phases.iter().any(|phase| !phase.steady) {
        notes.push(
            "some points began before every replica had worked: take a longer --duration_seconds"
                .to_owned(),
        );
    }
    notes.extend(few_batches(&phases));
    notes.extend(offline(results));
    notes.extend(unanswered(results));
    notes
}

/// How the served answers compare with the offline evaluation.
fn offline(results: &[PointResult]) -> Option<String> {
    let runs: Vec<_> = results.iter().filter_map(PointResult::accuracy).collect();
    let first = runs.first()?;
    let equal = runs
        .iter()
        .filter(|run| run.equals_offline == Some(true))
        .count();
    Some(match (&first.offline, equal == runs.len()) {
        (None, _) => "the artifact's metadata has no offline evaluation of as many inputs, so nothing is compared".to_owned(),
        (Some(_), true) => "as many answers are right as in the artifact's offline evaluation".to_owned(),
        (Some(_), false) => "the served answers DIFFER from the artifact's offline evaluation".to_owned(),
    })
}

fn phases(results: &[PointResult]) -> impl Iterator<Item = &Phase> {
    let speeds = results.iter().filter_map(PointResult::speed);
    speeds.flat_map(|speed| &speed.phases)
}

fn few_batches(phases: &[&Phase]) -> Option<String> {
    let fewest = phases.iter().map(|phase| phase.batches);
    let fewest = fewest.fold(f64::INFINITY, f64::min);
    match fewest {
        0.0 => Some(
            "in the window of some points the model answered nothing: take a longer --duration_seconds or smaller \
             batches"
                .to_owned(),
        ),
        fewest if fewest < FEW_BATCHES => Some(format!(
            "only {fewest:.1} batches in the window of some points: take a longer --duration_seconds"
        )),
        _ => None,
    }
}

/// What is to be said of queries that the model did not answer.
fn unanswered(results: &[PointResult]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut reasons = results.iter().filter_map(|r| r.first_reason.as_deref());
    if let Some(reason) = reasons.next() {
        notes.push(format!(
            "not every answer is the model's; the first reason: {reason}"
        ));
    }
    let sum = |read: fn(&Phase) -> u64| phases(results).map(read).sum::<u64>();
    let warm_up = sum(|phase| phase.warm_up.sent - phase.warm_up.ok);
    if warm_up > 0 {
        notes.push(format!(
            "{warm_up} queries of the warm-up, which the table leaves out, were not answered by the model"
        ));
    }
    let timeouts = sum(|phase| phase.totals.timeout + phase.warm_up.timeout);
    if timeouts > 0 {
        notes.push(format!(
            "{timeouts} queries got no answer at all: see the frontend's logs"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{accurate, phase, whole};

    fn rendered(change: impl Fn(&mut PointResult)) -> String {
        let mut result = whole();
        change(&mut result);
        render(&[whole(), result])
    }

    #[test]
    fn a_whole_iteration_has_a_note_on_its_cores_only_and_fits_a_terminal() {
        let text = rendered(|_| ());
        assert_eq!(text.matches("\n* ").count(), 1, "{text}");
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    }

    #[test]
    fn what_spoils_one_number_is_said_under_the_table() {
        let says = |part: &str, change: fn(&mut PointResult)| {
            let text = rendered(change);
            assert!(text.contains(part), "{part}: {text}");
        };
        says("2 (1 died)", |r| r.replicas_died = 1);
        says("2 (1 lost)", |r| r.replicas_lost = 1);
        says("* some replicas died or lost", |r| r.replicas_lost = 1);
        says("* only 12.5 batches", |r| phase(r).batches = 12.5);
        says("the model answered nothing", |r| phase(r).batches = 0.0);
        says("* 3 queries of the warm-up", |r| phase(r).warm_up.ok -= 3);
        says("* 2 queries got no answer", |r| {
            phase(r).warm_up.timeout = 2
        });
        says("debug build", |r| r.versions.profile = "debug".to_owned());
    }

    #[test]
    fn the_table_of_an_accuracy_run_shows_no_speed_and_says_how_it_compares() {
        let text = render(&[accurate(), accurate()]);
        assert!(
            !text.contains("queries/s") && !text.contains(" ms "),
            "{text}"
        );
        assert!(
            text.contains(
                "* accuracy run: each labelled input was sent once; no measurement of speed"
            ),
            "{text}"
        );
        assert!(text.contains("97 | 100 | 97.0 % |      97 |"), "{text}");
        assert!(text.contains("* as many answers are right as"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");

        let served = model::Accuracy { right: 96, of: 100 };
        let against = |offline| {
            let mut result = accurate();
            let accuracy_run = AccuracyRun::new(served, offline);
            result.outcome = Outcome::Accuracy { accuracy_run };
            render(&[result])
        };
        let text = against(Some(model::Accuracy { right: 97, of: 100 }));
        assert!(text.contains("96 | 100 | 96.0 % |      97 |"), "{text}");
        assert!(
            text.contains("DIFFER from the artifact's offline"),
            "{text}"
        );
        assert!(against(None).contains("so nothing is compared"));
    }
}
