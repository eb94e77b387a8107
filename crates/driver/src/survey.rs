//! A survey: a short sweep of each model, sized by a trial, within a limit of time. It is what `make run` does.
//!
//! The trial loads one replica for some seconds. Its rate says how long a point takes until its slowest phase has seen
//! enough answers; if all points together would take too long, the longest are shortened.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use deploy::{
    Manager,
    models::{InputKind, KnownModel},
};
use host::machine::workspace;
use report::{NextTrial, Surveyed, Swept, View};
use results::{PhaseKind, Progress, Resources, Trial};

use crate::{
    cli::{self, Command, Survey},
    describe::describe,
    error::Error,
    folder::SweepFolder,
    plan::ZERO,
    prepare::Prepared,
    settings::{Mode, Settings},
    start::start,
    sweep,
};

/// How long the load of a trial lasts.
const TRIAL: Duration = Duration::from_secs(5);

/// Answers that a point at full load would give in its time: then its latency phases, a quarter of the time each at
/// half and four fifths of the load, see at least 10 answers in the second half of theirs.
const ANSWERS: f64 = 160.0;

/// A point is under load for no less.
const SHORTEST: Duration = Duration::from_secs(8);

/// A point is under load for no more.
const LONGEST: Duration = Duration::from_secs(60);

/// Start-up and tear-down of a measurement of the no-op model.
const ZERO_OVERHEAD: Duration = Duration::from_secs(2);

/// A model that is to be measured.
struct Candidate {
    /// Its sweep, with points of the shortest duration.
    settings: Settings,
    /// What the trial has shown; or, in words, why the model cannot be measured.
    sizing: Result<Sizing, String>,
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
/// If the survey makes no sense, its results cannot be written, or `interrupted` is set.
pub fn run(asked: &Survey, interrupted: &Arc<AtomicBool>) -> Result<Vec<Surveyed>, Error> {
    check_environment()?;
    let sweeps: Vec<Settings> = asked
        .models
        .iter()
        .map(|model| {
            let settings = settings(asked, model, SHORTEST)?;
            Prepared::new(settings.clone())?;
            Ok(settings)
        })
        .collect::<Result<_, Error>>()?;
    for settings in &sweeps {
        SweepFolder::try_parent(&settings.results_dir)?;
    }
    // Whatever must be compiled is compiled before the time counts.
    let prepared = sweeps.into_iter().map(|settings| {
        let programs = Manager::prepare(&settings.manager());
        let sizing = programs.map(drop).map_err(|why| why.to_string());
        (settings, sizing)
    });
    let prepared: Vec<_> = prepared.collect();
    let began = Instant::now();
    let mut candidates = Vec::new();
    for (settings, programs) in prepared {
        let sizing = match programs {
            Ok(()) => or_reason(trial(&settings, interrupted))?,
            Err(why) => Err(why),
        };
        let name = settings.model.name;
        report::note(&match &sizing {
            Ok(sizing) => format!("{name}: {:.1} queries/s in a trial", sizing.rate),
            Err(why) => format!("{name}: {why}"),
        });
        candidates.push(Candidate { settings, sizing });
    }
    let mut surveyed = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let outcome = match &candidate.sizing {
            Err(why) => Err(why.clone()),
            Ok(first) => {
                let later = candidates[at + 1..].iter();
                let others = later.filter_map(|other| other.sizing.as_ref().ok());
                let left = asked.limit.saturating_sub(began.elapsed());
                let model = candidate.settings.model;
                let settings = settings(asked, model, duration(first, others, left))?;
                or_reason(swept(settings, interrupted))?
            }
        };
        surveyed.push(Surveyed {
            model: candidate.settings.model.name,
            outcome,
        });
    }
    Ok(surveyed)
}

/// What is not to end the survey, in words. An interrupt ends it.
fn or_reason<T>(outcome: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match outcome {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        outcome => Ok(outcome.map_err(|why| why.to_string())),
    }
}

