//! A survey: a short sweep of each model, within a time limit. `make run` runs it.
//!
//! A sizing run first loads one replica of each model for some seconds. Its rate determines the time under load that
//! the slowest phase of a trial needs for enough answers. If all trials together exceed the limit, the longest are
//! shortened.

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
use report::{ModelSweep, NextTrial, Surveyed, View};
use results::{PhaseKind, Progress, Resources, Trial};

use crate::{
    cli::{self, Command, SurveyArgs},
    describe::describe,
    error::Error,
    folder::SweepFolder,
    plan::BASELINE_DURATION,
    prepare::PreparedSweep,
    settings::{Mode, Settings},
    start::start,
    sweep,
};

/// Time under load of a sizing run.
const SIZING_DURATION: Duration = Duration::from_secs(5);

/// Number of answers of a trial at full load. A latency phase takes a quarter of the time at half or four fifths of
/// the load, so it gets at least 10 answers in its second half.
const ANSWERS: f64 = 160.0;

/// Minimum time under load of a trial.
const SHORTEST: Duration = Duration::from_secs(8);

/// Maximum time under load of a trial.
const LONGEST: Duration = Duration::from_secs(60);

/// Time for start-up and tear-down of a trial of the baseline.
const BASELINE_OVERHEAD: Duration = Duration::from_secs(2);

/// A model of the survey after its sizing run.
struct SizedModel {
    /// Settings of its sweep, with the shortest duration.
    settings: Settings,
    /// Result of the sizing run, or the reason why the model cannot be measured.
    sizing: Result<Sizing, String>,
}

/// Result of a model's sizing run.
#[derive(Clone, Copy, Debug)]
struct Sizing {
    /// Throughput of one replica, in answers per second.
    rate: f64,
    /// Time for start-up and tear-down of a trial.
    overhead: Duration,
    /// Number of trials in its sweep.
    trials: u32,
}

/// Measures every model in the arguments, and continues after one that cannot be measured.
///
/// # Errors
/// If a flag is refused, results cannot be written, or `interrupted` is set.
pub fn run(args: &SurveyArgs, interrupted: &Arc<AtomicBool>) -> Result<Vec<Surveyed>, Error> {
    check_environment()?;
    let sweeps: Vec<Settings> = args
        .models
        .iter()
        .map(|model| {
            let settings = settings(args, model, SHORTEST)?;
            PreparedSweep::new(settings.clone())?;
            Ok(settings)
        })
        .collect::<Result<_, Error>>()?;
    for settings in &sweeps {
        SweepFolder::try_parent(&settings.results_dir)?;
    }
    // Compile the programs before the time limit starts.
    let prepared = sweeps.into_iter().map(|settings| {
        let programs = Manager::prepare(&settings.manager());
        let sizing = programs.map(drop).map_err(|why| why.to_string());
        (settings, sizing)
    });
    let prepared: Vec<_> = prepared.collect();
    let began = Instant::now();
    let mut models = Vec::new();
    for (settings, programs) in prepared {
        let sizing = match programs {
            Ok(()) => or_reason(size(&settings, interrupted))?,
            Err(why) => Err(why),
        };
        let name = settings.model.name;
        report::note(&match &sizing {
            Ok(sizing) => format!("{name}: {:.1} queries/s in a sizing run", sizing.rate),
            Err(why) => format!("{name}: {why}"),
        });
        models.push(SizedModel { settings, sizing });
    }
    let mut surveyed = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let outcome = match &model.sizing {
            Err(why) => Err(why.clone()),
            Ok(first) => {
                let later = models[index + 1..].iter();
                let others = later.filter_map(|other| other.sizing.as_ref().ok());
                let left = args.limit.saturating_sub(began.elapsed());
                let duration = duration(first, others, left);
                let settings = settings(args, model.settings.model, duration)?;
                or_reason(sweep(settings, interrupted))?
            }
        };
        surveyed.push(Surveyed {
            model: model.settings.model.name,
            outcome,
        });
    }
    Ok(surveyed)
}

/// Returns an error that does not end the survey as text. An interrupt ends the survey.
fn or_reason<T>(outcome: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match outcome {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        outcome => Ok(outcome.map_err(|why| why.to_string())),
    }
}

/// Refuses environment variables that apply to one model.
fn check_environment() -> Result<(), Error> {
    let named = ["CLIPPER_MODEL_PATH", "CLIPPER_INPUT_TYPE", "CLIPPER_ENGINE"];
    match named.into_iter().find(|name| env::var_os(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(Error::Usage(format!(
            "{name} is set, but a survey measures several models; unset it, or run a sweep of one model"
        ))),
    }
}

/// Returns the time under load of each trial of the `first` model, if it and the `others` share the time `left`: the
/// time that it needs, or the same as every other model whose need cannot be met.
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
    /// Returns the time under load that a trial of the model needs.
    fn need(&self) -> Duration {
        let seconds = Duration::try_from_secs_f64((ANSWERS / self.rate).ceil());
        seconds.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }

    /// Returns the duration of the model's sweep if no trial is under load for longer than `cap`.
    fn total(&self, cap: Duration) -> Duration {
        self.trials * (self.need().min(cap) + self.overhead + BASELINE_DURATION + BASELINE_OVERHEAD)
    }
}

