//! A trial: one measurement of one combination, from its deployment to its result. Whatever happens, no process is
//! left.

mod blank;
mod ceilings;
mod running;
mod spec;

pub use blank::blank;
pub use ceilings::Ceilings;
pub use spec::{ClientSpec, Look, TrialSpec};

use std::{path::Path, sync::atomic::AtomicBool};

use deploy::Manager;
use results::Trial;

use crate::error::Error;
use running::Running;

/// Deploys, loads and measures as `spec` says; the result is not yet judged. The processes' output goes into the folder
/// `logs`.
///
/// # Errors
/// If something cannot be deployed, fails under load, or `stop` is set.
pub fn run(
    manager: &Manager,
    spec: &TrialSpec<'_>,
    logs: &Path,
    stop: &AtomicBool,
    look: &mut Look<'_>,
) -> Result<Trial, Error> {
    let mut running = Running::deploy(manager, spec, logs, stop)?;
    let outcome = match &spec.phases {
        Some(phases) => running.speed(phases.clone(), look)?,
        None => running.accuracy(look)?,
    };
    running.finish(outcome)
}
