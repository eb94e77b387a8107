//! The loop of a sweep: one trial after the other. Each result is on disk before the next trial begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::AtomicBool,
    time::Instant,
};

use host::cores;
use report::{NextTrial, Outline, View};
use results::{
    Baseline, Config, PhaseKind, Progress, Resources, Slot, Trial, TrialOutcome, checks,
};

use crate::{
    baseline,
    error::Error,
    folder::SweepFolder,
    plan::{ConfigPlan, InfeasibleConfig, PlannedTrial},
    series::Series,
    start::StartedSweep,
    time_left::TimeLeft,
    trial,
};

/// A sweep after its last trial.
#[derive(Debug)]
pub struct FinishedSweep {
    /// Folder of the sweep, locked until this is dropped.
    pub folder: SweepFolder,
    /// Results of the model, including those of an earlier run of the same sweep.
    pub results: Vec<Trial>,
    /// Offered load for which a configuration is recommended, in queries per second.
    pub target_qps: Option<f64>,
    /// The error that ended the sweep early, if any.
    pub end: Result<(), Error>,
}

/// Runs every trial that has no result yet. `view` returns the view that shows the progress.
pub fn run(started: StartedSweep, view: impl FnOnce(&Outline) -> Box<dyn View>) -> FinishedSweep {
    let StartedSweep {
        series,
        interrupted,
        ..
    } = started;
    let mut view = view(&outline(&series));
    let mut results = Vec::new();
    let end = measure(&series, &interrupted, &mut *view, &mut results);
    FinishedSweep {
        folder: series.folder,
        results,
        target_qps: series.settings.target_qps,
        end,
    }
}

/// A trial to run.
struct QueuedTrial<'a> {
    series: &'a Series,
    trial: PlannedTrial,
}

/// Runs the missing trials, those of the baseline first. A trial that fails has a result too: only an interrupt, or a
/// folder that cannot be written, ends the loop. Adds all results of the model to `results`, including those of an
/// earlier run.
fn measure(
    series: &Series,
    stop: &AtomicBool,
    view: &mut dyn View,
    results: &mut Vec<Trial>,
) -> Result<(), Error> {
    pin_this_thread(series)?;
    collect(series, results)?;
    let missing = series.missing(results);
    let baseline = baseline::series(series)?;
    let mut baselines: BTreeMap<Config, Baseline> = BTreeMap::new();
    let mut queue: Vec<QueuedTrial<'_>> = Vec::new();
    if let Some(baseline) = &baseline {
        let needed: BTreeSet<Config> = missing.iter().map(|trial| series.config(*trial)).collect();
        let mut trials = missing_baselines(baseline, &mut baselines)?;
        trials.retain(|trial| needed.contains(&baseline.config(*trial)));
        queue.extend(trials.into_iter().map(|trial| QueuedTrial {
            series: baseline,
            trial,
        }));
    }
    let baseline_count = queue.len();
    let mut time = TimeLeft::new(&series.settings, baseline_count, missing.len());
    queue.extend(
        missing
            .into_iter()
            .map(|trial| QueuedTrial { series, trial }),
    );
    let count = queue.len();
    for (number, QueuedTrial { series: of, trial }) in (1..).zip(queue) {
        let (began, config) = (Instant::now(), of.config(trial));
        view.begin(&NextTrial {
            number,
            count,
            model: of.settings.model.name,
            config,
            round: (of.settings.repeats > 1).then_some(trial.round),
            left: time.left(),
        });
        let slot = of.folder.slot()?;
        let mut on_progress =
            |kind: PhaseKind, at: &Progress, used: &Resources| view.update(kind, at, used);
        let result = trial::run(
            &of.manager,
            &of.spec(trial),
            &slot.logs,
            stop,
            &mut on_progress,
        );
        let mut result = match result {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            result => result.unwrap_or_else(|why| of.template.not_made(config, why.to_string())),
        };
        result.round = trial.round;
        let is_baseline = number <= baseline_count;
        if let TrialOutcome::Speed(speed) = &mut result.outcome
            && !is_baseline
        {
            speed.baseline = baselines.get(&config).cloned();
        }
        let result = write_with_verdict(result, &slot)?;
        time.record(result.not_run().is_none().then(|| began.elapsed()));
        view.end(&result, &slot.file);
        match is_baseline {
            true => baselines
                .extend(baseline::read(&slot.file, &result).map(|baseline| (config, baseline))),
            false => results.push(result),
        }
    }
    Ok(())
}

/// Returns the outline of the sweep for the view.
fn outline(series: &Series) -> Outline {
    let (settings, plan) = (&series.settings, &series.plan);
    Outline {
        model: settings.model.name,
        mode: settings.mode.name(),
        configs: plan.configs.iter().map(ConfigPlan::config).collect(),
        impossible: plan.impossible.iter().map(|of| of.config).collect(),
        duration: settings.duration,
        baseline_duration: plan.baseline_duration,
        plain: settings.plain,
    }
}

/// Pins this thread, which monitors the processes, to a core apart from them.
fn pin_this_thread(series: &Series) -> Result<(), Error> {
    let allocation = &series.plan.allocation;
    if allocation.pinned {
        cores::pin_process(&allocation.watcher)
            .map_err(|error| Error::Failed(format!("cannot pin the driver: {error}")))?;
    }
    Ok(())
}

/// Collects the results of an earlier run, and writes those of the configs that cannot run.
fn collect(series: &Series, results: &mut Vec<Trial>) -> Result<(), Error> {
    let earlier = series.folder.results()?.into_iter();
    results.extend(earlier.map(|(_, trial)| trial));
    for InfeasibleConfig { config, reason } in &series.plan.impossible {
        let trial = series.template.not_made(*config, reason.clone());
        results.push(write_with_verdict(trial, &series.folder.slot()?)?);
    }
    Ok(())
}

/// Collects the baselines of an earlier run, and returns the trials of the baseline without a result.
fn missing_baselines(
    baseline: &Series,
    baselines: &mut BTreeMap<Config, Baseline>,
) -> Result<Vec<PlannedTrial>, Error> {
    let mut earlier = Vec::new();
    for (file, trial) in baseline.folder.results()? {
        baselines.extend(baseline::read(&file, &trial).map(|baseline| (trial.config(), baseline)));
        earlier.push(trial);
    }
    Ok(baseline.missing(&earlier))
}

/// Adds the verdict to a result and writes it.
fn write_with_verdict(trial: Trial, slot: &Slot) -> Result<Trial, Error> {
    let verdict = checks::judge(&trial);
    let trial = Trial { verdict, ..trial };
    slot.write(&trial)?;
    Ok(trial)
}
