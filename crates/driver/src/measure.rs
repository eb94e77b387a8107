//! One point: deploy, wait for the replicas, run its phases, look, tear down.

use std::{
    cell::OnceCell,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Error,
    agenda::{Agenda, Step},
    cores::Cores,
    deployment::Deployment,
    inputs::Inputs,
    launch::Programs,
    load::{self, Go, Load, Measured, Progress, pacer, pacer::Pace},
    machine::{Machine, Versions},
    plan::{Cell, Plan, Point},
    resources::{Sampler, Watched},
    results::{
        AccuracyRun, Arrivals, DriverConfig, FORMAT, Generator, NodeConfig, Outcome, Phase,
        PhaseKind, PointResult, ReplicaResult, Resources, Slot, Speed, Verdict,
    },
    self_test,
    settings::{Mode, Settings},
    stats::Totals,
};

/// What all points of a sweep have in common.
#[derive(Debug)]
pub struct Sweep {
    /// What was asked for.
    pub settings: Settings,
    /// The points and cores.
    pub plan: Plan,
    /// What is sent.
    pub inputs: Inputs,
    /// What is started.
    pub programs: Programs,
    /// What it runs on.
    pub machine: Machine,
    /// What is measured.
    pub versions: Versions,
    /// Set by Ctrl-C and SIGTERM.
    pub interrupted: Arc<AtomicBool>,
    /// What the load generator can do, once it has been measured.
    pub ceiling: OnceCell<f64>,
}

impl Sweep {
    /// Measures one point; its result is not yet judged. Before the first one, the load generator itself is measured for a
    /// second. `look` is told how it goes, about ten times a second. Whatever happens, no process is left.
    pub fn measure(
        &self,
        point: &Point,
        slot: &Slot,
        mut look: impl FnMut(&Progress, &Resources),
    ) -> Result<PointResult, Error> {
        if let Mode::Trace(file) = &self.settings.mode {
            // A file that cannot be read is to be known before anything starts.
            pacer::read_trace(file)?;
        }
        if self.settings.labels.is_none() {
            self.ceiling()?;
        }
        let mut run = Run::begin(self, point, slot)?;
        let outcome = match self.settings.labels {
            None => run.speed(&mut look)?,
            Some(_) => run.accuracy(&mut look)?,
        };
        run.result(outcome)
    }

