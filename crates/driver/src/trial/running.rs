//! A running trial: its deployment, the sampler of its resources, and its counts.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use deploy::{Deployment, Endpoints, Manager, RegisteredReplica};
use host::{
    Resources, cores,
    samples::{Sampler, WatchedProcess},
};
use loadgen::{Arrivals, Load, LoadControl, LoadResult, Target, stats::Totals};
use results::{
    AccuracyRun, DriverConfig, Generator, NodeConfig, Phase, PhaseKind, ReplicaResult, Speed,
    Trial, TrialOutcome,
};

use super::spec::{ProgressFn, TrialSpec};
use crate::{
    error::Error,
    phase_plan::{PhasePlan, PhaseSpec},
    self_test::{self, SelfTestClients},
};

/// Time without any answer after which missing answers count as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Duration of a measurement of the load generator.
const CEILING_DURATION: Duration = Duration::from_secs(1);

/// A running trial.
pub(super) struct RunningTrial<'a> {
    spec: &'a TrialSpec<'a>,
    stop: &'a AtomicBool,
    deployment: Deployment,
    sampler: Sampler,
    /// Start of the load.
    started: Instant,
    /// True once every replica has answered two batches.
    warm: bool,
    totals: Totals,
    first_reason: Option<String>,
    busiest_thread: f64,
}

