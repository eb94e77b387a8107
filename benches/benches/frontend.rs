//! The frontend against a bare loop: the same load, the same no-op model server, in turns, medians of several rounds.
//!
//! `cargo bench -p benches --bench frontend [-- --rounds N --seconds S]`

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use driver::load::{Load, Verdict, run};
use model::DataType;
use serde_json::{Value, json};
use transport::Frame;

/// What is sent: floats per input, maximum batch, queries in flight.
const POINTS: [(usize, usize, usize); 5] = [
    (10, 32, 64),
    (10, 32, 512),
    (10, 1, 1),
    (2_048, 32, 64),
    (150_528, 8, 32),
];

fn main() -> anyhow::Result<()> {
    let rounds = argument("--rounds", 5)?;
    let seconds = argument("--seconds", 2)?;
    build()?;
    println!("answers per second, medians of {rounds} rounds of {seconds} s, in turns");
    println!("  floats  batch  in flight      frontend     bare loop  ratio   mean batch");
    for (floats, batch, in_flight) in POINTS {
        let mut rates = [Vec::new(), Vec::new()];
        let mut mean_batch = Vec::new();
        for _ in 0..rounds {
            for (rates, program) in rates.iter_mut().zip(["frontend", "bare"]) {
                let served = Served::start(program, batch)?;
                let (rate, mean) = served.measure(floats, in_flight, seconds)?;
                rates.push(rate);
                if program == "frontend" {
                    mean_batch.push(mean);
                }
            }
        }
        let [frontend, bare] = rates.map(median);
        let ratio = frontend / bare;
        let mean = median(mean_batch);
        println!(
            "{floats:>8} {batch:>6} {in_flight:>10} {frontend:>13.0} {bare:>13.0} {ratio:>6.2} {mean:>12.1}"
        );
    }
    Ok(())
}

/// A frontend or bare loop, with one no-op replica; both end with this.
struct Served {
    server: Child,
    replica: Child,
    ports: Value,
}

impl Served {
    fn start(program: &str, batch: usize) -> anyhow::Result<Served> {
        let mut command = Command::new(beside(program)?);
        if program == "frontend" {
            let ports = [
                "query",
                "admin",
                "rpc_service",
                "rpc_2017",
                "rpc_send",
                "rpc_recv",
                "send",
                "recv",
            ];
            command.args(ports.map(|port| format!("--{port}_port=0")));
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
        let replica = Command::new(beside("noop")?)
            .arg(format!("--port={}", ports["rpc_service_port"]))
            .arg("--exit_with_stdin")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let served = Served {
            server,
            replica,
            ports,
        };
        if program == "frontend" {
            served.deploy(batch)?;
        }
        Ok(served)
    }

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

    /// Answers per second, and the mean batch.
    fn measure(&self, floats: usize, in_flight: usize, seconds: u64) -> anyhow::Result<(f64, f64)> {
        let load = Load {
            answers: format!("tcp://127.0.0.1:{}", self.ports["send_port"]),
            requests: format!("tcp://127.0.0.1:{}", self.ports["recv_port"]),
            app: "noop",
            input_type: DataType::Floats,
            clients: 1,
            in_flight,
            once: false,
            duration: Duration::from_secs(seconds),
            warm_up: Duration::from_millis(300),
            patience: Duration::from_secs(5),
        };
        let inputs: Vec<Frame> = (0..8).map(|n| Frame::from(vec![n; floats * 4])).collect();
        let measured = run(&load, &inputs, |_| Verdict::Warm)?;
        let (tally, span) = (measured.tally, measured.span);
        anyhow::ensure!(
            tally.totals.ok == tally.totals.sent,
            "not every query was answered: {:?}",
            tally.totals
        );
        let rate = tally.arrived.ok as f64 / span.length().as_secs_f64();
        Ok((rate, tally.arrived.ok as f64 / tally.arrived.batches))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for process in [&mut self.replica, &mut self.server] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn build() -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--release",
        "--quiet",
        "-p",
        "frontend",
        "-p",
        "noop",
        "-p",
        "benches",
    ]);
    anyhow::ensure!(
        cargo.status()?.success(),
        "the programs to measure do not build"
    );
    Ok(())
}

/// A program in the folder above this one's, which is `target/release/deps`.
fn beside(program: &str) -> anyhow::Result<PathBuf> {
    let folder = env::current_exe()?;
    let folder = folder
        .ancestors()
        .nth(2)
        .context("a bench lies in target/release/deps")?;
    Ok(folder.join(program))
}

fn argument(flag: &str, default: u64) -> anyhow::Result<u64> {
    let mut arguments = env::args().skip_while(|argument| argument != flag).skip(1);
    match arguments.next() {
        Some(value) => value.parse().with_context(|| format!("{flag} {value}")),
        None => Ok(default),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
