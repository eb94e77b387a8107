//! A frontend with its state in a file, and model servers behind it, all in processes of their own.

use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use deploy::{Admin, BoundPorts, MODEL_VERSION, process::Programs};
use serde_json::{Value, json};
use ureq::Agent;
use wire::admin::{AddApp, AddModel};

use crate::{
    process::{Process, free_ports},
    questions::Questions,
};

/// What a query is answered with when its time is up.
const DEFAULT_OUTPUT: &str = "none";

/// How long programs may take to start, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A model with its replicas, and the application of the same name.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Application and model.
    pub name: &'static str,
    /// The model server's program.
    pub program: &'static str,
    /// Model servers.
    pub replicas: usize,
    /// The largest batch.
    pub batch_size: i32,
    /// The latency objective.
    pub objective: Duration,
    /// What its clients ask.
    pub questions: Arc<Questions>,
}

/// The model server of this package.
const DIGEST: &str = "digest";

/// The processes.
#[derive(Debug)]
pub struct Scene {
    folder: PathBuf,
    programs: PathBuf,
    ports: BoundPorts,
    admin: Admin,
    /// `None` between its death and its next start.
    frontend: Option<Process>,
    replicas: Vec<Replica>,
}

/// A model server.
#[derive(Debug)]
struct Replica {
    name: String,
    model: Deployed,
    /// `None` between its death and its next start.
    process: Option<Process>,
}

/// What the admin API lists: applications with their links, and models with their versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    applications: Value,
    models: Value,
}

impl Scene {
    /// Starts everything, in a folder for the state and the logs that is emptied before, and waits until it serves.
    pub fn start(folder: &Path, models: &[Deployed]) -> anyhow::Result<Scene> {
        let mut packages: Vec<_> = models.iter().map(|model| model.program).collect();
        packages.retain(|&program| program != DIGEST);
        packages.push(env!("CARGO_PKG_NAME"));
        let programs = Programs::find(DIGEST, &packages, None)?.frontend;
        let programs = programs.parent().context("a program lies in a folder")?;
        let logs = folder.join("logs");
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let free = free_ports(8)?;
        let ports = BoundPorts {
            query_port: free[0],
            admin_port: free[1],
            rpc_service_port: free[2],
            rpc_2017_port: free[5],
            rpc_send_port: free[6],
            rpc_recv_port: free[7],
            send_port: free[3],
            recv_port: free[4],
        };
        let mut scene = Scene {
            frontend: Some(start_frontend(folder, programs, ports)?),
            folder: folder.to_owned(),
            programs: programs.to_owned(),
            ports,
            admin: Admin::new(Ipv4Addr::LOCALHOST.into(), ports),
            replicas: Vec::new(),
        };
        scene.wait("the frontend answers", |scene| scene.answers())?;
        for model in models {
            let (app, version) = registration(model);
            scene.admin.deploy(&app, &version)?;
            for number in 1..=model.replicas {
                scene.replicas.push(Replica {
                    name: format!("{}-{number}", model.name),
                    model: model.clone(),
                    process: None,
                });
                scene.start_replica(scene.replicas.len() - 1)?;
            }
        }
        scene.wait("all replicas are registered", Scene::is_whole)?;
        Ok(scene)
    }

    /// The frontend's ports.
    pub fn ports(&self) -> BoundPorts {
        self.ports
    }

    /// How many replicas there are to be.
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// What a replica is called.
    pub fn replica_name(&self, replica: usize) -> &str {
        &self.replicas[replica].name
    }

    /// The processes that run, by name.
    pub fn processes(&self) -> impl Iterator<Item = (&str, u32)> {
        let replicas = self.replicas.iter().map(|replica| &replica.process);
        let all = std::iter::once(&self.frontend).chain(replicas).flatten();
        all.map(|process| (process.name(), process.id()))
    }

    /// Kills the frontend (SIGKILL).
    pub fn kill_frontend(&mut self) {
        self.frontend = None;
    }

    /// Starts it again, with its state and on its ports. It does not serve yet.
    pub fn restart_frontend(&mut self) -> anyhow::Result<()> {
        let (folder, programs) = (&self.folder, &self.programs);
        let frontend = start_frontend(folder, programs, self.ports)?;
        self.frontend = Some(frontend);
        Ok(())
    }

    /// Kills a replica (SIGKILL).
    pub fn kill_replica(&mut self, replica: usize) {
        self.replicas[replica].process = None;
    }

