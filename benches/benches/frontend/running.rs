//! A program under load and its replica, in separate processes.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use loadgen::{Arrivals, Load, LoadControl, Target, WindowOpening, run};
use model::DataType;
use serde_json::{Value, json};
use transport::Frame;
use wire::BoundPorts;

/// Result of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Answers per second.
    pub(crate) per_second: f64,
    /// Queries per batch; NaN over HTTP, whose answers do not report it.
    pub(crate) mean_batch: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A frontend or a bare program with one no-op replica. Both processes end on drop.
///
/// A batch of 0 has no replica: the bare program answers itself.
pub(crate) struct RunningProgram {
    server: Child,
    replica: Option<Child>,
    ports: Value,
}

impl RunningProgram {
    /// Starts `bare`, `bare_http`, `frontend`, or an earlier build of the frontend from a file. The
    /// replica has up to `batches` batches in flight.
    pub(crate) fn start(
        program: &str,
        batch: usize,
        batches: usize,
    ) -> anyhow::Result<RunningProgram> {
        let mut command = Command::new(program_path(program)?);
        let bare = program.starts_with("bare");
        if !bare {
            command.args(BoundPorts::FREE);
            command.arg("--exit_with_stdin");
        } else {
            command.arg(batch.to_string());
        }
        let mut server = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = server.stdout.take().context("standard output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ports: Value = serde_json::from_str(&line)?;
        let replica = || {
            Command::new(program_path("noop")?)
                .arg(format!("--port={}", ports["rpc_service_port"]))
                .arg(format!("--batches_in_flight={batches}"))
                .arg("--exit_with_stdin")
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start noop")
        };
        let replica = if batch > 0 { Some(replica()?) } else { None };
        let running = RunningProgram {
            server,
            replica,
            ports,
        };
        if !bare {
            running.deploy(batch)?;
        }
        Ok(running)
    }

    /// Registers application, model and link, and waits for the replica.
    fn deploy(&self, batch: usize) -> anyhow::Result<()> {
        let app = json!({"name": "noop", "input_type": "floats", "default_output": "", "latency_slo_micros": 3_600_000_000_u64});
        let model = json!({"model_name": "noop", "model_version": "1", "labels": [], "input_type": "floats", "container_name": "noop", "model_data_path": "", "batch_size": batch});
        let link = json!({"app_name": "noop", "model_names": ["noop"]});
        for (path, body) in [
            ("add_app", app),
            ("add_model", model),
            ("add_model_links", link),
        ] {
            self.admin("POST", path, &body.to_string())?;
        }
        while self.admin("GET", "replicas", "")?.trim() == "[]" {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}/admin/{path}", self.ports["admin_port"]);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let mut response = ureq::run(request.body(body.to_owned())?)?;
        Ok(response.body_mut().read_to_string()?)
    }

    /// Measures a closed loop over ZeroMQ with `in_flight` queries in flight.
    pub(crate) fn measure(
        &self,
        floats: usize,
        in_flight: usize,
        seconds: u64,
    ) -> anyhow::Result<Rate> {
        let load = Load {
            target: Target {
                answers: format!("tcp://127.0.0.1:{}", self.ports["send_port"]),
                requests: format!("tcp://127.0.0.1:{}", self.ports["recv_port"]),
                app: "noop",
                input_type: DataType::Floats,
            },
            arrivals: Arrivals::Closed { in_flight },
            send_once: false,
            seed: 0,
            cores: None,
            clients: 1,
            duration: Duration::from_secs(seconds),
            opening: WindowOpening::After(Duration::from_millis(300)),
            precision: None,
            answer_timeout: Duration::from_secs(5),
            objective: None,
            trial_start: Instant::now(),
        };
        let inputs: Vec<Frame> = (0..8).map(|n| Frame::from(vec![n; floats * 4])).collect();
        let measured = run(&load, &inputs, |_| LoadControl::Warm)?;
        let (tally, span) = (measured.tally, measured.span);
        anyhow::ensure!(
            tally.totals.ok == tally.totals.sent,
            "queries failed: {:?}",
            tally.totals
        );
        let millis = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Rate {
            per_second: tally.arrived.ok as f64 / span.length().as_secs_f64(),
            mean_batch: tally.arrived.ok as f64 / tally.arrived.batches,
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
        })
    }

    /// Returns the URL of the HTTP query port.
    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports["query_port"])
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        for process in self.replica.iter_mut().chain([&mut self.server]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns the path of a program in `target/release`, two levels above this executable. An absolute
/// path stays as it is.
fn program_path(program: &str) -> anyhow::Result<PathBuf> {
    let folder = env::current_exe()?;
    let folder = folder
        .ancestors()
        .nth(2)
        .context("this executable is not in target/release/deps")?;
    Ok(folder.join(program))
}
