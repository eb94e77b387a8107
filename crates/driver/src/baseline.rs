//! The baseline: the no-op model at each config, with the same inputs. The difference to its result is the cost of
//! the model.

use std::path::Path;

use deploy::models;
use results::{Baseline, PhaseKind, Trial};

use crate::{
    error::Error,
    record::MeasuredOn,
    series::Series,
    settings::{Mode, Settings},
    trial::template,
};

/// Returns the trials of the no-op model: short, on CPU cores, without an objective. `None` for a sweep without a
/// baseline.
///
/// # Errors
/// If the no-op model's program, image or folder is missing.
pub fn series(of: &Series) -> Result<Option<Series>, Error> {
    if of.plan.baseline.is_empty() {
        return Ok(None);
    }
    let model = models::find("noop")?;
    let settings = Settings {
        model,
        engine: None,
        model_path: None,
        gpus: Vec::new(),
        duration: of.plan.baseline_duration,
        repeats: 1,
        until: None,
        mode: Mode::Baseline,
        objective: None,
        enforce_objective: false,
        ..of.settings.clone()
    };
    let plan = of.plan.of_baseline();
    let manager = of.manager.with_model(model.name)?;
    let on = MeasuredOn {
        machine: of.template.machine.clone(),
        versions: of.template.versions.clone(),
    };
    Ok(Some(Series {
        template: template(&settings, &plan.allocation, &manager, &of.inputs, on),
        settings,
        plan,
        inputs: of.inputs.clone(),
        manager,
        ceilings: of.ceilings.clone(),
        folder: of.folder.baseline()?,
    }))
}

/// Returns the baseline values of the no-op model's result in `file`; `None` if the trial did not run.
pub fn read(file: &Path, trial: &Trial) -> Option<Baseline> {
    let speed = trial.speed()?;
    let mut phases = speed.phases.iter();
    let single = phases.find(|phase| phase.kind == PhaseKind::SingleStream);
    let single = single.and_then(|phase| phase.latency.as_ref());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Some(Baseline {
        throughput_qps: speed.throughput_qps,
        mean_batch: speed.phases.first().and_then(|phase| phase.mean_batch),
        single_p50_ms: single.and_then(|latency| Some(latency.percentile(0.5)?.ms.value)),
        file: format!("baseline/{name}"),
    })
}
