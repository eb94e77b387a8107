//! What a person sees: the plan, how far it is, and the table. The table goes to standard output, the rest to standard
//! error.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    path::Path,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::{
    cli::{NO_OBJECTIVE, Settings},
    cores,
    inputs::Inputs,
    load,
    plan::{Pinning, Plan, Point},
    results::PointResult,
};

/// Start-up, drain and tear-down of an iteration, for the plan only; then what they really took counts.
const OVERHEAD: Duration = Duration::from_secs(3);

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// In fewer batches than these, where the window cuts them makes a difference of several per cent.
const FEW_BATCHES: f64 = 20.0;

/// Prints what is going to happen.
pub fn plan(settings: &Settings, plan: &Plan, inputs: &Inputs) {
    let count = plan.points.len();
    let each = settings.duration.as_secs_f64();
    let total = (settings.duration + OVERHEAD) * u32::try_from(count).unwrap_or(u32::MAX);
    let list = |numbers: &[usize]| numbers.iter().map(|n| format!(" {n}")).collect::<String>();
    let artifact = match &settings.model_path {
        Some(path) => path.as_str(),
        None => "the model server's own (--model_path names another)",
    };
    let objective = match settings.slo {
        NO_OBJECTIVE => "one hour, which no queue here reaches (--slo_ms sets one)".to_owned(),
        slo => format!("{} ms", slo.as_secs_f64() * 1e3),
    };
    let in_flight = match settings.in_flight {
        Some(number) => number.to_string(),
        None => "3 x batch size x replicas".to_owned(),
    };
    note(&format!(
        "plan: {} in {count} iterations, each {each} s under load (the first {:.1} s or more warm-up), about {} in all",
        settings.model.name,
        plan.warm_up.as_secs_f64(),
        HumanDuration(total)
    ));
    for (name, value) in [
        ("replicas", list(&settings.num_replicas).trim().to_owned()),
        ("batch sizes", list(&settings.batch_sizes).trim().to_owned()),
        ("cores", core_plan(plan)),
        ("inputs", inputs.description.clone()),
        ("artifact", artifact.to_owned()),
        ("objective", objective),
        (
            "in flight",
            format!("{in_flight}, from {} client threads", settings.num_clients),
        ),
        ("results", settings.results_dir.display().to_string()),
    ] {
        note(&format!("  {name:12} {value}"));
    }
    if cfg!(debug_assertions) {
        note(&format!("  {:12} {DEBUG_BUILD}", "but"));
    }
}

fn core_plan(plan: &Plan) -> String {
    let mut shares: Vec<_> = plan.points.iter().map(Point::cpus_per_replica).collect();
    shares.sort_unstable();
    shares.dedup();
    let shares: Vec<_> = shares.iter().map(usize::to_string).collect();
    let others = cores::show(&plan.other_cores);
    match plan.pinning {
        Pinning::Shared => format!(
            "{others}, shared by replicas, frontend and driver (--model_cpus separates them)"
        ),
        pinning => format!(
            "{} per replica; frontend and driver on {others}; {}",
            shares.join(" or "),
            pinning.in_words()
        ),
    }
}

/// How far the sweep is: one line that moves on a terminal, one line per iteration elsewhere.
#[derive(Debug)]
pub struct ProgressLine {
    bar: Option<ProgressBar>,
    count: usize,
    done: usize,
    began: Instant,
    each: Duration,
}

