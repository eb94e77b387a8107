//! Signals to a model server process whose model hangs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    io::{BufRead, BufReader, stderr},
    process::{Child, Command, Stdio, exit},
    thread,
    time::Duration,
};

use container::{ServerSettings, Settings, Stop, serve};
use frontend::Frontend;
use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
use noop::Noop;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Peer, deploy, replicas, wait_until};

/// Environment variable that turns this test program into a model server at that port.
const PORT: &str = "HANGING_MODEL_SERVER_PORT";

struct Hangs;

impl Model for Hangs {
    fn info(&self) -> ModelInfo {
        Noop.info()
    }

    fn predict(&mut self, _: &Batch<'_>) -> Result<Predictions, PredictError> {
        println!("begun");
        loop {
            thread::park();
        }
    }
}

fn model_server(port: &str) -> ! {
    let server = ServerSettings {
        name: "m",
        version: "1",
        about: "a test",
        input_type: DataType::Floats,
        artifact: None,
    };
    tracing_subscriber::fmt().with_writer(stderr).init();
    let loading = Stop::exit_immediately().unwrap();
    let (settings, ()) = Settings::from_args(&server, ["m", "--port", port]).unwrap();
    let stop = Stop::on_signals(&loading).unwrap();
    serve(Hangs, &settings, stop).unwrap();
    exit(0)
}

/// Starts a model server, waits until its model hangs, and sends SIGTERM and then `second`. Returns
/// the exit status, and whether the log reports an unfinished model.
fn stop_hanging_server(second: Option<Signal>) -> (Option<i32>, bool) {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 1, Duration::from_secs(60));
    let mut server = start(frontend.ports().rpc_service_port);
    wait_until("the replica is registered", || {
        replicas(&frontend).contains("replica_id").then_some(())
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    requests.send_query(answers.connect_native(), 1, &[1.0]);
    let mut printed = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(printed.any(|line| line.unwrap().ends_with("begun")));
    let mut logged = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut logs = |text| logged.any(|line| line.unwrap().contains(text));
    let pid = Pid::from_child(&server);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(logs("stopping: finishing 1 batches"));
    if let Some(signal) = second {
        kill_process(pid, signal).unwrap();
    }
    let abandoned = logs("the model did not finish in time");
    (server.wait().unwrap().code(), abandoned)
}

fn start(port: u16) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("a_second_signal_ends_a_waiting_server")
        .env(PORT, port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_second_signal_ends_a_waiting_server() {
    if let Ok(port) = env::var(PORT) {
        model_server(&port);
    }
    assert_eq!(stop_hanging_server(Some(Signal::TERM)), (Some(1), false));
    assert_eq!(stop_hanging_server(Some(Signal::INT)), (Some(1), false));
    assert_eq!(stop_hanging_server(None), (Some(1), true));
}