/// Loads one replica of the model for some seconds. Removes the folder of the run unless it failed.
fn size(sweep: &Settings, interrupted: &Arc<AtomicBool>) -> Result<Sizing, Error> {
    let trials = sweep.num_replicas.len() * sweep.batch_sizes.len();
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
        baseline: false,
        duration: SIZING_DURATION,
        results_dir: sweep.results_dir.join("trials"),
        ..sweep.clone()
    };
    let started = start(PreparedSweep::new(settings)?, interrupted)?;
    let began = Instant::now();
    let finished = sweep::run(started, |_| Box::new(NoView));
    let elapsed = began.elapsed();
    finished.end?;
    let result = finished.results.first();
    let Some(speed) = result.and_then(Trial::speed) else {
        let why = result.and_then(Trial::not_run);
        return Err(Error::Failed(why.unwrap_or("no result").to_owned()));
    };
    // A sizing run is not a result. A folder that cannot be removed does no harm.
    let _ = fs::remove_dir_all(&finished.folder.path);
    let _ = finished.folder.path.parent().map(fs::remove_dir);
    Ok(Sizing {
        rate: speed
            .throughput_qps
            .max(1.0 / SIZING_DURATION.as_secs_f64()),
        overhead: elapsed.saturating_sub(SIZING_DURATION),
        trials: u32::try_from(trials).unwrap_or(u32::MAX),
    })
}

/// Runs the sweep of a model and writes its report.
fn sweep(settings: Settings, interrupted: &Arc<AtomicBool>) -> Result<ModelSweep, Error> {
    let prepared = PreparedSweep::new(settings)?;
    report::note(&describe(&prepared));
    let finished = sweep::run(start(prepared, interrupted)?, report::view);
    finished.end?;
    let folder = finished.folder.path.clone();
    let report = report::write_all(&folder).unwrap_or_else(|why| {
        report::note(&format!("driver: {why}"));
        folder
    });
    Ok(ModelSweep {
        results: finished.results,
        report,
    })
}

/// Returns the settings of a model's sweep, with this time under load of each trial.
///
/// # Errors
/// If a flag of the survey is refused.
fn settings(args: &SurveyArgs, model: &KnownModel, duration: Duration) -> Result<Settings, Error> {
    let mut line: Vec<OsString> = vec!["driver".into(), "--model_name".into(), model.name.into()];
    let lists = [
        ("--num_replicas", &args.num_replicas),
        ("--batch_sizes", &args.batch_sizes),
    ];
    for (flag, values) in lists {
        line.push(flag.into());
        line.extend(values.iter().map(OsString::from));
    }
    line.push(format!("--duration_seconds={}", duration.as_secs()).into());
    if let Some(folder) = &args.results_dir {
        line.extend(["--results_dir".into(), folder.into()]);
    }
    if let Some(inputs) = inputs(model, args) {
        line.extend(["--input_dir".into(), inputs.into()]);
    }
    if args.plain {
        line.push("--plain".into());
    }
    match cli::parse(line)? {
        Command::Sweep(settings) => Ok(*settings),
        Command::Subcommand(_) => unreachable!("a command line with --model_name is a sweep"),
    }
}

/// Returns the path of the pictures, or of the rows that training held out; `None` for random inputs.
fn inputs(model: &KnownModel, args: &SurveyArgs) -> Option<PathBuf> {
    match model.input {
        InputKind::Picture(_) => args.pictures.clone(),
        InputKind::Vector(_) => {
            let rows = workspace()?.join(format!("artifacts/{}.npy", model.name));
            rows.is_file().then_some(rows)
        }
        InputKind::Anything(_) => None,
    }
}

/// The view of a sizing run, which shows nothing.
#[derive(Debug)]
struct NoView;

impl View for NoView {
    fn begin(&mut self, _: &NextTrial) {}
    fn update(&mut self, _: PhaseKind, _: &Progress, _: &Resources) {}
    fn end(&mut self, _: &Trial, _: &Path) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing(rate: f64) -> Sizing {
        Sizing {
            rate,
            overhead: Duration::from_secs(2),
            trials: 4,
        }
    }

    /// The durations of all models in seconds, one after the other as in a survey.
    fn durations(rates: &[f64], limit: u64) -> Vec<u64> {
        let sizings: Vec<_> = rates.iter().map(|&rate| sizing(rate)).collect();
        let mut left = Duration::from_secs(limit);
        let mut durations = Vec::new();
        for (index, first) in sizings.iter().enumerate() {
            let duration = duration(first, sizings[index + 1..].iter(), left);
            left = left.saturating_sub(first.total(duration));
            durations.push(duration.as_secs());
        }
        durations
    }

    #[test]
    fn slow_models_get_longer_trials() {
        assert_eq!(
            durations(&[8.0, 16.0, 6_000.0, 8_000.0], 600),
            [20, 10, 8, 8]
        );
    }

    #[test]
    fn durations_never_exceed_the_limit_unless_the_shortest_do() {
        // 4 models x 4 trials x (8 + 8) s is 256 s.
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