impl ProgressLine {
    /// Nothing done of `count` iterations of `duration`.
    pub fn new(count: usize, duration: Duration) -> ProgressLine {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {msg}")
                .expect("the template is well formed");
            ProgressBar::new(1000 * count as u64).with_style(style)
        });
        ProgressLine {
            bar,
            count,
            done: 0,
            began: Instant::now(),
            each: duration,
        }
    }

    /// An iteration begins.
    pub fn begin(&self, point: &Point) {
        let text = format!(
            "{}/{} replicas {}, CPUs {}, batch {}",
            self.done + 1,
            self.count,
            point.replicas(),
            point.cpus_per_replica(),
            point.batch_size
        );
        match &self.bar {
            Some(bar) => bar.set_message(format!("{text}: starting")),
            None => note(&text),
        }
    }

    /// It goes on.
    pub fn look(&self, point: &Point, at: &load::Progress) {
        let Some(bar) = &self.bar else { return };
        let share = (at.elapsed.as_secs_f64() / self.each.as_secs_f64()).min(1.0);
        bar.set_position(((self.done as f64 + share) * 1e3) as u64);
        let phase = match (at.measuring, share < 1.0) {
            (false, _) => "warming up",
            (true, true) => "measuring",
            (true, false) => "waiting for the last answers",
        };
        bar.set_message(format!(
            "{}/{} replicas {} batch {}: {phase}, {} answers, {} left",
            self.done + 1,
            self.count,
            point.replicas(),
            point.batch_size,
            at.answered,
            HumanDuration(self.left(at.elapsed))
        ));
    }

    /// It has ended, and its result is in `file`.
    pub fn end(&mut self, result: &PointResult, file: &Path) {
        self.done += 1;
        let line = format!(
            "{}/{} {:.1} queries/s, mean batch {:.2}, {} of {} answered, {} left: {}",
            self.done,
            self.count,
            result.throughput_qps,
            result.mean_batch.unwrap_or(0.0),
            result.totals.ok,
            result.totals.sent,
            HumanDuration(self.left(Duration::ZERO)),
            file.display()
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => note(&line),
        }
    }

    /// Takes the moving line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Time left, when the current iteration has been under load for `elapsed`.
    fn left(&self, elapsed: Duration) -> Duration {
        let each = match u32::try_from(self.done) {
            Ok(done @ 1..) => (self.began.elapsed() - elapsed.min(self.began.elapsed())) / done,
            _ => self.each + OVERHEAD,
        };
        let iterations = u32::try_from(self.count - self.done).unwrap_or(u32::MAX);
        (each.max(self.each) * iterations).saturating_sub(elapsed)
    }
}

/// Prints the table, and what must be known to read it.
pub fn table(results: &[PointResult]) {
    let text = render(results);
    if !text.is_empty() {
        // Nothing is left to do if standard output is closed: the results are on disk.
        let _ = writeln!(stdout(), "{text}");
    }
}

fn render(results: &[PointResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
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
    ]);
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

fn row(result: &PointResult) -> Vec<String> {
    let node = &result.node_configs[0];
    let totals = &result.totals;
    let latency = |read: fn(&crate::results::Latency) -> f64| {
        result
            .latency
            .as_ref()
            .map_or("-".to_owned(), |l| format!("{:.2}", read(l)))
    };
    let missing = match (result.replicas_died, result.replicas_lost) {
        (0, 0) => String::new(),
        (0, lost) => format!(" ({lost} lost)"),
        (died, _) => format!(" ({died} died)"),
    };
    vec![
        format!("{}{missing}", node.num_replicas),
        node.cpus_per_replica.to_string(),
        node.batch_size.to_string(),
        format!("{:.1}", result.throughput_qps),
        latency(|l| l.mean),
        latency(|l| l.p50),
        latency(|l| l.p99),
        result
            .mean_batch
            .map_or("-".to_owned(), |mean| format!("{mean:.2}")),
        totals.ok.to_string(),
        totals.default.to_string(),
        totals.timeout.to_string(),
        totals.error.to_string(),
    ]
}

fn notes(first: &PointResult, results: &[PointResult]) -> Vec<String> {
    let mut notes = vec![format!("cores: {}", first.pinning)];
    let artifacts = results.iter().flat_map(|result| &result.replicas);
    let mut artifacts =
        artifacts.filter_map(|r| r.replica.metadata.as_ref()?.model.artifact.as_ref());
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
    if some(|result| !result.warm) {
        notes.push(
            "some points began before every replica had worked: take a longer --duration_seconds"
                .to_owned(),
        );
    }
    notes.extend(few_batches(results));
    notes.extend(unanswered(results));
    notes
}

fn few_batches(results: &[PointResult]) -> Option<String> {
    let fewest = results.iter().map(|result| result.batches);
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
    let sum = |read: fn(&PointResult) -> u64| results.iter().map(read).sum::<u64>();
    let warm_up = sum(|result| result.warm_up.sent - result.warm_up.ok);
    if warm_up > 0 {
        notes.push(format!(
            "{warm_up} queries of the warm-up, which the table leaves out, were not answered by the model"
        ));
    }
    let timeouts = sum(|result| result.totals.timeout + result.warm_up.timeout);
    if timeouts > 0 {
        notes.push(format!(
            "{timeouts} queries got no answer at all: see the frontend's logs"
        ));
    }
    notes
}

/// A line on standard error; nothing can be done if that is closed.
fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::whole;

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
        says("* only 12.5 batches", |r| r.batches = 12.5);
        says("the model answered nothing", |r| r.batches = 0.0);
        says("* 3 queries of the warm-up", |r| r.warm_up.ok -= 3);
        says("* 2 queries got no answer", |r| r.warm_up.timeout = 2);
        says("debug build", |r| r.versions.profile = "debug".to_owned());
    }
}
