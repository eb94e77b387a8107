//! What a person sees: the plan, how far it is, and the table. The table goes to standard output, the rest to standard
//! error.

pub mod live;
mod table;

pub use table::table;

use std::{
    io::{Write, stderr},
    path::Path,
    time::{Duration, Instant},
};

use jiff::SignedDuration;

use crate::{
    cores,
    inputs::Inputs,
    load,
    machine::Machine,
    plan::{Plan, Point},
    results::{Outcome, PointResult, Resources},
    settings::Settings,
};
use live::{Cell, Live, Now, Scene, State};

/// Start-up, drain and tear-down of an iteration, for the plan only; then what they really took counts.
const OVERHEAD: Duration = Duration::from_secs(3);

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// Prints what is going to happen.
pub fn plan(settings: &Settings, plan: &Plan, inputs: &Inputs, machine: &Machine) {
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
        ("cores", core_plan(plan, machine)),
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
        in_words(total)
    )
}

fn core_plan(plan: &Plan, machine: &Machine) -> String {
    let others = &plan.others;
    let limit = machine.cpu_limit.map_or(String::new(), |limit| {
        format!(" (the control group stops all after {limit:.2} cores' worth of time)")
    });
    if !others.pinned {
        return format!(
            "{}, shared by replicas, frontend and driver (--model_cpus separates them){limit}",
            cores::show(&others.frontend)
        );
    }
    let mut shares: Vec<_> = plan.points.iter().map(Point::cpus_per_replica).collect();
    shares.sort_unstable();
    shares.dedup();
    let shares: Vec<_> = shares.iter().map(usize::to_string).collect();
    let mut sharing: Vec<_> = plan
        .points
        .iter()
        .map(|point| plan.sharing(point).to_string())
        .collect();
    sharing.dedup();
    format!(
        "{} per replica, frontend on {}, driver on {}; {}{limit}",
        shares.join(" or "),
        cores::show(&others.frontend),
        cores::show(&others.driver()),
        sharing.join("; or ")
    )
}

/// How far the sweep is: the live view on a terminal, one line per iteration elsewhere.
#[derive(Debug)]
pub struct ProgressLine {
    live: Option<Live>,
    count: usize,
    done: usize,
    began: Instant,
    /// The time of an iteration, or zero: then it has so many queries.
    each: Duration,
    queries: usize,
    /// When answers were counted for the view, and how many.
    counted: (Duration, u64),
}

impl ProgressLine {
    /// Nothing done of the iterations of the plan.
    pub fn new(settings: &Settings, plan: &Plan, inputs: &Inputs) -> ProgressLine {
        let live = !settings.plain && live::is_possible();
        ProgressLine {
            live: live
                .then(|| Live::start(scene(settings, plan)).ok())
                .flatten(),
            count: plan.points.len(),
            done: 0,
            began: Instant::now(),
            each: settings.duration,
            queries: inputs.labels.len(),
            counted: (Duration::ZERO, 0),
        }
    }

    /// An iteration begins.
    pub fn begin(&mut self, point: &Point) {
        let text = format!(
            "{}/{} replicas {}, CPUs {}, batch {}",
            self.done + 1,
            self.count,
            point.replicas(),
            point.cpus_per_replica(),
            point.batch_size
        );
        self.counted = (Duration::ZERO, 0);
        let left = self.left(Duration::ZERO, 0.0);
        let Some(live) = &mut self.live else {
            return note(&text);
        };
        live.scene.mark(
            point.replicas(),
            point.cpus_per_replica(),
            point.batch_size,
            State::Running,
        );
        live.scene.now = Now {
            point: text,
            phase: "starting".to_owned(),
            left: self.each,
            batch_size: point.batch_size,
            ..Now::default()
        };
        live.scene.left = left;
        live.show(Instant::now(), |_| ());
    }

    /// It goes on, and has used `used` until now.
    pub fn look(&mut self, at: &load::Progress, used: &Resources) {
        let share = match self.queries {
            0 => (at.elapsed.as_secs_f64() / self.each.as_secs_f64()).min(1.0),
            queries => at.answered as f64 / queries as f64,
        };
        let left = self.left(at.elapsed, share);
        let Some(live) = &mut self.live else { return };
        let seconds = at.elapsed.saturating_sub(self.counted.0).as_secs_f64();
        if seconds >= 1.0 {
            let answers = at.answered - self.counted.1;
            live.scene
                .now
                .add_second(answers as f64 / seconds, None, None);
            self.counted = (at.elapsed, at.answered);
        }
        let phase = match (at.measuring, share < 1.0) {
            (false, _) => "warming up",
            (true, true) if self.queries > 0 => "asking once",
            (true, true) => "measuring",
            (true, false) => "waiting for the last answers",
        };
        live.show(Instant::now(), |scene| {
            scene.now.phase = phase.to_owned();
            scene.now.done = share;
            scene.now.left = self.each.saturating_sub(at.elapsed);
            scene.now.answered = at.answered;
            scene.left = left;
            scene.resources = used.clone();
        });
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
            in_words(self.left(Duration::ZERO, 1.0)),
            file.display()
        );
        let Some(live) = &mut self.live else {
            return note(&line);
        };
        let node = &result.node_configs[0];
        let state = match &result.outcome {
            Outcome::NotRun { .. } => State::NotRun,
            _ => State::Done(result.verdict.status),
        };
        live.scene.mark(
            node.num_replicas,
            node.cpus_per_replica,
            node.batch_size,
            state,
        );
        live.scene.messages.push(line);
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

/// The view before anything has begun.
fn scene(settings: &Settings, plan: &Plan) -> Scene {
    let cell = |point: &Point| Cell {
        replicas: point.replicas(),
        cpus_per_replica: point.cpus_per_replica(),
        batch_size: point.batch_size,
        state: State::ToCome,
    };
    Scene {
        title: format!("{}, {}", settings.model.name, settings.mode.name()),
        cells: plan.points.iter().map(cell).collect(),
        ..Scene::default()
    }
}

/// Whole seconds, as a person writes them: `1m 20s`.
fn in_words(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// A line on standard error; nothing can be done if that is closed.
fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
