//! A sweep before anything is started: checked against the machine, and planned.

use std::path::Path;

use host::{
    cores::{self, Topology},
    machine::Machine,
};

use crate::{error::Error, folder::SweepFolder, inputs::Inputs, plan::Plan, settings::Settings};

/// A sweep that is checked and planned; nothing has been started.
#[derive(Debug)]
pub struct Prepared {
    /// What was asked for.
    pub settings: Settings,
    /// The combinations and cores.
    pub plan: Plan,
    /// What is sent.
    pub inputs: Inputs,
    /// What it runs on.
    pub machine: Machine,
    /// The folder of the sweep that is resumed, locked.
    pub resumed: Option<SweepFolder>,
}

impl Prepared {
    /// Plans the sweep and reads its inputs; locks the folder of a sweep that is resumed.
    ///
    /// # Errors
    /// If the settings do not fit the machine, the inputs cannot be read, or another driver measures into the folder.
    pub fn new(settings: Settings) -> Result<Prepared, Error> {
        let resumed = settings.resume.as_deref().map(SweepFolder::open);
        let resumed = resumed.transpose()?;
        let allowed = cores::allowed()?;
        let plan = Plan::new(&settings, &allowed, &Topology::read(Path::new("/")))?;
        Ok(Prepared {
            inputs: Inputs::prepare(&settings)?,
            machine: Machine::read(&allowed),
            settings,
            resumed,
            plan,
        })
    }
}
