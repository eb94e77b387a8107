//! A survey: a short sweep of each model, sized by a trial, within a limit of time. It is what `make run` does.
//!
//! The trial loads one replica for some seconds. Its rate says how long a point takes until its slowest phase has seen enough
//! answers; if all points together would take too long, the longest are shortened.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use crate::{
    Error,
    cli::{self, Command, Survey},
    load::Progress,
    machine::workspace,
    models::{self, InputKind, KnownModel},
    plan::ZERO,
    report::{self, Step, View},
    results::{PointResult, Resources},
    session::Prepared,
    settings::Settings,
};

/// How long the load of a trial lasts.
const TRIAL: Duration = Duration::from_secs(5);

/// Answers that a point at full load would give in its time: then its latency phases, a quarter of the time each at half and
/// four fifths of the load, see at least 10 answers in the second half of theirs.
const ANSWERS: f64 = 160.0;

/// A point is under load for no less.
const SHORTEST: Duration = Duration::from_secs(8);

/// A point is under load for no more.
const LONGEST: Duration = Duration::from_secs(60);

/// Start-up and tear-down of a measurement of the no-op model.
const ZERO_OVERHEAD: Duration = Duration::from_secs(2);

/// A model of a survey, and what came of it.
#[derive(Debug)]
pub struct Surveyed {
    /// The model's name.
    pub model: &'static str,
    /// The sweep; or, in words, why there is none.
    pub outcome: Result<Swept, String>,
}

/// The sweep of a model.
#[derive(Debug)]
pub struct Swept {
    /// One result for each point.
    pub results: Vec<PointResult>,
    /// The page of the sweep.
    pub report: PathBuf,
}

impl Surveyed {
    /// True if some point of the model was measured, whatever its verdict.
    pub fn is_measured(&self) -> bool {
        let results = self.outcome.as_ref().map(|swept| swept.results.iter());
        results.is_ok_and(|mut results| results.any(|result| result.not_run().is_none()))
    }
}

/// What a trial has shown of a model, and how much of the survey it takes.
#[derive(Clone, Copy, Debug)]
struct Sizing {
    /// Answers a second of one replica.
    rate: f64,
    /// Start-up and tear-down of a point.
    overhead: Duration,
    /// Points of its sweep.
    points: u32,
}

/// Measures every model that was asked for, and goes on after one that cannot be measured.
///
/// # Errors
/// If there is no model of a name, or `interrupted` is set.
pub fn run(asked: &Survey, interrupted: &Arc<AtomicBool>) -> Result<Vec<Surveyed>, Error> {
    let names = asked.models.iter().map(|name| models::find(name));
    let models: Vec<_> = names.collect::<Result<_, _>>()?;
    let limit = Duration::from_secs_f64(60.0 * asked.minutes);
    let began = Instant::now();
    let mut trials = Vec::new();
    for model in &models {
        report::note(&format!("{}: a trial of {} s", model.name, TRIAL.as_secs()));
        let sizing = trial(model, asked, interrupted);
        match &sizing {
            Ok(sizing) => report::note(&format!("{}: {:.1} queries/s", model.name, sizing.rate)),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(why) => report::note(&format!("{}: {why}", model.name)),
        }
        trials.push(sizing.map_err(|why| why.to_string()));
    }
    let mut surveyed = Vec::new();
    for (at, model) in models.iter().enumerate() {
        let outcome = match &trials[at] {
            Err(why) => Err(why.clone()),
            Ok(first) => {
                let others = trials[at + 1..].iter().flatten();
                let left = limit.saturating_sub(began.elapsed());
                let duration = duration(first, others, left);
                match swept(model, asked, duration, interrupted) {
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    outcome => outcome.map_err(|why| why.to_string()),
                }
            }
        };
        surveyed.push(Surveyed {
            model: model.name,
            outcome,
        });
    }
    Ok(surveyed)
}

/// How long each point of the `first` model is under load, if it and the `others` are to share what is `left`: what it needs,
/// or the same as every other model whose need cannot be met.
fn duration<'a>(
    first: &'a Sizing,
    others: impl Iterator<Item = &'a Sizing>,
    left: Duration,
) -> Duration {
    let all: Vec<&Sizing> = std::iter::once(first).chain(others).collect();
    let fits = |cap: Duration| {
        let total: Duration = all.iter().map(|sizing| sizing.total(cap)).sum();
        total <= left
    };
    let seconds = SHORTEST.as_secs()..=LONGEST.as_secs();
    let cap = seconds
        .rev()
        .map(Duration::from_secs)
        .find(|&cap| fits(cap));
    first.need().min(cap.unwrap_or(SHORTEST))
}

impl Sizing {
    /// How long a point of the model should be under load.
    fn need(&self) -> Duration {
        let seconds = Duration::try_from_secs_f64((ANSWERS / self.rate).ceil());
        seconds.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }

    /// How long its sweep takes if no point is under load for longer than `cap`.
    fn total(&self, cap: Duration) -> Duration {
        self.points * (self.need().min(cap) + self.overhead + ZERO + ZERO_OVERHEAD)
    }
}

