//! One sweep from its settings to its results: what `driver` does without a subcommand, and a survey for each model.

use std::{
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use deploy::Manager;
use host::{
    cores::{self, Topology},
    machine::{Machine, Versions},
};
use results::PointResult;

use crate::{
    Error,
    inputs::Inputs,
    measure::Sweep,
    plan::Plan,
    report::{self, View},
    settings::Settings,
    sweep::{self, SweepFolder},
};

/// A sweep that is checked and planned; nothing has been started.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    resumed: Option<SweepFolder>,
    plan: Plan,
    inputs: Inputs,
    machine: Machine,
}

/// A sweep whose programs and folder are there.
#[derive(Debug)]
pub struct Started {
    sweep: Sweep,
    folder: SweepFolder,
    /// What changed since a resumed sweep began; empty for a new one.
    pub changes: Vec<String>,
}

/// A sweep that has run.
#[derive(Debug)]
pub struct Measured {
    /// Its folder, locked as long as this lives.
    pub folder: SweepFolder,
    /// The results of the model, those of an earlier run of the same sweep included.
    pub results: Vec<PointResult>,
    /// The rate for which a configuration was to be recommended, in queries a second.
    pub target_qps: Option<f64>,
    /// An error if it ended early.
    pub ended: Result<(), Error>,
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

    /// The plan, for people.
    pub fn describe(&self) -> String {
        report::plan(&self.settings, &self.plan, &self.inputs, &self.machine)
    }

    /// Builds or finds the programs, and makes the folder of a new sweep.
    ///
    /// # Errors
    /// If something is missing, the build fails, the folder cannot be written, or `interrupted` is set.
    pub fn start(self, interrupted: &Arc<AtomicBool>) -> Result<Started, Error> {
        if self.resumed.is_none() {
            SweepFolder::try_parent(&self.settings.results_dir)?;
        }
        let manager = Manager::prepare(&self.settings.manager());
        if interrupted.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        let sweep = Sweep {
            settings: self.settings,
            plan: self.plan,
            inputs: self.inputs,
            manager: manager?,
            machine: self.machine,
            versions: Versions::read(),
            interrupted: interrupted.clone(),
            ceilings: Rc::default(),
        };
        let (folder, changes) = sweep::folder(&sweep, self.resumed)?;
        Ok(Started {
            sweep,
            folder,
            changes,
        })
    }
}

impl Started {
    /// Measures every point that has no result yet, and shows it on the view that `view` makes.
    pub fn measure(self, view: impl FnOnce(&Settings, &Plan) -> Box<dyn View>) -> Measured {
        let Started { sweep, folder, .. } = self;
        let mut results = Vec::new();
        let mut view = view(&sweep.settings, &sweep.plan);
        let ended = sweep::run(&sweep, &folder, &mut *view, &mut results);
        Measured {
            folder,
            results,
            target_qps: sweep.settings.target_qps,
            ended,
        }
    }
}
