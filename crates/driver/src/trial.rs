//! A trial: one measurement of one config, from its deployment to its result. Every end of a trial stops its
//! processes.

mod ceilings;
mod running;
mod spec;
mod template;

pub use ceilings::Ceilings;
pub use spec::{ClientSpec, ProgressFn, TrialSpec};
pub use template::template;

use std::{path::Path, sync::atomic::AtomicBool};

use deploy::Manager;
use results::Trial;

use crate::error::Error;
use running::RunningTrial;

/// Runs the trial of `spec` and returns its result without a verdict. The output of the processes goes into the
/// folder `logs`.
///
/// # Errors
/// If a process cannot be deployed or fails under load, or `stop` is set.
pub fn run(
    manager: &Manager,
    spec: &TrialSpec<'_>,
    logs: &Path,
    stop: &AtomicBool,
    on_progress: &mut ProgressFn<'_>,
) -> Result<Trial, Error> {
    let mut running = RunningTrial::deploy(manager, spec, logs, stop)?;
    let outcome = match &spec.phases {
        Some(phases) => running.speed(phases.clone(), on_progress)?,
        None => running.accuracy(on_progress)?,
    };
    running.finish(outcome)
}
