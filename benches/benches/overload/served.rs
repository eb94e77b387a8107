//! A frontend and its model servers, in processes of their own.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use loadgen::{Client, NativeClient, RestPool, RestPoolTarget, Target};
use model::DataType;
use serde_json::json;
use wire::BoundPorts;

/// Longest wait for a model server to register: inception loads a network.
const REGISTERS: Duration = Duration::from_secs(60);

/// Largest number of connections that are opened ahead of a load.
const CONNECTIONS: usize = 12_000;

/// Protocol of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rest,
    Native,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Rest => "REST",
            Protocol::Native => "ZeroMQ",
        }
    }
}

/// A model server: its program and flags.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) program: &'static str,
    pub(crate) flags: Vec<String>,
    pub(crate) rpc_version: u32,
}

/// An application of the deployment's model.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) objective: Duration,
}

/// A frontend with one model, `m`, and its replica.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// Build of the frontend.
    pub(crate) frontend: PathBuf,
    pub(crate) server: Server,
    /// Largest batch; `None` leaves it to the adaptive policy.
    pub(crate) max: Option<usize>,
    /// Adaptive policy, as the frontend's flag names it.
    pub(crate) policy: &'static str,
    pub(crate) apps: Vec<App>,
}

/// A running deployment. Dropping it kills the processes.
pub(crate) struct Served {
    frontend: Child,
    replica: Child,
    ports: BoundPorts,
}

impl Deployment {
    /// Starts frontend and model server, and waits until the replica has registered.
    pub(crate) fn start(&self) -> anyhow::Result<Served> {
        let Started { process, ports } = start_frontend(&self.frontend, self.policy)?;
        let replica = Command::new(beside(self.server.program)?)
            .args(&self.server.flags)
            .arg("--model_name=m")
            .arg(format!("--port={}", ports.rpc_service_port))
            .arg(format!("--rpc_version={}", self.server.rpc_version))
            .arg("--exit_with_stdin")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", self.server.program))?;
        let served = Served {
            frontend: process,
            replica,
            ports,
        };
        register_model(&ports, "m", self.max)?;
        for app in &self.apps {
            register_app(&ports, app, "m")?;
        }
        let began = Instant::now();
        while !admin(&ports, "GET", "replicas", "")?.contains("replica_id") {
            anyhow::ensure!(
                began.elapsed() < REGISTERS,
                "no model server has registered"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(served)
    }
}

/// A frontend that has printed its ports.
pub(crate) struct Started {
    pub(crate) process: Child,
    pub(crate) ports: BoundPorts,
}

/// Starts a build of the frontend on free ports.
pub(crate) fn start_frontend(program: &Path, policy: &str) -> anyhow::Result<Started> {
    let mut process = Command::new(program)
        .args(BoundPorts::FREE)
        .args(["--exit_with_stdin", "--max_connections=16000"])
        // No connection is closed while the load generator may use it.
        .arg("--timeout_request=3600")
        .arg(format!("--batch_policy={policy}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", program.display()))?;
    let mut line = String::new();
    let stdout = process.stdout.take().context("standard output is piped")?;
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(Started {
        process,
        ports: serde_json::from_str(&line).context("the frontend prints its ports")?,
    })
}

pub(crate) fn register_app(ports: &BoundPorts, app: &App, model: &str) -> anyhow::Result<()> {
    let micros = u64::try_from(app.objective.as_micros())?;
    let link = json!({"app_name": app.name, "model_names": [model]});
    let app = json!({"name": app.name, "input_type": "floats", "default_output": "", "latency_slo_micros": micros});
    admin(ports, "POST", "add_app", &app.to_string())?;
    admin(ports, "POST", "add_model_links", &link.to_string())?;
    Ok(())
}

pub(crate) fn register_model(
    ports: &BoundPorts,
    name: &str,
    max: Option<usize>,
) -> anyhow::Result<()> {
    let batch = max.map_or(-1, |max| max as i64);
    let model = json!({"model_name": name, "model_version": "1", "labels": [], "input_type": "floats", "container_name": "c", "model_data_path": "", "batch_size": batch});
    admin(ports, "POST", "add_model", &model.to_string())?;
    Ok(())
}

pub(crate) fn admin(
    ports: &BoundPorts,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<String> {
    let url = format!("http://127.0.0.1:{}/admin/{path}", ports.admin_port);
    let request = ureq::http::Request::builder().method(method).uri(url);
    let mut response = ureq::run(request.body(body.to_owned())?)?;
    Ok(response.body_mut().read_to_string()?)
}

/// Connects a client of an application, which will have about so many queries in flight.
pub(crate) fn connect(
    ports: &BoundPorts,
    protocol: Protocol,
    app: &str,
    in_flight: f64,
) -> anyhow::Result<Box<dyn Client>> {
    Ok(match protocol {
        Protocol::Rest => {
            let mut pool = RestPool::new(RestPoolTarget {
                address: SocketAddr::from(([127, 0, 0, 1], ports.query_port)),
                app: app.to_owned(),
                input_type: DataType::Floats,
            })?;
            pool.open((in_flight as usize).min(CONNECTIONS))?;
            Box::new(pool)
        }
        Protocol::Native => Box::new(NativeClient::connect(
            &zmq::Context::new(),
            &Target {
                answers: format!("tcp://127.0.0.1:{}", ports.send_port),
                requests: format!("tcp://127.0.0.1:{}", ports.recv_port),
                app,
                input_type: DataType::Floats,
            },
        )?),
    })
}

impl Served {
    /// Connects a client that will offer so many queries per second. Each lasts for the objective
    /// at most; there are connections to spare, because a connect during the load may take a
    /// second.
    pub(crate) fn connect(
        &self,
        protocol: Protocol,
        app: &App,
        rate: f64,
    ) -> anyhow::Result<Box<dyn Client>> {
        let in_flight = rate * (app.objective.as_secs_f64() + 0.2);
        connect(&self.ports, protocol, app.name, in_flight)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for process in [&mut self.replica, &mut self.frontend] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A program in the folder above this one's, which is `target/release/deps`.
pub(crate) fn beside(program: &str) -> anyhow::Result<PathBuf> {
    let folder = env::current_exe()?;
    let folder = folder.ancestors().nth(2);
    Ok(folder
        .context("a bench lies in target/release/deps")?
        .join(program))
}