impl<'a> RunningTrial<'a> {
    /// Deploys frontend and replicas.
    pub(super) fn deploy(
        manager: &Manager,
        spec: &'a TrialSpec<'a>,
        logs: &Path,
        stop: &'a AtomicBool,
    ) -> Result<RunningTrial<'a>, Error> {
        let deployment = Deployment::start(manager, &spec.deployment, logs, stop)?;
        deployment
            .models()
            .try_for_each(|model| spec.inputs.check(model))?;
        let started = Instant::now();
        Ok(RunningTrial {
            spec,
            stop,
            sampler: sampler(spec, &deployment, started),
            deployment,
            started,
            warm: false,
            totals: Totals::default(),
            first_reason: None,
            busiest_thread: 0.0,
        })
    }

    /// Runs all phases.
    pub(super) fn speed(
        &mut self,
        mut plan: PhasePlan,
        on_progress: &mut ProgressFn<'_>,
    ) -> Result<TrialOutcome, Error> {
        let mut phases: Vec<Phase> = Vec::new();
        while let Some(next) = plan.next(self.started.elapsed()) {
            let load = self.load(&next, phases.len() as u64);
            let mut measured = self.run(next.kind, &load, on_progress)?;
            let phase = Phase::read(next.kind, &load, &mut measured);
            plan.record(&phase);
            if phase.overloaded && plan.has_next() {
                self.wait_until_drained(&next)?;
            }
            phases.push(phase);
        }
        let fastest = phases.iter().map(|phase| phase.throughput.value);
        let fastest = fastest.fold(0.0, f64::max);
        let ceiling_qps = self.ceiling(fastest)?;
        let generator = Generator {
            ceiling_qps,
            share_of_ceiling: fastest / ceiling_qps,
            busiest_thread: self.busiest_thread,
        };
        Ok(TrialOutcome::Speed(Box::new(Speed {
            mode: self.spec.mode.to_owned(),
            client_metrics: phases[0].client_metrics(),
            throughput_qps: phases[0].throughput.value,
            phases,
            search: plan.search(),
            baseline: None,
            generator: Some(generator),
        })))
    }

    /// Sends every input once and counts the correct answers.
    pub(super) fn accuracy(
        &mut self,
        on_progress: &mut ProgressFn<'_>,
    ) -> Result<TrialOutcome, Error> {
        let in_flight = self.spec.config.in_flight;
        let phase = PhaseSpec {
            kind: PhaseKind::Throughput,
            arrivals: Arrivals::Closed { in_flight },
            duration: Duration::ZERO,
        };
        let load = Load {
            send_once: true,
            precision: None,
            ..self.load(&phase, 0)
        };
        let outputs = self.run(phase.kind, &load, on_progress)?.tally.outputs;
        let registered = self.deployment.registered_replicas()?;
        let replicas: Vec<_> = registered.into_iter().map(replica_result).collect();
        let artifact = replicas.iter().find_map(ReplicaResult::artifact);
        let labels = &self.spec.inputs.labels;
        let accuracy_run = AccuracyRun::count(&outputs, labels, artifact)?;
        Ok(TrialOutcome::Accuracy { accuracy_run })
    }

    /// Returns the load of a phase. Phases with different numbers have different random arrivals.
    fn load(&self, phase: &PhaseSpec, number: u64) -> Load<'a> {
        let clients = &self.spec.clients;
        Load {
            target: self.target(),
            arrivals: phase.arrivals.clone(),
            send_once: false,
            seed: clients.seed.wrapping_add(number),
            duration: phase.duration,
            cores: clients.cores,
            clients: clients.threads,
            opening: phase.opening(),
            precision: clients.until,
            answer_timeout: ANSWER_TIMEOUT,
            objective: clients.objective,
            trial_start: self.started,
        }
    }

    fn target(&self) -> Target<'a> {
        let Endpoints { answers, requests } = self.deployment.endpoints();
        Target {
            answers,
            requests,
            app: self.spec.deployment.model,
            input_type: self.spec.deployment.input_type,
        }
    }

    /// Waits until the frontend has drained the queue of an overloaded phase.
    fn wait_until_drained(&mut self, phase: &PhaseSpec) -> Result<(), Error> {
        let load = Load {
            answer_timeout: ANSWER_TIMEOUT.max(self.spec.clients.duration),
            ..self.load(phase, 0)
        };
        let (frames, mut failure) = (&self.spec.inputs.frames, None);
        loadgen::wait_until_drained(&load, frames, |_| self.poll(&mut failure))?;
        failure.map_or(Ok(()), Err)
    }

    /// Sends one load while it monitors frontend and replicas.
    fn run(
        &mut self,
        kind: PhaseKind,
        load: &Load<'_>,
        on_progress: &mut ProgressFn<'_>,
    ) -> Result<LoadResult, Error> {
        let (frames, mut failure) = (&self.spec.inputs.frames, None);
        let measured = loadgen::run(load, frames, |at| {
            let control = self.poll(&mut failure);
            on_progress(kind, at, self.sampler.resources());
            control
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

    /// Samples the resources and checks the processes; stops the load after a failure and sets `failure`.
    fn poll(&mut self, failure: &mut Option<Error>) -> LoadControl {
        self.sampler.sample(Instant::now());
        self.check_processes().unwrap_or_else(|error| {
            *failure = Some(error);
            LoadControl::Stop
        })
    }

    /// Fails unless the frontend and at least one replica are alive.
    fn check_processes(&mut self) -> Result<LoadControl, Error> {
        if self.stop.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        self.deployment.check()?;
        self.warm = self.warm || self.deployment.is_warm()?;
        Ok(if self.warm {
            LoadControl::Warm
        } else {
            LoadControl::Cold
        })
    }

    /// Returns the maximum rate of the load generator with the inputs and queries in flight of this trial, in queries
    /// per second. `reached` is the rate of the trial.
    fn ceiling(&self, reached: f64) -> Result<f64, Error> {
        let in_flight = self.spec.config.in_flight;
        let clients = SelfTestClients {
            threads: self.spec.clients.threads,
            in_flight,
            cores: self.spec.clients.cores,
        };
        self.spec.ceilings.at(in_flight, reached, || {
            let frames = &self.spec.inputs.frames;
            let measured = self_test::saturate(frames, clients, CEILING_DURATION)?;
            Ok(self_test::rate(&measured))
        })
    }

    /// Returns the result of the trial, without a verdict.
    pub(super) fn finish(mut self, outcome: TrialOutcome) -> Result<Trial, Error> {
        let spec = self.spec;
        let config = spec.config;
        let replicas = self.deployment.registered_replicas()?;
        let resources = self.sampler.finish(Instant::now());
        let node = spec.template.node_configs[0].at(config.config());
        let is_speed = matches!(outcome, TrialOutcome::Speed(_));
        Ok(Trial {
            node_configs: vec![NodeConfig {
                allocated_cpus: spec.replica_cores(),
                gpus: config.gpus(),
                ..node
            }],
            clipper_metrics: self.deployment.admin.metrics()?,
            outcome,
            totals: self.totals,
            replicas_lost: self.deployment.replicas_lost(&replicas),
            replicas: replicas.into_iter().map(replica_result).collect(),
            replicas_died: self.deployment.replicas_died(),
            first_reason: self.first_reason,
            pinning: spec.cores.sharing(&config.replica_cores).to_string(),
            driver: driver_config(spec, &resources),
            resources: is_speed.then_some(resources),
            ..spec.template.clone()
        })
    }
}

/// Returns the driver's part of the result, with the cores that driver and frontend used.
fn driver_config(spec: &TrialSpec<'_>, resources: &Resources) -> DriverConfig {
    let names = ["driver", "frontend"].into_iter();
    let cores = names.filter_map(|name| {
        let held = resources.process(name)?.held.clone()?;
        Some((name.to_owned(), held))
    });
    DriverConfig {
        cores: cores.collect(),
        in_flight: spec.config.in_flight,
        ..spec.template.driver.clone()
    }
}

/// Returns a replica as an entry of the result.
fn replica_result(registered: RegisteredReplica) -> ReplicaResult {
    ReplicaResult {
        replica: registered.replica,
        pid: registered.pid,
        cores: registered.cores.as_deref().map(cores::show),
    }
}

/// Returns a sampler of the driver, the frontend and each replica.
fn sampler(spec: &TrialSpec<'_>, deployment: &Deployment, now: Instant) -> Sampler {
    let allocation = spec.cores;
    let watched = |name: &str, pid, cores: &[usize]| WatchedProcess {
        name: name.to_owned(),
        pid,
        pinned: allocation.pinned.then(|| cores.to_vec()),
    };
    let frontend = deployment.frontend.handle.pid();
    let mut all = vec![
        watched("driver", process::id(), &allocation.driver()),
        watched("frontend", frontend, &allocation.frontend),
    ];
    for (replica, cores) in deployment.replicas.iter().zip(&spec.config.replica_cores) {
        all.push(watched(replica.name(), replica.pid(), cores));
    }
    Sampler::new(&all, &allocation.allowed, spec.gpus, now)
}
