//! The cost of a query beside 1,000 registered models and 200 replicas, against that beside none.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use loadgen::{
    Arrivals, Load, LoadControl, Target, WindowOpening, run as run_load, stats::interval::median,
};
use model::DataType;
use transport::{Frame, recv, send};
use wire::{
    BoundPorts,
    rpc::{FromContainer, FromFrontend, Metadata, NewContainer},
};

use crate::{
    required::Required,
    served::{App, Started, admin, beside, register_app, register_model, start_frontend},
    steady::inputs,
    table::table,
};

const MODELS: usize = 1_000;
const REPLICAS: usize = 200;

/// Turns of each frontend, and the length of a turn.
const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(800);

/// Largest allowed ratio of the costs beside many models and beside none.
const RATIO: f64 = 1.05;

/// Cost of a query.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// CPU time of the frontend, in microseconds.
    cpu: f64,
    /// Median latency, in milliseconds.
    p50: f64,
}

pub(crate) fn run(
    frontend: &Path,
    parent: Option<&Path>,
    required: &mut Required,
) -> anyhow::Result<()> {
    let mut table = table(&[
        "1,000 models, 200 replicas",
        "in flight",
        "CPU alone, us",
        "CPU beside them",
        "ratio",
        "p50 alone, ms",
        "p50 beside them",
        "ratio",
    ]);
    let builds = parent.map(|parent| ("before", parent)).into_iter();
    for (build, program) in builds.chain([("", frontend)]) {
        eprintln!("{MODELS} models and {REPLICAS} replicas {build}");
        let alone = Frontend::start(program, 1, 1)?;
        let beside = Frontend::start(program, MODELS, REPLICAS)?;
        for in_flight in [1, 64] {
            let mut costs = [const { Vec::new() }; 2];
            for turn in 0..TURNS {
                for side in [turn % 2, (turn + 1) % 2] {
                    costs[side].push([&alone, &beside][side].cost(in_flight)?);
                }
            }
            let [alone, beside] = costs;
            let of = |costs: &[Cost], of: &dyn Fn(&Cost) -> f64| {
                let values: Vec<f64> = costs.iter().map(of).collect();
                median(&values).expect("there were turns")
            };
            let ratio = |of_cost: &dyn Fn(&Cost) -> f64| {
                let pairs = alone.iter().zip(&beside);
                let ratios: Vec<f64> = pairs.map(|(a, b)| of_cost(b) / of_cost(a)).collect();
                median(&ratios).expect("there were turns")
            };
            let (cpu, p50) = (ratio(&|cost| cost.cpu), ratio(&|cost| cost.p50));
            table.add_row([
                build.to_owned(),
                in_flight.to_string(),
                format!("{:.2}", of(&alone, &|cost| cost.cpu)),
                format!("{:.2}", of(&beside, &|cost| cost.cpu)),
                format!("{cpu:.3}"),
                format!("{:.3}", of(&alone, &|cost| cost.p50)),
                format!("{:.3}", of(&beside, &|cost| cost.p50)),
                format!("{p50:.3}"),
            ]);
            if build.is_empty() && in_flight == 1 {
                let row = "beside 1,000 models and 200 replicas";
                required.at_most(row, "the ratio of the CPU time of a query", cpu, RATIO);
                required.at_most(row, "the ratio of the p50", p50, RATIO);
            }
        }
    }
    println!(
        "\nMedians of {TURNS} turns of {} ms, the frontend's CPU time without what it takes idle:\n{table}",
        TURN.as_millis()
    );
    Ok(())
}