    /// An error once the user has asked to stop.
    pub fn interrupted(&self) -> Result<(), Error> {
        match self.interrupted.load(Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// What the load generator can do at most with these inputs, in queries a second; measured once, for a second.
    fn ceiling(&self) -> Result<f64, Error> {
        if let Some(ceiling) = self.ceiling.get() {
            return Ok(*ceiling);
        }
        let clients = self.settings.num_clients;
        let second = Duration::from_secs(1);
        let ceiling = self_test::ceiling(&self.inputs.frames, clients, &self.plan.others, second)?;
        Ok(*self.ceiling.get_or_init(|| ceiling))
    }

    /// The result of a point that could not be measured, and why; not yet judged.
    pub fn not_run(&self, cell: Cell, why: String) -> Result<PointResult, Error> {
        Ok(PointResult {
            format: FORMAT,
            round: 1,
            verdict: Verdict::of(Vec::new()),
            resources: None,
            node_configs: vec![self.node_config(cell)],
            clipper_metrics: Value::Null,
            outcome: Outcome::NotRun { not_run: why },
            totals: Totals::default(),
            replicas_lost: 0,
            replicas: Vec::new(),
            replicas_died: 0,
            first_reason: None,
            pinning: self.plan.others.sharing(&[]).to_string(),
            driver: self.driver_config(0, &Resources::default()),
            machine: self.machine.clone(),
            versions: self.versions.clone(),
        })
    }

    fn deployed(&self, point: &Point) -> NodeConfig {
        let mut allocated: Cores = point.replica_cores.concat();
        allocated.sort_unstable();
        allocated.dedup();
        NodeConfig {
            allocated_cpus: allocated,
            gpus: point.gpus(),
            ..self.node_config(point.cell())
        }
    }

    /// What is deployed at this cell, on no cores yet.
    fn node_config(&self, cell: Cell) -> NodeConfig {
        NodeConfig {
            name: self.settings.model.name.to_owned(),
            input_type: self.settings.input_type.to_string(),
            model_image: self.settings.model.name.to_owned(),
            allocated_cpus: Vec::new(),
            cpus_per_replica: cell.cpus_per_replica,
            slo: u64::try_from(self.settings.told_objective().as_micros()).unwrap_or(u64::MAX),
            num_replicas: cell.replicas,
            gpus: Vec::new(),
            batch_size: cell.batch_size,
        }
    }

    /// How the queries are sent: so many in flight, by the driver and to the frontend that have been watched.
    fn driver_config(&self, in_flight: usize, watched: &Resources) -> DriverConfig {
        let ours = ["driver", "frontend"].into_iter();
        let cores = ours.filter_map(|name| {
            let held = watched.process(name)?.held.clone()?;
            Some((name.to_owned(), held))
        });
        DriverConfig {
            cores: cores.collect(),
            num_clients: self.settings.num_clients,
            in_flight,
            objective_ms: self.settings.objective.map(|o| o.as_secs_f64() * 1e3),
            seed: self.settings.seed,
            inputs: self.inputs.description.clone(),
            duration_seconds: self.settings.duration.as_secs_f64(),
            command_line: self.settings.command_line.clone(),
        }
    }

    /// Watches the driver, the frontend and each replica.
    fn sampler(&self, point: &Point, deployment: &Deployment) -> Sampler {
        let others = &self.plan.others;
        let watched = |name: &str, pid, cores: &[usize]| Watched {
            name: name.to_owned(),
            pid,
            pinned: others.pinned.then(|| cores.to_vec()),
        };
        let frontend = deployment.frontend.process.pid();
        let mut all = vec![
            watched("driver", process::id(), &others.driver()),
            watched("frontend", frontend, &others.frontend),
        ];
        for (replica, cores) in deployment.replicas.iter().zip(&point.replica_cores) {
            all.push(watched(&replica.name, replica.pid(), cores));
        }
        let gpus = &self.settings.gpus[..point.gpus().len()];
        Sampler::new(&all, &others.allowed, gpus, Instant::now())
    }
}

/// Is told how a point goes, and what it has used until now.
type Look<'a> = dyn FnMut(&Progress, &Resources) + 'a;

/// A point that is being measured.
struct Run<'a> {
    sweep: &'a Sweep,
    point: &'a Point,
    deployment: Deployment,
    sampler: Sampler,
    /// When the load began.
    since: Instant,
    warm: bool,
    totals: Totals,
    first_reason: Option<String>,
    busiest_thread: f64,
}

impl<'a> Run<'a> {
    fn begin(sweep: &'a Sweep, point: &'a Point, slot: &Slot) -> Result<Run<'a>, Error> {
        let deployment = Deployment::start(sweep, point, slot)?;
        Ok(Run {
            sweep,
            point,
            sampler: sweep.sampler(point, &deployment),
            deployment,
            since: Instant::now(),
            warm: false,
            totals: Totals::default(),
            first_reason: None,
            busiest_thread: 0.0,
        })
    }

    /// Runs all phases.
    fn speed(&mut self, look: &mut Look<'_>) -> Result<Outcome, Error> {
        let settings = &self.sweep.settings;
        let mut agenda = Agenda::new(settings, self.point.in_flight);
        let mut phases: Vec<Phase> = Vec::new();
        while let Some(step) = agenda.next(self.since.elapsed()) {
            let load = self.load(&step, phases.len() as u64)?;
            let mut measured = self.run(&load, look)?;
            let phase = Phase::read(&load, step.arrivals, &mut measured);
            agenda.saw(&phase);
            phases.push(phase);
        }
        let fastest = phases.iter().map(|phase| phase.throughput.value);
        let ceiling_qps = self.sweep.ceiling()?;
        let generator = Generator {
            ceiling_qps,
            share_of_ceiling: fastest.fold(0.0, f64::max) / ceiling_qps,
            busiest_thread: self.busiest_thread,
        };
        Ok(Outcome::Speed(Box::new(Speed {
            mode: settings.mode.name().to_owned(),
            client_metrics: phases[0].client_metrics(),
            throughput_qps: phases[0].throughput.value,
            phases,
            search: agenda.search(),
            zero: None,
            generator: Some(generator),
        })))
    }

