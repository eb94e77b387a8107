//! Starts a sweep: builds or finds its programs and makes its folder.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use deploy::Manager;
use host::machine::Versions;

use crate::{
    error::Error,
    folder::SweepFolder,
    plan::Plan,
    prepare::PreparedSweep,
    record::{MeasuredOn, Record},
    series::Series,
    settings::Settings,
    trial::template,
};

/// A sweep with its programs and its folder.
#[derive(Debug)]
pub struct StartedSweep {
    /// Trials of the model.
    pub series: Series,
    /// Set by Ctrl-C and SIGTERM.
    pub interrupted: Arc<AtomicBool>,
    /// Changes since a resumed sweep began; empty for a new sweep.
    pub changes: Vec<String>,
}

/// Builds or finds the programs, and makes the folder of a new sweep.
///
/// # Errors
/// If a program is missing, the build fails, the folder cannot be written, or `interrupted` is set.
pub fn start(
    prepared: PreparedSweep,
    interrupted: &Arc<AtomicBool>,
) -> Result<StartedSweep, Error> {
    let PreparedSweep {
        settings,
        plan,
        inputs,
        machine,
        resumed,
    } = prepared;
    if resumed.is_none() {
        SweepFolder::try_parent(&settings.results_dir)?;
    }
    let manager = Manager::prepare(&settings.manager());
    if interrupted.load(Relaxed) {
        return Err(Error::Interrupted);
    }
    let manager = manager?;
    let versions = Versions::read();
    let on = MeasuredOn { machine, versions };
    let (folder, changes) = match resumed {
        Some(folder) => {
            let changes = Record::read(&folder.path)?.changes(&on);
            (folder, changes)
        }
        None => (new_folder(&settings, &plan, &on)?, Vec::new()),
    };
    Ok(StartedSweep {
        series: Series {
            template: template(&settings, &plan.allocation, &manager, &inputs, on),
            settings,
            plan,
            inputs,
            manager,
            ceilings: Rc::default(),
            folder,
        },
        interrupted: interrupted.clone(),
        changes,
    })
}

/// Makes the folder of a new sweep, with its record.
fn new_folder(settings: &Settings, plan: &Plan, on: &MeasuredOn) -> Result<SweepFolder, Error> {
    let folder = SweepFolder::make(&settings.results_dir, settings.model.name)?;
    Record::of(settings, plan, on)?.write(&folder.path)?;
    Ok(folder)
}
