//! The zero: the no-op model at each config, with the same inputs. What is left of a number beside it is the model's.

use std::{collections::BTreeMap, path::Path};

use deploy::models;
use results::{Config, PhaseKind, PointResult, Zero};

use super::{Steps, SweepFolder, missing};
use crate::{
    Error,
    measure::Sweep,
    plan::Run,
    settings::{Mode, Settings},
};

/// The no-op model's part of a sweep.
pub(super) struct Zeros {
    sweep: Sweep,
    folder: SweepFolder,
    found: BTreeMap<Config, Zero>,
    missing: Vec<Run>,
}

impl Zeros {
    /// What `folder` has of it, and what is missing for these configs of the grid; `None` for a sweep without it.
    pub(super) fn of(
        sweep: &Sweep,
        folder: &SweepFolder,
        configs: &[Config],
    ) -> Result<Option<Zeros>, Error> {
        if sweep.plan.zero.is_empty() {
            return Ok(None);
        }
        let folder = folder.zero()?;
        let sweep = with_noop(sweep)?;
        let (mut found, mut results) = (BTreeMap::new(), Vec::new());
        for (file, result) in folder.results()? {
            found.extend(zero(&file, &result));
            results.push(result);
        }
        let is_needed = |run: &Run| configs.contains(&sweep.plan.points[run.point].config());
        let missing = missing(&sweep, &results);
        Ok(Some(Zeros {
            missing: missing.into_iter().filter(is_needed).collect(),
            sweep,
            folder,
            found,
        }))
    }

    /// Number of measurements that are missing.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Measures what is missing. A shape that the no-op model could not run at has no zero.
    pub(super) fn measure(
        mut self,
        steps: &mut Steps<'_>,
    ) -> Result<BTreeMap<Config, Zero>, Error> {
        for run in self.missing {
            let (file, result) = steps.take((&self.sweep, &self.folder), run, None)?;
            self.found.extend(zero(&file, &result));
        }
        Ok(self.found)
    }
}

/// The same sweep of the no-op model: for a short time, on CPU cores, without an objective.
fn with_noop(sweep: &Sweep) -> Result<Sweep, Error> {
    let model = models::find("noop")?;
    let settings = Settings {
        model,
        engine: None,
        model_path: None,
        gpus: Vec::new(),
        duration: sweep.plan.zero_duration,
        repeats: 1,
        until: None,
        mode: Mode::Zero,
        objective: None,
        enforce_objective: false,
        ..sweep.settings.clone()
    };
    Ok(Sweep {
        settings,
        plan: sweep.plan.of_zero(),
        inputs: sweep.inputs.clone(),
        manager: sweep.manager.with_model(model.name)?,
        machine: sweep.machine.clone(),
        versions: sweep.versions.clone(),
        interrupted: sweep.interrupted.clone(),
        ceilings: sweep.ceilings.clone(),
    })
}

fn zero(file: &Path, result: &PointResult) -> Option<(Config, Zero)> {
    let speed = result.speed()?;
    let mut phases = speed.phases.iter();
    let single = phases.find(|phase| phase.kind == PhaseKind::SingleStream);
    let single = single.and_then(|phase| phase.latency.as_ref());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Some((
        result.config(),
        Zero {
            throughput_qps: speed.throughput_qps,
            mean_batch: speed.phases.first().and_then(|phase| phase.mean_batch),
            single_p50_ms: single.and_then(|latency| Some(latency.percentile(0.5)?.ms.value)),
            file: format!("zero/{name}"),
        },
    ))
}
