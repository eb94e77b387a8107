//! A frontend with its state in a file, and its model servers, each in its own process.

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
    process::{ServerProcess, free_ports},
    workload::Workload,
};

/// Default output of all applications.
const DEFAULT_OUTPUT: &str = "none";

/// Maximum start-up time of the programs, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A model with its replicas, and an application of the same name.
#[derive(Clone, Debug)]
pub struct DeployedModel {
    /// Name of application and model.
    pub name: &'static str,
    /// Program of the model server.
    pub program: &'static str,
    /// Number of replicas.
    pub replicas: usize,
    /// Maximum batch size, in queries.
    pub batch_size: i32,
    /// Latency objective.
    pub objective: Duration,
    /// Inputs and correct answers.
    pub workload: Arc<Workload>,
}

/// Program of the model server in this package.
const DIGEST: &str = "digest";

/// A running frontend with its model servers.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    ports: BoundPorts,
    admin: Admin,
    /// `None` between a kill and the next start.
    frontend: Option<ServerProcess>,
    replicas: Vec<ReplicaProcess>,
}

/// A replica, running or killed.
#[derive(Debug)]
struct ReplicaProcess {
    name: String,
    model: DeployedModel,
    /// `None` between a kill and the next start.
    process: Option<ServerProcess>,
}

/// The registered applications with their links, and models with their versions, as the admin API lists
/// them.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrySnapshot {
    applications: Value,
    models: Value,
}

impl Cluster {
    /// Starts frontend and replicas and waits until all have registered. Empties `folder`, which receives
    /// state and logs.
    pub fn start(folder: &Path, models: &[DeployedModel]) -> anyhow::Result<Cluster> {
        let mut packages: Vec<_> = models.iter().map(|model| model.program).collect();
        packages.retain(|&program| program != DIGEST);
        packages.push(env!("CARGO_PKG_NAME"));
        let programs = Programs::find(DIGEST, &packages, None)?.frontend;
        let programs = programs
            .parent()
            .context("the frontend's path has no folder")?;
        let logs = folder.join("logs");
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
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
        let mut cluster = Cluster {
            frontend: Some(start_frontend(folder, programs, ports)?),
            folder: folder.to_owned(),
            programs: programs.to_owned(),
            ports,
            admin: Admin::new(Ipv4Addr::LOCALHOST.into(), ports),
            replicas: Vec::new(),
        };
        cluster.wait_until("the frontend answers", |cluster| cluster.answers())?;
        for model in models {
            let (app, version) = registration(model);
            cluster.admin.deploy(&app, &version)?;
            for number in 1..=model.replicas {
                cluster.replicas.push(ReplicaProcess {
                    name: format!("{}-{number}", model.name),
                    model: model.clone(),
                    process: None,
                });
                cluster.start_replica(cluster.replicas.len() - 1)?;
            }
        }
        cluster.wait_until("all replicas have registered", Cluster::all_registered)?;
        Ok(cluster)
    }

    /// Ports of the frontend.
    pub fn ports(&self) -> BoundPorts {
        self.ports
    }

    /// Number of replicas, killed ones included.
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Name of a replica.
    pub fn replica_name(&self, replica: usize) -> &str {
        &self.replicas[replica].name
    }

    /// Returns name and process id of each running process.
    pub fn processes(&self) -> impl Iterator<Item = (&str, u32)> {
        let replicas = self.replicas.iter().map(|replica| &replica.process);
        let all = std::iter::once(&self.frontend).chain(replicas).flatten();
        all.map(|process| (process.name(), process.id()))
    }

    /// Kills the frontend (SIGKILL).
    pub fn kill_frontend(&mut self) {
        self.frontend = None;
    }

    /// Restarts the frontend with its state, on the same ports. Does not wait until it answers.
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