/// A frontend with a no-op replica of model `m`, and other models.
struct Frontend {
    process: Child,
    replica: Child,
    ports: BoundPorts,
    stop: Arc<AtomicBool>,
    others: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Frontend {
    fn start(program: &Path, models: usize, replicas: usize) -> anyhow::Result<Frontend> {
        let Started { process, ports } = start_frontend(program, "aimd")?;
        let replica = Command::new(beside("noop")?)
            .arg(format!("--port={}", ports.rpc_service_port))
            .args(["--model_name=m", "--exit_with_stdin"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("noop does not start")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let others = thread::spawn(move || be_replicas(ports, replicas - 1, &stopped));
        let frontend = Frontend {
            process,
            replica,
            ports,
            stop,
            others: Some(others),
        };
        register_model(&ports, "m", Some(32))?;
        for number in 0..models - 1 {
            register_model(&ports, &format!("m{number}"), Some(32))?;
        }
        let app = App {
            name: "app",
            objective: Duration::from_secs(3_600),
        };
        register_app(&ports, &app, "m")?;
        let began = Instant::now();
        while admin(&ports, "GET", "replicas", "")?
            .matches("replica_id")
            .count()
            < replicas
        {
            anyhow::ensure!(
                began.elapsed().as_secs() < 20,
                "a replica does not register"
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(frontend)
    }

    /// Cost of a query with so many in flight.
    fn cost(&self, in_flight: usize) -> anyhow::Result<Cost> {
        let idle_time = TURN / 2;
        let before = self.cpu()?;
        thread::sleep(idle_time);
        let idle = (self.cpu()? - before) / idle_time.as_secs_f64();
        let load = Load {
            target: Target {
                answers: format!("tcp://127.0.0.1:{}", self.ports.send_port),
                requests: format!("tcp://127.0.0.1:{}", self.ports.recv_port),
                app: "app",
                input_type: DataType::Floats,
            },
            arrivals: Arrivals::Closed { in_flight },
            send_once: false,
            seed: 0,
            cores: None,
            clients: 1,
            duration: TURN,
            opening: WindowOpening::Immediate,
            precision: None,
            answer_timeout: Duration::from_secs(5),
            objective: None,
            trial_start: Instant::now(),
        };
        let (began, before) = (Instant::now(), self.cpu()?);
        let tally = run_load(&load, &inputs(), |_| LoadControl::Warm)?.tally;
        let (seconds, after) = (began.elapsed().as_secs_f64(), self.cpu()?);
        anyhow::ensure!(tally.totals.ok == tally.totals.sent, "{:?}", tally.totals);
        Ok(Cost {
            cpu: 1e6 * (after - before - idle * seconds) / tally.totals.ok as f64,
            p50: tally.latency.value_at_quantile(0.5) as f64 / 1e3,
        })
    }

    /// CPU time of the frontend's threads, in seconds.
    fn cpu(&self) -> anyhow::Result<f64> {
        let mut nanoseconds = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<f64>()?;
        }
        Ok(nanoseconds / 1e9)
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // Its error would have shown as a replica that is missing.
        let _ = self.others.take().map(JoinHandle::join);
        for process in [&mut self.replica, &mut self.process] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Registers replicas of models `m0`, `m1` and so on, and keeps them alive until `stop`.
fn be_replicas(ports: BoundPorts, count: usize, stop: &AtomicBool) -> anyhow::Result<()> {
    const HEARTBEAT: Duration = Duration::from_millis(500);
    let context = zmq::Context::new();
    let connect = |_| -> anyhow::Result<zmq::Socket> {
        let socket = context.socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        socket.connect(&format!("tcp://127.0.0.1:{}", ports.rpc_service_port))?;
        Ok(socket)
    };
    let mut sockets: Vec<zmq::Socket> = (0..count).map(connect).collect::<Result<_, _>>()?;
    let mut message: Vec<Frame> = Vec::new();
    let mut beat = Instant::now() - HEARTBEAT;
    while !stop.load(Relaxed) {
        let beats = beat.elapsed() >= HEARTBEAT;
        if beats {
            beat = Instant::now();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            if beats {
                message.clear();
                FromContainer::encode_heartbeat(&mut message);
                send(socket, &mut message)?;
            }
            while recv(socket, &mut message)? {
                let decoded = FromFrontend::decode(&message);
                if matches!(decoded, Ok(FromFrontend::MetadataWanted)) {
                    message.clear();
                    registration(number).encode(&mut message);
                    send(socket, &mut message)?;
                }
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn registration(number: usize) -> NewContainer {
    NewContainer {
        name: format!("m{number}"),
        version: "1".into(),
        input_type: DataType::Floats,
        metadata: Some(Metadata {
            host: String::new(),
            batches_in_flight: 2,
            ..Metadata::default()
        }),
    }
}