    /// Starts a replica. It does not serve yet.
    pub fn start_replica(&mut self, replica: usize) -> anyhow::Result<()> {
        let replica = &mut self.replicas[replica];
        let model = &replica.model;
        let arguments = [
            ("--model_name", model.name.to_owned()),
            ("--input_type", model.questions.input_type().to_string()),
            ("--port", self.ports.rpc_service_port.to_string()),
            ("--threads", "1".to_owned()),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect();
        let program = self.programs.join(model.program);
        let logs = self.folder.join("logs");
        replica.process = Some(Process::start(&replica.name, &program, &arguments, &logs)?);
        Ok(())
    }

    /// Stops a replica (SIGSTOP), or lets it go on (SIGCONT).
    pub fn stop_replica(&self, replica: usize, stop: bool) {
        if let Some(process) = &self.replicas[replica].process {
            process.stop(stop);
        }
    }

    /// An error if a process has ended that nobody killed.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let replicas = self.replicas.iter_mut().map(|replica| &mut replica.process);
        let all = std::iter::once(&mut self.frontend).chain(replicas);
        for process in all.flatten() {
            if let Some(how) = process.ended() {
                let log = self.folder.join(format!("logs/{}.log", process.name()));
                anyhow::bail!(
                    "{} ended by itself ({how}): see {}",
                    process.name(),
                    log.display()
                );
            }
        }
        Ok(())
    }

    /// Whether the frontend answers.
    pub fn answers(&self) -> bool {
        self.admin.answers()
    }

    /// Whether exactly the replicas that run are registered.
    pub fn is_whole(&self) -> bool {
        let registered = self.admin.replicas().unwrap_or_default();
        let told = registered.iter().filter_map(|r| r.metadata.as_ref());
        let told: BTreeSet<u32> = told.map(|metadata| metadata.pid).collect();
        let running = self.replicas.iter().flat_map(|replica| &replica.process);
        let running: BTreeSet<u32> = running.map(Process::id).collect();
        registered.len() == self.replicas.len() && told == running
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// If it is not so within a minute, or a process has ended.
    pub fn wait(&mut self, what: &str, is_so: impl Fn(&Scene) -> bool) -> anyhow::Result<()> {
        let limit = Instant::now() + START;
        while !is_so(self) {
            self.check()?;
            anyhow::ensure!(
                Instant::now() < limit,
                "not so within {} s: {what}; see the logs in {}",
                START.as_secs(),
                self.folder.display()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Adds an application without a model. When this returns, it must outlive the frontend.
    pub fn add_application(&self, name: &str) -> anyhow::Result<()> {
        let app = json!({"name": name, "input_type": "floats", "default_output": "", "latency_slo_micros": 1});
        self.ask("add_app", app).map(drop)
    }

    /// What is registered.
    pub fn registered(&self) -> anyhow::Result<Registered> {
        let list = |what| {
            let text = self.ask(what, json!({"verbose": true}))?;
            serde_json::from_str(&text).with_context(|| format!("{what} answers no JSON: {text}"))
        };
        Ok(Registered {
            applications: list("get_all_applications")?,
            models: list("get_all_models")?,
        })
    }

    /// Queries that wait in the frontend, by its metrics.
    pub fn waiting(&self) -> anyhow::Result<u64> {
        let url = format!(
            "http://127.0.0.1:{}/metrics/prometheus",
            self.ports.query_port
        );
        let text = Agent::new_with_defaults().get(&url).call();
        let text = text.and_then(|mut response| response.body_mut().read_to_string());
        let text = text.context("the frontend tells no metrics")?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("clipper_queue_queries{"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(values.sum())
    }

    fn ask(&self, what: &str, body: Value) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}/admin/{what}", self.ports.admin_port);
        let response = Agent::new_with_defaults().post(&url).send_json(body);
        let text = response.and_then(|mut response| response.body_mut().read_to_string());
        text.with_context(|| format!("the frontend did not do {what}"))
    }
}

fn registration(model: &Deployed) -> (AddApp, AddModel) {
    let input_type = model.questions.input_type();
    let app = AddApp {
        name: model.name.to_owned(),
        input_type,
        default_output: DEFAULT_OUTPUT.to_owned(),
        latency_slo_micros: i64::try_from(model.objective.as_micros()).unwrap_or(i64::MAX),
    };
    let version = AddModel {
        model_name: model.name.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        labels: Vec::new(),
        input_type,
        container_name: String::new(),
        model_data_path: String::new(),
        batch_size: model.batch_size,
    };
    (app, version)
}

fn start_frontend(folder: &Path, programs: &Path, ports: BoundPorts) -> anyhow::Result<Process> {
    let ports = [
        ("--query_port", ports.query_port),
        ("--admin_port", ports.admin_port),
        ("--rpc_service_port", ports.rpc_service_port),
        ("--send_port", ports.send_port),
        ("--recv_port", ports.recv_port),
        ("--rpc_2017_port", ports.rpc_2017_port),
        ("--rpc_send_port", ports.rpc_send_port),
        ("--rpc_recv_port", ports.rpc_recv_port),
    ];
    let ports = ports.into_iter();
    let mut arguments: Vec<String> = ports
        .flat_map(|(flag, port)| [flag.to_owned(), port.to_string()])
        .collect();
    let state = folder.join("state");
    arguments.extend(["--state".to_owned(), state.display().to_string()]);
    Process::start(
        "frontend",
        &programs.join("frontend"),
        &arguments,
        &folder.join("logs"),
    )
}
