//! What a person sees: the plan, how far it is, and the table. The table goes to standard output, the rest to standard
//! error.

mod anew;
mod comparison;
mod csv;
mod files;
mod import;
mod names;
mod page;
mod summary;
mod table;

pub use anew::report;
pub use comparison::comparison;
pub use files::write;
pub use import::import;
pub use table::table;

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::{
    Error, cores,
    inputs::Inputs,
    load,
    plan::{Pinning, Plan, Point},
    results::{Outcome, PointResult},
    settings::Settings,
};

/// Start-up, drain and tear-down of an iteration, for the plan only; then what they really took counts.
const OVERHEAD: Duration = Duration::from_secs(3);

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// Prints what is going to happen.
pub fn plan(settings: &Settings, plan: &Plan, inputs: &Inputs) {
    let list = |numbers: &[usize]| numbers.iter().map(|n| format!(" {n}")).collect::<String>();
    let artifact = match &settings.model_path {
        Some(path) => path.as_str(),
        None => "the model server's own (--model_path names another)",
    };
    let objective = match settings.objective {
        None => "none (--slo_ms sets one)".to_owned(),
        Some(objective) => format!("{} ms", objective.as_secs_f64() * 1e3),
    };
    let in_flight = match settings.in_flight {
        Some(number) => number.to_string(),
        None => "3 x batch size x replicas".to_owned(),
    };
    note(&headline(settings, plan, inputs));
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

/// What is measured or counted, how often, and how long that takes.
fn headline(settings: &Settings, plan: &Plan, inputs: &Inputs) -> String {
    let (model, count) = (settings.model.name, plan.points.len());
    if settings.labels.is_some() {
        return format!(
            "plan: {model} in {count} accuracy runs, each of {} labelled inputs sent once; no measurement of speed",
            inputs.labels.len()
        );
    }
    let total = (settings.duration + OVERHEAD) * u32::try_from(count).unwrap_or(u32::MAX);
    format!(
        "plan: {model} in {count} iterations, each {} s under load (the first {:.1} s or more warm-up), about {} in all",
        settings.duration.as_secs_f64(),
        plan.warm_up.as_secs_f64(),
        HumanDuration(total)
    )
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
    /// The time of an iteration, or zero: then it has so many queries.
    each: Duration,
    queries: usize,
}

impl ProgressLine {
    /// Nothing done of the iterations of the plan.
    pub fn new(settings: &Settings, plan: &Plan, inputs: &Inputs) -> ProgressLine {
        let count = plan.points.len();
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
            each: settings.duration,
            queries: inputs.labels.len(),
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
        let share = match self.queries {
            0 => (at.elapsed.as_secs_f64() / self.each.as_secs_f64()).min(1.0),
            queries => at.answered as f64 / queries as f64,
        };
        bar.set_position(((self.done as f64 + share) * 1e3) as u64);
        let phase = match (at.measuring, share < 1.0) {
            (false, _) => "warming up",
            (true, true) if self.queries > 0 => "asking once",
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
            HumanDuration(self.left(at.elapsed, share))
        ));
    }

    /// It has ended, and its result is in `file`.
    pub fn end(&mut self, result: &PointResult, file: &Path) {
        self.done += 1;
        let found = match &result.outcome {
            Outcome::Speed(speed) => format!(
                "{:.1} queries/s, mean batch {:.2}",
                speed.throughput_qps,
                speed.phases[0].mean_batch.unwrap_or(0.0)
            ),
            Outcome::Accuracy { accuracy_run } => accuracy_run.to_string(),
            Outcome::NotRun { not_run } => not_run.clone(),
        };
        let line = format!(
            "{}/{} {found}, {} of {} answered, {} left: {}",
            self.done,
            self.count,
            result.totals.ok,
            result.totals.sent,
            HumanDuration(self.left(Duration::ZERO, 1.0)),
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

    /// Time left, when the current iteration has been under load for `elapsed` and that share of it is done.
    fn left(&self, elapsed: Duration, share: f64) -> Duration {
        let each = match u32::try_from(self.done) {
            Ok(done @ 1..) => (self.began.elapsed() - elapsed.min(self.began.elapsed())) / done,
            _ if self.queries > 0 => elapsed.div_f64(share.max(1e-3)),
            _ => self.each + OVERHEAD,
        };
        let iterations = u32::try_from(self.count - self.done).unwrap_or(u32::MAX);
        (each.max(self.each) * iterations).saturating_sub(elapsed)
    }
}

/// Prints a whole document on standard output. A reader that has gone away is an error, so that no half of it looks whole.
pub fn print(text: &str) -> Result<(), Error> {
    let printed = stdout().write_all(text.as_bytes());
    printed.map_err(|error| Error::Failed(format!("cannot write to standard output: {error}")))
}

/// A line on standard error; nothing can be done if that is closed.
fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