    /// Starts a replica. Does not wait until it registers.
    pub fn start_replica(&mut self, replica: usize) -> anyhow::Result<()> {
        let replica = &mut self.replicas[replica];
        let model = &replica.model;
        let arguments = [
            ("--model_name", model.name.to_owned()),
            ("--input_type", model.workload.input_type().to_string()),
            ("--port", self.ports.rpc_service_port.to_string()),
            ("--threads", "1".to_owned()),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect();
        let program = self.programs.join(model.program);
        let logs = self.folder.join("logs");
        replica.process = Some(ServerProcess::start(
            &replica.name,
            &program,
            &arguments,
            &logs,
        )?);
        Ok(())
    }

    /// Stops a replica (SIGSTOP) or continues it (SIGCONT).
    pub fn set_replica_stopped(&self, replica: usize, stop: bool) {
        if let Some(process) = &self.replicas[replica].process {
            process.set_stopped(stop);
        }
    }

    /// Checks that no process has exited without being killed by this program.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let replicas = self.replicas.iter_mut().map(|replica| &mut replica.process);
        let all = std::iter::once(&mut self.frontend).chain(replicas);
        for process in all.flatten() {
            if let Some(status) = process.exit_status() {
                let log = self.folder.join(format!("logs/{}.log", process.name()));
                anyhow::bail!(
                    "{} exited unexpectedly ({status}): see {}",
                    process.name(),
                    log.display()
                );
            }
        }
        Ok(())
    }

    /// Returns true if the frontend answers.
    pub fn answers(&self) -> bool {
        self.admin.answers()
    }

    /// Returns true if exactly the running replicas are registered.
    pub fn all_registered(&self) -> bool {
        let registered = self.admin.replicas().unwrap_or_default();
        let metadata = registered.iter().filter_map(|r| r.metadata.as_ref());
        let pids: BTreeSet<u32> = metadata.map(|metadata| metadata.pid).collect();
        let running = self.replicas.iter().flat_map(|replica| &replica.process);
        let running: BTreeSet<u32> = running.map(ServerProcess::id).collect();
        registered.len() == self.replicas.len() && pids == running
    }

    /// Waits until `condition` holds; `what` describes it for the error text.
    ///
    /// # Errors
    /// If it does not hold within 60 s, or a process has exited.
    pub fn wait_until(
        &mut self,
        what: &str,
        condition: impl Fn(&Cluster) -> bool,
    ) -> anyhow::Result<()> {
        let limit = Instant::now() + START_TIMEOUT;
        while !condition(self) {
            self.check()?;
            anyhow::ensure!(
                Instant::now() < limit,
                "timed out after {} s waiting until {what}: see the logs in {}",
                START_TIMEOUT.as_secs(),
                self.folder.display()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Adds an application without a model. Once this returns, the application must survive a crash of the
    /// frontend.
    pub fn add_application(&self, name: &str) -> anyhow::Result<()> {
        let app = json!({"name": name, "input_type": "floats", "default_output": "", "latency_slo_micros": 1});
        self.post("add_app", app).map(drop)
    }

    /// Lists what is registered at the frontend.
    pub fn registry(&self) -> anyhow::Result<RegistrySnapshot> {
        let list = |path| {
            let text = self.post(path, json!({"verbose": true}))?;
            serde_json::from_str(&text)
                .with_context(|| format!("the answer to {path} is not JSON: {text}"))
        };
        Ok(RegistrySnapshot {
            applications: list("get_all_applications")?,
            models: list("get_all_models")?,
        })
    }

    /// Number of queries in the frontend's queues, from its metrics.
    pub fn queue_depth(&self) -> anyhow::Result<u64> {
        let url = format!(
            "http://127.0.0.1:{}/metrics/prometheus",
            self.ports.query_port
        );
        let text = Agent::new_with_defaults().get(&url).call();
        let text = text.and_then(|mut response| response.body_mut().read_to_string());
        let text = text.context("cannot read the frontend's metrics")?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("clipper_queue_queries{"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(values.sum())
    }

    /// Sends a request to the admin API, and returns the body of its answer.
    fn post(&self, path: &str, body: Value) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}/admin/{path}", self.ports.admin_port);
        let response = Agent::new_with_defaults().post(&url).send_json(body);
        let text = response.and_then(|mut response| response.body_mut().read_to_string());
        text.with_context(|| format!("request {path} to the frontend failed"))
    }
}

/// Returns the admin requests that register a model with its application.
fn registration(model: &DeployedModel) -> (AddApp, AddModel) {
    let input_type = model.workload.input_type();
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

fn start_frontend(
    folder: &Path,
    programs: &Path,
    ports: BoundPorts,
) -> anyhow::Result<ServerProcess> {
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
    ServerProcess::start(
        "frontend",
        &programs.join("frontend"),
        &arguments,
        &folder.join("logs"),
    )
}