/// Refuses variables that are about one model.
fn check_environment() -> Result<(), Error> {
    let named = ["CLIPPER_MODEL_PATH", "CLIPPER_INPUT_TYPE", "CLIPPER_ENGINE"];
    match named.into_iter().find(|name| env::var_os(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(Error::Usage(format!(
            "{name} is set, and a survey measures several models: unset it, or measure its model by itself"
        ))),
    }
}

/// How long each point of the `first` model is under load, if it and the `others` are to share what is `left`: what it
/// needs, or the same as every other model whose need cannot be met.
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

/// Loads one replica of the model for some seconds. The folder of a trial stays only if it failed, for its logs.
fn trial(sweep: &Settings, interrupted: &Arc<AtomicBool>) -> Result<Sizing, Error> {
    let points = sweep.num_replicas.len() * sweep.batch_sizes.len();
    let settings = Settings {
        num_replicas: vec![1],
        batch_sizes: sweep
            .batch_sizes
            .iter()
            .max()
            .copied()
            .into_iter()
            .collect(),
        mode: Mode::Saturate,
        zero: false,
        duration: TRIAL,
        results_dir: sweep.results_dir.join("trials"),
        ..sweep.clone()
    };
    let started = start(Prepared::new(settings)?, interrupted)?;
    let began = Instant::now();
    let measured = sweep::run(started, |_| Box::new(Silent));
    let took = began.elapsed();
    measured.ended?;
    let result = measured.results.first();
    let Some(speed) = result.and_then(Trial::speed) else {
        let why = result.and_then(Trial::not_run);
        return Err(Error::Failed(why.unwrap_or("no result").to_owned()));
    };
    // A trial is not a result. Folders that cannot be removed harm nothing.
    let _ = fs::remove_dir_all(&measured.folder.path);
    let _ = measured.folder.path.parent().map(fs::remove_dir);
    Ok(Sizing {
        rate: speed.throughput_qps.max(1.0 / TRIAL.as_secs_f64()),
        overhead: took.saturating_sub(TRIAL),
        points: u32::try_from(points).unwrap_or(u32::MAX),
    })
}

/// The sweep of a model, with its report.
fn swept(settings: Settings, interrupted: &Arc<AtomicBool>) -> Result<Swept, Error> {
    let prepared = Prepared::new(settings)?;
    report::note(&describe(&prepared));
    let measured = sweep::run(start(prepared, interrupted)?, report::view);
    measured.ended?;
    let folder = measured.folder.path.clone();
    let report = report::write_all(&folder).unwrap_or_else(|why| {
        report::note(&format!("driver: {why}"));
        folder
    });
    Ok(Swept {
        results: measured.results,
        report,
    })
}

/// The sweep of a model whose points are under load for `duration` each.
///
/// # Errors
/// If a flag of the survey makes no sense.
fn settings(asked: &Survey, model: &KnownModel, duration: Duration) -> Result<Settings, Error> {
    let mut line: Vec<OsString> = vec!["driver".into(), "--model_name".into(), model.name.into()];
    let lists = [
        ("--num_replicas", &asked.num_replicas),
        ("--batch_sizes", &asked.batch_sizes),
    ];
    for (flag, values) in lists {
        line.push(flag.into());
        line.extend(values.iter().map(OsString::from));
    }
    line.push(format!("--duration_seconds={}", duration.as_secs()).into());
    if let Some(folder) = &asked.results_dir {
        line.extend(["--results_dir".into(), folder.into()]);
    }
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
    fn begin(&mut self, _: &NextTrial) {}
    fn look(&mut self, _: PhaseKind, _: &Progress, _: &Resources) {}
    fn end(&mut self, _: &Trial, _: &Path) {}
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
    fn slow_models_share_short_time_evenly() {
        let shared = durations(&[0.5, 0.5, 8_000.0], 400);
        assert_eq!(shared[0], shared[1]);
        assert_eq!(shared[2], 8);
    }
}
