//! A sweep from its first measurement to its last: each is on disk before the next one begins.

mod folder;
mod record;
mod time_left;
mod zeros;

pub use folder::SweepFolder;
pub use record::Record;
pub use time_left::TimeLeft;

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use host::cores;
use results::{Config, Outcome, PointResult, Slot, Zero, checks};

use crate::{
    Error,
    measure::Sweep,
    plan::Run,
    report::{Step, View},
};
use zeros::Zeros;

/// The folder for a sweep's results, with its record: a new one, or the one that is resumed. Then the second list says what
/// has changed since it began.
pub fn folder(
    sweep: &Sweep,
    resumed: Option<SweepFolder>,
) -> Result<(SweepFolder, Vec<String>), Error> {
    match resumed {
        Some(folder) => {
            let record = Record::read(&folder.path)?;
            let changes = record.changes(&sweep.machine, &sweep.versions);
            Ok((folder, changes))
        }
        None => {
            let settings = &sweep.settings;
            let folder = SweepFolder::make(&settings.results_dir, settings.model.name)?;
            Record::of(sweep)?.write(&folder.path)?;
            Ok((folder, Vec::new()))
        }
    }
}

/// Measures what the plan has and the folder has not, the no-op model first. `results` gets all that are of the model,
/// those that were there already too; what has been measured is there even if the sweep ends early.
pub fn run(
    sweep: &Sweep,
    folder: &SweepFolder,
    view: &mut dyn View,
    results: &mut Vec<PointResult>,
) -> Result<(), Error> {
    if sweep.plan.others.pinned {
        cores::confine_process(&sweep.plan.others.watcher)
            .map_err(|error| Error::Failed(format!("cannot pin the driver: {error}")))?;
    }
    let there = folder.results()?;
    results.extend(there.into_iter().map(|(_, result)| result));
    for impossible in &sweep.plan.impossible {
        let result = sweep.not_run(impossible.config, impossible.reason.clone());
        results.push(judged(result, &folder.slot()?)?);
    }
    let runs = missing(sweep, results);
    let configs: Vec<_> = runs.iter().map(|run| config(sweep, run)).collect();
    let zeros = Zeros::of(sweep, folder, &configs)?;
    let zero_count = zeros.as_ref().map_or(0, Zeros::missing);
    let mut steps = Steps {
        view,
        time: TimeLeft::new(&sweep.settings, zero_count, runs.len()),
        count: zero_count + runs.len(),
        begun: 0,
    };
    let zeros = match zeros {
        Some(zeros) => zeros.measure(&mut steps)?,
        None => BTreeMap::new(),
    };
    for (run, config) in runs.into_iter().zip(configs) {
        let zero = zeros.get(&config).cloned();
        results.push(steps.take((sweep, folder), run, zero)?.1);
    }
    Ok(())
}

fn config(sweep: &Sweep, run: &Run) -> Config {
    sweep.plan.points[run.point].config()
}

/// The result with its verdict, on disk.
fn judged(result: PointResult, slot: &Slot) -> Result<PointResult, Error> {
    let verdict = checks::judge(&result);
    let result = PointResult { verdict, ..result };
    slot.write(&result)?;
    Ok(result)
}

/// The runs of the plan that are not among the results.
fn missing(sweep: &Sweep, results: &[PointResult]) -> Vec<Run> {
    let is_missing = |run: &&Run| {
        let config = config(sweep, run);
        let mut results = results.iter();
        !results.any(|result| result.round == run.round && result.config() == config)
    };
    sweep.plan.runs.iter().filter(is_missing).copied().collect()
}

/// One measurement after the other, for the view.
struct Steps<'a> {
    view: &'a mut dyn View,
    time: TimeLeft,
    count: usize,
    begun: usize,
}

impl Steps<'_> {
    /// Measures a point and writes the result, whatever it is. Only an interrupt, or a folder that cannot be written, is an
    /// error.
    fn take(
        &mut self,
        (sweep, folder): (&Sweep, &SweepFolder),
        run: Run,
        zero: Option<Zero>,
    ) -> Result<(PathBuf, PointResult), Error> {
        let point = &sweep.plan.points[run.point];
        let began = Instant::now();
        self.begun += 1;
        self.view.begin(&Step {
            number: self.begun,
            count: self.count,
            model: sweep.settings.model.name,
            config: point.config(),
            round: (sweep.settings.repeats > 1).then_some(run.round),
            left: self.time.left(),
        });
        let slot = folder.slot()?;
        let view = &mut self.view;
        let mut result =
            match sweep.measure(point, &slot, |kind, at, used| view.look(kind, at, used)) {
                Ok(result) => result,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(why) => sweep.not_run(point.config(), why.to_string()),
            };
        result.round = run.round;
        if let Outcome::Speed(speed) = &mut result.outcome {
            speed.zero = zero;
        }
        let result = judged(result, &slot)?;
        let worked = result.not_run().is_none();
        self.time.done(worked.then(|| began.elapsed()));
        self.view.end(&result, &slot.file);
        Ok((slot.file, result))
    }
}
