//! The zero: the no-op model at each combination, with the same inputs. What is left of a number beside it is the
//! model's.

use std::path::Path;

use deploy::models;
use results::{PhaseKind, Trial, Zero};

use crate::{
    error::Error,
    record::MeasuredOn,
    series::Series,
    settings::{Mode, Settings},
    trial::blank,
};

/// The trials of the no-op model beside those of a model: for a short time, on CPU cores, without an objective. `None`
/// for a sweep without them.
///
/// # Errors
/// If the no-op model's program, image or folder is missing.
pub fn series(of: &Series) -> Result<Option<Series>, Error> {
    if of.plan.zero.is_empty() {
        return Ok(None);
    }
    let model = models::find("noop")?;
    let settings = Settings {
        model,
        engine: None,
        model_path: None,
        gpus: Vec::new(),
        duration: of.plan.zero_duration,
        repeats: 1,
        until: None,
        mode: Mode::Zero,
        objective: None,
        enforce_objective: false,
        ..of.settings.clone()
    };
    let plan = of.plan.of_zero();
    let manager = of.manager.with_model(model.name)?;
    let on = MeasuredOn {
        machine: of.blank.machine.clone(),
        versions: of.blank.versions.clone(),
    };
    Ok(Some(Series {
        blank: blank(&settings, &plan.others, &manager, &of.inputs, on),
        settings,
        plan,
        inputs: of.inputs.clone(),
        manager,
        ceilings: of.ceilings.clone(),
        folder: of.folder.zero()?,
    }))
}

/// What a result of the no-op model, in `file`, is held against others; `None` if it could not run.
pub fn read(file: &Path, trial: &Trial) -> Option<Zero> {
    let speed = trial.speed()?;
    let mut phases = speed.phases.iter();
    let single = phases.find(|phase| phase.kind == PhaseKind::SingleStream);
    let single = single.and_then(|phase| phase.latency.as_ref());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Some(Zero {
        throughput_qps: speed.throughput_qps,
        mean_batch: speed.phases.first().and_then(|phase| phase.mean_batch),
        single_p50_ms: single.and_then(|latency| Some(latency.percentile(0.5)?.ms.value)),
        file: format!("zero/{name}"),
    })
}