/// Loads one replica of the model for some seconds, in a folder that is removed afterwards.
fn trial(
    model: &KnownModel,
    asked: &Survey,
    interrupted: &Arc<AtomicBool>,
) -> Result<Sizing, Error> {
    let folder = env::temp_dir().join(format!("driver-trial-{}", std::process::id()));
    let batch = asked.batch_sizes.iter().max().copied().unwrap_or(1);
    let arguments = [
        format!("--num_replicas=1 --batch_sizes={batch} --mode=saturate --no_zero"),
        format!("--duration_seconds={}", TRIAL.as_secs()),
    ];
    let settings = settings(model, asked, &arguments.join(" "), &folder)?;
    let points = asked.num_replicas.len() * asked.batch_sizes.len();
    let began = Instant::now();
    let started = Prepared::new(settings)?.start(interrupted)?;
    let measured = started.measure(|_, _| Box::new(Silent));
    let took = began.elapsed();
    drop(measured.folder);
    // What is left of a trial is in the way of nobody.
    let _ = fs::remove_dir_all(&folder);
    measured.ended?;
    let result = measured.results.first();
    match result.and_then(PointResult::speed) {
        Some(speed) => Ok(Sizing {
            rate: speed.throughput_qps.max(1.0 / TRIAL.as_secs_f64()),
            overhead: took.saturating_sub(TRIAL),
            points: u32::try_from(points).unwrap_or(u32::MAX),
        }),
        None => {
            let why = result.and_then(PointResult::not_run);
            Err(Error::Failed(why.unwrap_or("no result").to_owned()))
        }
    }
}

/// The sweep of the model, each point of it under load for so long.
fn swept(
    model: &KnownModel,
    asked: &Survey,
    duration: Duration,
    interrupted: &Arc<AtomicBool>,
) -> Result<Swept, Error> {
    let list = |values: &[usize]| {
        let texts: Vec<_> = values.iter().map(usize::to_string).collect();
        texts.join(",")
    };
    let arguments = format!(
        "--num_replicas={} --batch_sizes={} --duration_seconds={}",
        list(&asked.num_replicas),
        list(&asked.batch_sizes),
        duration.as_secs()
    );
    let results_dir = asked.results_dir.clone().unwrap_or_else(cli::results_dir);
    let prepared = settings(model, asked, &arguments, &results_dir).and_then(Prepared::new)?;
    report::note(&prepared.describe());
    let measured = prepared.start(interrupted)?.measure(report::view);
    measured.ended?;
    let report = report::write_all(&measured.folder.path)?;
    Ok(Swept {
        results: measured.results,
        report,
    })
}

/// The settings of a command line for the model, with the inputs that a survey gives it.
fn settings(
    model: &KnownModel,
    asked: &Survey,
    arguments: &str,
    results_dir: &Path,
) -> Result<Settings, Error> {
    let mut line: Vec<OsString> = vec!["driver".into(), "--model_name".into(), model.name.into()];
    line.extend(arguments.split(' ').map(OsString::from));
    line.extend(["--results_dir".into(), results_dir.into()]);
    if let Some(inputs) = inputs(model, asked) {
        line.extend(["--input_dir".into(), inputs.into()]);
    }
    if asked.plain {
        line.push("--plain".into());
    }
    match cli::parse(line)? {
        Command::Sweep(settings) => Ok(*settings),
        Command::Other(_) => unreachable!("a command line with --model_name asks for a sweep"),
    }
}

/// The photographs that were named, or the rows that training held out; without either, inputs are random.
fn inputs(model: &KnownModel, asked: &Survey) -> Option<PathBuf> {
    match model.input {
        InputKind::Picture(_) => asked.pictures.clone(),
        InputKind::Vector(_) => {
            let rows = workspace()?.join(format!("artifacts/{}.npy", model.name));
            rows.is_file().then_some(rows)
        }
        InputKind::Anything(_) => None,
    }
}

/// The view of a trial.
#[derive(Debug)]
struct Silent;

impl View for Silent {
    fn begin(&mut self, _: &Step) {}
    fn look(&mut self, _: &Progress, _: &Resources) {}
    fn end(&mut self, _: &PointResult, _: &Path) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing(rate: f64) -> Sizing {
        Sizing {
            rate,
            overhead: Duration::from_secs(2),
            points: 4,
        }
    }

    /// The durations of all models, in seconds, as the survey gives them out one after the other.
    fn durations(rates: &[f64], limit: u64) -> Vec<u64> {
        let sizings: Vec<_> = rates.iter().map(|&rate| sizing(rate)).collect();
        let mut left = Duration::from_secs(limit);
        let mut durations = Vec::new();
        for (at, first) in sizings.iter().enumerate() {
            let duration = duration(first, sizings[at + 1..].iter(), left);
            left = left.saturating_sub(first.total(duration));
            durations.push(duration.as_secs());
        }
        durations
    }

    #[test]
    fn slow_models_get_longer_points_and_fast_ones_the_shortest() {
        assert_eq!(
            durations(&[8.0, 16.0, 6_000.0, 8_000.0], 600),
            [20, 10, 8, 8]
        );
    }

    #[test]
    fn durations_never_exceed_the_limit_unless_the_shortest_do() {
        // 4 models x 4 points x (8 + 8) s is 256 s.
        for limit in [256, 300, 400, 600] {
            let durations = durations(&[0.1, 1.0, 6.0, 8_000.0], limit);
            let total: u64 = durations.iter().map(|seconds| 4 * (seconds + 8)).sum();
            assert!(total <= limit, "{durations:?} take {total} of {limit} s");
            assert!(
                durations.iter().all(|&seconds| seconds >= 8),
                "{durations:?}"
            );
        }
        assert_eq!(durations(&[0.1, 0.1], 10), [8, 8]);
    }

    #[test]
    fn time_that_is_short_is_shared_evenly_by_the_slow_models() {
        let shared = durations(&[0.5, 0.5, 8_000.0], 400);
        assert_eq!(shared[0], shared[1]);
        assert_eq!(shared[2], 8);
    }
}
