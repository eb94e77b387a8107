//! One iteration: deploy, wait for the replicas, load, look, tear down.

use std::{
    collections::BTreeMap,
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use model::Device;
use wire::admin::{AddApp, AddModel, Replica};

use crate::{
    Error,
    admin::{Admin, MODEL_VERSION},
    cores::{self, Cores},
    inputs::Inputs,
    launch::{self, Frontend, Process, Programs},
    load::{self, Load, Measured, Progress, Verdict},
    machine::{Machine, Versions},
    plan::{Pinning, Plan, Point},
    results::{
        AccuracyRun, Arrivals, DriverConfig, FORMAT, NodeConfig, Outcome, Phase, PhaseKind,
        PointResult, ReplicaResult, Slot, Speed, Verdict as Judgement,
    },
    settings::Settings,
    verdict,
};

/// What all iterations of a sweep have in common.
#[derive(Debug)]
pub struct Sweep {
    /// What was asked for.
    pub settings: Settings,
    /// The iterations and cores.
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
}

impl Sweep {
    /// Measures one point. `look` is told how it goes, about ten times a second. Whatever happens, no process is left.
    pub fn measure(
        &self,
        point: &Point,
        slot: &Slot,
        mut look: impl FnMut(&Progress),
    ) -> Result<PointResult, Error> {
        let mut deployment = Deployment::start(self, point, slot)?;
        let mut failure = None;
        let measured = load::run(&self.load(point, &deployment), &self.inputs.frames, |at| {
            look(at);
            match self.watch(&mut deployment, at.measuring) {
                Ok(verdict) => verdict,
                Err(error) => {
                    failure = Some(error);
                    Verdict::Stop
                }
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        self.result(point, &mut deployment, measured)
    }

    fn load(&self, point: &Point, deployment: &Deployment) -> Load<'_> {
        let ports = deployment.frontend.ports;
        Load {
            answers: format!("tcp://127.0.0.1:{}", ports.send_port),
            requests: format!("tcp://127.0.0.1:{}", ports.recv_port),
            app: self.settings.model.name,
            input_type: self.settings.input_type,
            clients: self.settings.num_clients,
            in_flight: point.in_flight,
            once: self.settings.labels.is_some(),
            duration: self.settings.duration,
            warm_up: self.plan.warm_up,
            patience: Duration::from_secs(30),
        }
    }

    fn interrupted(&self) -> Result<(), Error> {
        match self.interrupted.load(Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Goes on as long as the frontend and one replica live. Warm is when every replica has answered two batches.
    fn watch(&self, deployment: &mut Deployment, measuring: bool) -> Result<Verdict, Error> {
        self.interrupted()?;
        deployment.frontend.process.check("under load")?;
        if deployment.died() == deployment.replicas.len() {
            deployment.replicas[0].check("under load, as all replicas did")?;
        }
        if measuring {
            return Ok(Verdict::Warm);
        }
        let replicas = deployment.admin.replicas()?;
        let warm = replicas.iter().all(|replica| replica.batches >= 2);
        Ok(if warm { Verdict::Warm } else { Verdict::Cold })
    }

    fn result(
        &self,
        point: &Point,
        deployment: &mut Deployment,
        mut measured: Measured,
    ) -> Result<PointResult, Error> {
        let replicas = deployment.replica_results()?;
        let outcome = match self.settings.labels {
            None => {
                let in_flight = point.in_flight;
                let arrivals = Arrivals::Closed { in_flight };
                let phase = Phase::read(PhaseKind::Throughput, arrivals, &mut measured);
                Outcome::Speed(Box::new(Speed {
                    mode: self.settings.mode.name().to_owned(),
                    client_metrics: phase.client_metrics(),
                    throughput_qps: phase.throughput.value,
                    phases: vec![phase],
                    search: None,
                    zero: None,
                    generator: None,
                }))
            }
            Some(_) => Outcome::Accuracy {
                accuracy_run: AccuracyRun::count(
                    &measured.tally.outputs,
                    &self.inputs.labels,
                    replicas.iter().find_map(ReplicaResult::artifact),
                )?,
            },
        };
        let mut result = PointResult {
            format: FORMAT,
            round: 1,
            verdict: Judgement::of(Vec::new()),
            resources: None,
            node_configs: vec![self.node_config(point)],
            clipper_metrics: deployment.admin.metrics()?,
            outcome,
            totals: measured.tally.totals,
            replicas_lost: lost(&deployment.registered, &replicas),
            replicas,
            replicas_died: deployment.died(),
            first_reason: measured.tally.first_reason,
            pinning: self.plan.pinning.in_words().to_owned(),
            driver: self.driver_config(point, deployment)?,
            machine: self.machine.clone(),
            versions: self.versions.clone(),
        };
        result.verdict = verdict::judge(&result);
        Ok(result)
    }

    fn node_config(&self, point: &Point) -> NodeConfig {
        let mut allocated: Cores = point.replica_cores.concat();
        allocated.sort_unstable();
        allocated.dedup();
        NodeConfig {
            name: self.settings.model.name.to_owned(),
            input_type: self.settings.input_type.to_string(),
            model_image: self.settings.model.name.to_owned(),
            allocated_cpus: allocated,
            cpus_per_replica: point.cpus_per_replica(),
            slo: u64::try_from(self.settings.told_objective().as_micros()).unwrap_or(u64::MAX),
            num_replicas: point.replicas(),
            gpus: point.gpus(),
            batch_size: point.batch_size,
        }
    }

    fn driver_config(&self, point: &Point, deployment: &Deployment) -> Result<DriverConfig, Error> {
        let cores = [
            ("driver".to_owned(), cores::show(&cores::allowed()?)),
            (
                "frontend".to_owned(),
                cores::show(&deployment.frontend.process.cores()?),
            ),
        ];
        Ok(DriverConfig {
            cores: BTreeMap::from(cores),
            num_clients: self.settings.num_clients,
            in_flight: point.in_flight,
            objective_ms: self.settings.objective.map(|o| o.as_secs_f64() * 1e3),
            seed: self.settings.seed,
            inputs: self.inputs.description.clone(),
            duration_seconds: self.settings.duration.as_secs_f64(),
            command_line: self.settings.command_line.clone(),
        })
    }
}

/// A frontend and its replicas. Dropping it stops them, the replicas first.
struct Deployment {
    replicas: Vec<Process>,
    frontend: Frontend,
    admin: Admin,
    /// The ids of the replicas when all were registered.
    registered: Vec<u32>,
}

impl Deployment {
    /// Starts everything and waits until every replica is registered.
    fn start(sweep: &Sweep, point: &Point, slot: &Slot) -> Result<Deployment, Error> {
        let pinned = sweep.plan.pinning != Pinning::Shared;
        let others = pinned.then_some(&sweep.plan.other_cores[..]);
        let program = &sweep.programs.frontend;
        let frontend = Frontend::start(program, others, &slot.logs, &|| sweep.interrupted())?;
        let admin = Admin::new(frontend.ports);
        let (app, model) = (app(&sweep.settings), model(&sweep.settings, point));
        admin.deploy(&app, &model)?;
        let mut deployment = Deployment {
            replicas: Vec::new(),
            frontend,
            admin,
            registered: Vec::new(),
        };
        let replicas = point.replica_cores.iter().zip(&point.devices);
        for (index, (cores, device)) in replicas.enumerate() {
            let arguments = deployment.server_arguments(&sweep.settings, *device);
            let name = format!("{}-{index}", sweep.settings.model.name);
            let named = (name, sweep.programs.server.as_path());
            let cores = pinned.then_some(&cores[..]);
            let replica = Process::start(named, &arguments, cores, &slot.logs, None)?;
            deployment.replicas.push(replica);
        }
        deployment.wait(sweep)?;
        Ok(deployment)
    }

    fn server_arguments(&self, settings: &Settings, device: Device) -> Vec<String> {
        let port = self.frontend.ports.rpc_service_port.to_string();
        let (device, share) = (device.to_string(), settings.gpu_mem_frac.to_string());
        let mut arguments = vec![
            ("--model_name", settings.model.name),
            ("--model_version", MODEL_VERSION),
            ("--ip", "127.0.0.1"),
            ("--port", &port),
            ("--input_type", settings.input_type.name()),
            ("--device", &device),
            ("--gpu_mem_frac", &share),
        ];
        if let Some(engine) = settings.engine {
            arguments.push(("--engine", engine));
        }
        if let Some(path) = &settings.model_path {
            arguments.push(("--model_path", path));
        }
        arguments
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()])
            .collect()
    }

    fn wait(&mut self, sweep: &Sweep) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(300);
        let began = Instant::now();
        loop {
            sweep.interrupted()?;
            self.frontend.process.check("during start-up")?;
            for replica in &mut self.replicas {
                replica.check("during start-up")?;
            }
            let replicas = self.admin.replicas()?;
            let registered = replicas.len();
            if registered == self.replicas.len() {
                self.registered = replicas.iter().map(|r| r.replica_id).collect();
                let mut models = replicas.iter().filter_map(|r| r.metadata.as_ref());
                return models.try_for_each(|metadata| sweep.inputs.check(&metadata.model));
            }
            if began.elapsed() > LIMIT {
                return Err(Error::Failed(format!(
                    "{registered} of {} replicas have registered in {} s: see their logs beside {}",
                    self.replicas.len(),
                    LIMIT.as_secs(),
                    self.frontend.process.log.display()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn died(&mut self) -> usize {
        let replicas = self.replicas.iter_mut();
        replicas.filter_map(Process::exited).count()
    }

    fn replica_results(&mut self) -> Result<Vec<ReplicaResult>, Error> {
        let result = |replica: Replica| {
            let pid = replica.metadata.as_ref().map(|metadata| metadata.pid);
            let process = self.replicas.iter().find(|p| Some(p.pid()) == pid);
            let cores = process.and_then(|process| process.cores().ok());
            ReplicaResult {
                replica,
                pid: process.map(Process::pid),
                cores: cores.map(|cores| cores::show(&cores)),
            }
        };
        Ok(self.admin.replicas()?.into_iter().map(result).collect())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        launch::stop(&mut self.replicas);
        launch::stop(slice::from_mut(&mut self.frontend.process));
    }
}

/// How many of the replicas that had `registered` are not among those that are listed.
fn lost(registered: &[u32], listed: &[ReplicaResult]) -> usize {
    let is_listed = |id: u32| listed.iter().any(|r| r.replica.replica_id == id);
    registered.iter().filter(|&&id| !is_listed(id)).count()
}

fn app(settings: &Settings) -> AddApp {
    AddApp {
        name: settings.model.name.to_owned(),
        input_type: settings.input_type,
        default_output: "TIMEOUT".to_owned(),
        latency_slo_micros: i64::try_from(settings.told_objective().as_micros())
            .unwrap_or(i64::MAX),
    }
}

fn model(settings: &Settings, point: &Point) -> AddModel {
    AddModel {
        model_name: settings.model.name.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        labels: Vec::new(),
        input_type: settings.input_type,
        container_name: settings.model.name.to_owned(),
        model_data_path: settings.model_path.clone().unwrap_or_default(),
        batch_size: i32::try_from(point.batch_size).unwrap_or(i32::MAX),
    }
}
