//! Checks a sweep against the machine and plans it, before anything is started.

use std::path::Path;

use host::{
    cores::{self, Topology},
    machine::Machine,
};

use crate::{error::Error, folder::SweepFolder, inputs::Inputs, plan::Plan, settings::Settings};

/// A sweep that is checked and planned.
#[derive(Debug)]
pub struct PreparedSweep {
    /// Settings of the sweep.
    pub settings: Settings,
    /// Configs and cores.
    pub plan: Plan,
    /// Inputs of the queries.
    pub inputs: Inputs,
    /// The machine that runs the sweep.
    pub machine: Machine,
    /// Locked folder of the sweep to resume.
    pub resumed: Option<SweepFolder>,
}

impl PreparedSweep {
    /// Plans the sweep, reads its inputs, and locks the folder of a sweep to resume.
    ///
    /// # Errors
    /// If the settings do not fit the machine, the inputs cannot be read, or another driver uses the folder.
    pub fn new(settings: Settings) -> Result<PreparedSweep, Error> {
        let resumed = settings.resume.as_deref().map(SweepFolder::open);
        let resumed = resumed.transpose()?;
        let allowed = cores::allowed()?;
        let plan = Plan::new(&settings, &allowed, &Topology::read(Path::new("/")))?;
        Ok(PreparedSweep {
            inputs: Inputs::prepare(&settings)?,
            machine: Machine::read(&allowed),
            settings,
            resumed,
            plan,
        })
    }
}