    /// Asks about every input once, and counts what is right.
    fn accuracy(&mut self, look: &mut Look<'_>) -> Result<Outcome, Error> {
        let in_flight = self.point.in_flight;
        let step = Step {
            kind: PhaseKind::Throughput,
            arrivals: Arrivals::Closed { in_flight },
            duration: Duration::ZERO,
        };
        let load = Load {
            pace: Pace::Once { in_flight },
            until: None,
            ..self.load(&step, 0)?
        };
        let outputs = self.run(&load, look)?.tally.outputs;
        let replicas = self.deployment.replica_results()?;
        let artifact = replicas.iter().find_map(ReplicaResult::artifact);
        let labels = &self.sweep.inputs.labels;
        let accuracy_run = AccuracyRun::count(&outputs, labels, artifact)?;
        Ok(Outcome::Accuracy { accuracy_run })
    }

    /// The load of a phase; each number has arrivals of its own.
    fn load(&self, step: &Step, number: u64) -> Result<Load<'a>, Error> {
        let Sweep { settings, plan, .. } = self.sweep;
        let pace = match step.arrivals {
            Arrivals::Closed { in_flight } => Pace::Closed { in_flight },
            Arrivals::Poisson { rate, .. } => Pace::Poisson {
                rate,
                seed: settings.seed.wrapping_add(number),
            },
            Arrivals::Constant { rate } => Pace::Constant { rate },
            Arrivals::Trace { ref file } => pacer::read_trace(Path::new(file))?,
        };
        Ok(Load {
            target: self.deployment.target(settings),
            kind: step.kind,
            duration: step.duration.min(pace.length().unwrap_or(Duration::MAX)),
            pace,
            clients: settings.num_clients,
            cores: plan.others.pinned.then_some(&plan.others.clients),
            opening: step.opening(),
            until: settings.until,
            patience: Duration::from_secs(30),
            objective: settings.objective,
            since: self.since,
        })
    }

    /// Sends one load, and sees that frontend and replicas stay there.
    fn run(&mut self, load: &Load<'_>, look: &mut Look<'_>) -> Result<Measured, Error> {
        let mut failure = None;
        let measured = load::run(load, &self.sweep.inputs.frames, |at| {
            self.sampler.sample(Instant::now());
            look(at, self.sampler.seen());
            self.watch().unwrap_or_else(|error| {
                failure = Some(error);
                Go::Stop
            })
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        self.totals.add(&measured.tally.totals);
        self.busiest_thread = self.busiest_thread.max(measured.busiest_thread);
        if self.first_reason.is_none() {
            self.first_reason.clone_from(&measured.tally.first_reason);
        }
        Ok(measured)
    }

    /// Goes on as long as the frontend and one replica live.
    fn watch(&mut self) -> Result<Go, Error> {
        self.sweep.interrupted()?;
        self.deployment.check()?;
        self.warm = self.warm || self.deployment.is_warm()?;
        Ok(if self.warm { Go::Warm } else { Go::Cold })
    }

    fn result(mut self, outcome: Outcome) -> Result<PointResult, Error> {
        let (sweep, point) = (self.sweep, self.point);
        let replicas = self.deployment.replica_results()?;
        let resources = self.sampler.finish(Instant::now());
        Ok(PointResult {
            format: FORMAT,
            round: 1,
            verdict: Verdict::of(Vec::new()),
            driver: sweep.driver_config(point.in_flight, &resources),
            resources: sweep.settings.labels.is_none().then_some(resources),
            node_configs: vec![sweep.deployed(point)],
            clipper_metrics: self.deployment.admin.metrics()?,
            outcome,
            totals: self.totals,
            replicas_lost: self.deployment.lost(&replicas),
            replicas,
            replicas_died: self.deployment.died(),
            first_reason: self.first_reason,
            pinning: sweep.plan.others.sharing(&point.replica_cores).to_string(),
            machine: sweep.machine.clone(),
            versions: sweep.versions.clone(),
        })
    }
}
