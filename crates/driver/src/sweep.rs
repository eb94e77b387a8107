//! A sweep: one trial after the other, each on disk before the next one begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::AtomicBool,
    time::Instant,
};

use host::cores;
use report::{NextTrial, Outline, View};
use results::{Config, Outcome, PhaseKind, Progress, Resources, Slot, Trial, Zero, checks};

use crate::{
    baseline,
    error::Error,
    folder::SweepFolder,
    plan::{ConfigPlan, Impossible, PlannedTrial},
    series::Series,
    start::Started,
    time_left::TimeLeft,
    trial,
};

/// A sweep that has run.
#[derive(Debug)]
pub struct Swept {
    /// Its folder, locked as long as this lives.
    pub folder: SweepFolder,
    /// The trials of the model, those of an earlier run of the same sweep included.
    pub results: Vec<Trial>,
    /// The rate for which a configuration was to be recommended, in queries a second.
    pub target_qps: Option<f64>,
    /// An error if it ended early.
    pub ended: Result<(), Error>,
}

/// Makes every trial that has no result yet, and shows it on the view that `view` makes.
pub fn run(started: Started, view: impl FnOnce(&Outline) -> Box<dyn View>) -> Swept {
    let Started {
        series,
        interrupted,
        ..
    } = started;
    let mut view = view(&outline(&series));
    let mut results = Vec::new();
    let ended = measure(&series, &interrupted, &mut *view, &mut results);
    Swept {
        folder: series.folder,
        results,
        target_qps: series.settings.target_qps,
        ended,
    }
}

/// A trial that is to be made.
struct Queued<'a> {
    series: &'a Series,
    trial: PlannedTrial,
}

/// Makes the missing trials, those of the no-op model first. Whatever a trial comes to is a result; only an interrupt,
/// or a folder that cannot be written, ends the loop. `results` gets all that are of the model, those that were there
/// already too.
fn measure(
    series: &Series,
    stop: &AtomicBool,
    view: &mut dyn View,
    results: &mut Vec<Trial>,
) -> Result<(), Error> {
    confine(series)?;
    collect(series, results)?;
    let missing = series.missing(results);
    let baseline = baseline::series(series)?;
    let mut zeros: BTreeMap<Config, Zero> = BTreeMap::new();
    let mut queue: Vec<Queued<'_>> = Vec::new();
    if let Some(baseline) = &baseline {
        let needed: BTreeSet<Config> = missing.iter().map(|trial| series.config(*trial)).collect();
        let mut lacking = zeros_lacking(baseline, &mut zeros)?;
        lacking.retain(|trial| needed.contains(&baseline.config(*trial)));
        queue.extend(lacking.into_iter().map(|trial| Queued {
            series: baseline,
            trial,
        }));
    }
    let zero_count = queue.len();
    let mut time = TimeLeft::new(&series.settings, zero_count, missing.len());
    queue.extend(missing.into_iter().map(|trial| Queued { series, trial }));
    let count = queue.len();
    for (number, Queued { series: of, trial }) in (1..).zip(queue) {
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
        let mut look = |kind: PhaseKind, at: &Progress, used: &Resources| view.look(kind, at, used);
        let made = trial::run(&of.manager, &of.spec(trial), &slot.logs, stop, &mut look);
        let mut made = match made {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            made => made.unwrap_or_else(|why| of.blank.not_made(config, why.to_string())),
        };
        made.round = trial.round;
        let is_baseline = number <= zero_count;
        if let Outcome::Speed(speed) = &mut made.outcome
            && !is_baseline
        {
            speed.zero = zeros.get(&config).cloned();
        }
        let made = judged(made, &slot)?;
        time.done(made.not_run().is_none().then(|| began.elapsed()));
        view.end(&made, &slot.file);
        match is_baseline {
            true => zeros.extend(baseline::read(&slot.file, &made).map(|zero| (config, zero))),
            false => results.push(made),
        }
    }
    Ok(())
}

/// What a view is told of the sweep.
fn outline(series: &Series) -> Outline {
    let (settings, plan) = (&series.settings, &series.plan);
    Outline {
        model: settings.model.name,
        mode: settings.mode.name(),
        configs: plan.configs.iter().map(ConfigPlan::config).collect(),
        impossible: plan.impossible.iter().map(|of| of.config).collect(),
        duration: settings.duration,
        zero_duration: plan.zero_duration,
        plain: settings.plain,
    }
}

/// Keeps this thread, which watches, off the cores of the others.
fn confine(series: &Series) -> Result<(), Error> {
    let others = &series.plan.others;
    if others.pinned {
        cores::confine_process(&others.watcher)
            .map_err(|error| Error::Failed(format!("cannot pin the driver: {error}")))?;
    }
    Ok(())
}

/// Collects the results that are in the folder already, and makes those of the combinations that cannot run.
fn collect(series: &Series, results: &mut Vec<Trial>) -> Result<(), Error> {
    let there = series.folder.results()?.into_iter();
    results.extend(there.map(|(_, trial)| trial));
    for Impossible { config, reason } in &series.plan.impossible {
        let trial = series.blank.not_made(*config, reason.clone());
        results.push(judged(trial, &series.folder.slot()?)?);
    }
    Ok(())
}

/// Collects what the no-op model reaches, as far as that is in its folder already; gives the trials that are missing
/// there.
fn zeros_lacking(
    baseline: &Series,
    zeros: &mut BTreeMap<Config, Zero>,
) -> Result<Vec<PlannedTrial>, Error> {
    let mut there = Vec::new();
    for (file, trial) in baseline.folder.results()? {
        zeros.extend(baseline::read(&file, &trial).map(|zero| (trial.config(), zero)));
        there.push(trial);
    }
    Ok(baseline.missing(&there))
}

/// The trial with its verdict, on disk.
fn judged(trial: Trial, slot: &Slot) -> Result<Trial, Error> {
    let verdict = checks::judge(&trial);
    let trial = Trial { verdict, ..trial };
    slot.write(&trial)?;
    Ok(trial)
}
