//! A real model server and a real frontend, which is stopped and restarted.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{io::Write, os::unix::net::UnixStream, sync::mpsc, thread, time::Duration};

use container::{ServerSettings, Settings, Stop, serve};
use frontend::Frontend;
use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
use noop::Noop;
use testkit::{Peer, deploy, replicas, wait_until};
use wire::{
    BoundPorts,
    query::{Answer, AnswerStatus, Connected},
};

const SERVER: ServerSettings = ServerSettings {
    name: "m",
    version: "1",
    about: "a test",
    input_type: DataType::Floats,
    artifact: None,
};

/// Serves a no-op replica on another thread while `work` runs.
fn while_serving(flags: &[String], work: impl FnOnce()) {
    let args = ["m"].into_iter().chain(flags.iter().map(String::as_str));
    let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
    let (mut stop, stopped) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Noop, &settings, Stop::on_stream(stopped)));
    work();
    stop.write_all(&[0]).unwrap();
    server.join().unwrap().unwrap();
}

/// Repeats a query until a replica answers, and returns the output.
fn query_until_served(frontend: &Frontend) -> Vec<u8> {
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected: Connected = answers.connect_native();
    loop {
        requests.send_query(connected, 7, &[1.0]);
        let frames = answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        if answer.status == AnswerStatus::Ok {
            assert_eq!(answer.request_id, 7);
            return answer.output.to_vec();
        }
        assert_eq!(answer.reason, "no replica connected");
    }
}

/// Restarts a frontend on the same ports and checks that the model server serves both; `flags`
/// returns the model server's flags for these ports.
fn check_reconnect(flags: impl Fn(BoundPorts) -> Vec<String>, answer: &[u8]) {
    let first = Frontend::start(&testkit::settings()).unwrap();
    let ports = first.ports();
    let mut again = testkit::settings();
    again.ports.rpc_service = ports.rpc_service_port;
    again.ports.rpc_2017 = ports.rpc_2017_port;
    again.ports.rpc_send = ports.rpc_send_port;
    again.ports.rpc_recv = ports.rpc_recv_port;
    let flags = flags(ports);
    while_serving(&flags, || {
        deploy(&first, 4, Duration::from_secs(60));
        assert_eq!(query_until_served(&first), answer);
        drop(first);
        // Another program's connection may use one of the ports meanwhile.
        let second = wait_until("the ports are free", || Frontend::start(&again).ok());
        deploy(&second, 4, Duration::from_secs(60));
        assert_eq!(query_until_served(&second), answer);
    });
}

#[test]
fn registers_again_after_a_frontend_restart() {
    let flags = |ports: BoundPorts| vec![format!("--port={}", ports.rpc_service_port)];
    check_reconnect(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_2017_server_registers_again_after_a_frontend_restart() {
    let flags = |ports: BoundPorts| {
        let port = format!("--port={}", ports.rpc_2017_port);
        vec![port, "--rpc_version=2017".into()]
    };
    check_reconnect(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_high_performance_server_registers_again_after_a_frontend_restart() {
    let flags = |ports: BoundPorts| {
        let port = format!("--port={}", ports.rpc_send_port);
        let recv_port = format!("--recv_port={}", ports.rpc_recv_port);
        vec![port, recv_port, "--rpc_version=highperf".into()]
    };
    check_reconnect(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_version_3_server_answers_in_text() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    while_serving(&[port, "--rpc_version=3".into()], || {
        deploy(&frontend, 4, Duration::from_secs(60));
        assert_eq!(query_until_served(&frontend), b"[0.0]");
    });
}

/// Fails every batch.
struct Broken;

impl Model for Broken {
    fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn predict(&mut self, _: &Batch<'_>) -> Result<Predictions, PredictError> {
        Err(PredictError("boom".into()))
    }
}

/// Serves `Broken` until a client has an answer; returns the answer's status and reason, and the
/// result of serving.
fn query_broken(flags: &[&str]) -> (Option<(AnswerStatus, String)>, Result<(), container::Error>) {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 4, Duration::from_secs(60));
    let ports = frontend.ports();
    let port = match flags {
        ["--rpc_version=2017"] => ports.rpc_2017_port,
        ["--rpc_version=highperf"] => ports.rpc_send_port,
        _ => ports.rpc_service_port,
    };
    let port = format!("--port={port}");
    let recv_port = format!("--recv_port={}", ports.rpc_recv_port);
    let args = ["m", &port, &recv_port].into_iter();
    let args = args.chain(flags.iter().copied());
    let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
    let (mut stop, stopped) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Broken, &settings, Stop::on_stream(stopped)));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let answered = loop {
        requests.send_query(connected, 7, &[1.0]);
        if server.is_finished() {
            break None;
        }
        let Some(frames) = answers.recv_within(Duration::from_millis(20)) else {
            continue;
        };
        let answer = Answer::decode(&frames).unwrap();
        if answer.reason != "no replica connected" {
            break Some((answer.status, answer.reason.to_owned()));
        }
    };
    // It may have ended by itself.
    let _ = stop.write_all(&[0]);
    (answered, server.join().unwrap())
}

#[test]
fn a_failed_batch_is_an_error_with_the_models_reason() {
    let (answered, ended) = query_broken(&[]);
    assert_eq!(
        answered,
        Some((AnswerStatus::Error, "model failed: boom".to_owned()))
    );
    ended.unwrap();
}

/// Panics on the first batch only.
struct Panicking {
    has_panicked: bool,
}

impl Model for Panicking {
    fn info(&self) -> ModelInfo {
        Noop.info()
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        if !std::mem::replace(&mut self.has_panicked, true) {
            panic!("index {} is out of bounds", batch.inputs.len());
        }
        Noop.predict(batch)
    }
}

#[test]
fn a_panic_in_predict_fails_one_batch_only() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 4, Duration::from_secs(60));
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    let (settings, ()) = Settings::from_args(&SERVER, ["m", &port]).unwrap();
    let (mut stop, stopped) = UnixStream::pair().unwrap();
    let model = Panicking {
        has_panicked: false,
    };
    let server = thread::spawn(move || serve(model, &settings, Stop::on_stream(stopped)));
    wait_until("the replica is registered", || {
        replicas(&frontend).contains("replica_id").then_some(())
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let panicked = "model failed: model panicked: index 1 is out of bounds";
    for (status, reason) in [(AnswerStatus::Error, panicked), (AnswerStatus::Ok, "")] {
        requests.send_query(connected, 1, &[1.0]);
        let frames = answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!((answer.status, answer.reason), (status, reason));
    }
    // It is the same replica: it has not registered again.
    assert!(replicas(&frontend).contains("\"replica_id\":0"));
    stop.write_all(&[0]).unwrap();
    server.join().unwrap().unwrap();
}

#[test]
fn a_failed_batch_ends_servers_of_dialects_without_errors() {
    for (flag, dialect) in [
        ("--rpc_version=3", "version 3"),
        ("--rpc_version=2017", "the dialect of 2017"),
        ("--rpc_version=highperf", "the high-performance dialect"),
    ] {
        let (answered, ended) = query_broken(&[flag]);
        assert_eq!(answered, None);
        let error = ended.unwrap_err().to_string();
        let expected = format!("a batch failed, and {dialect} has no error message: boom");
        assert_eq!(error, expected);
    }
}

#[test]
fn a_refused_server_reports_the_frontends_reason() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 4, Duration::from_secs(60));
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    let args = ["m", &port, "--input_type=strings"];
    let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
    let (_stop, stopped) = UnixStream::pair().unwrap();
    let error = serve(Noop, &settings, Stop::on_stream(stopped)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.ends_with("refuses this model server: m:1 takes floats, not strings"),
        "{error}"
    );
}

/// Reports the start of each batch and computes it until a message arrives.
struct Slow {
    begun: mpsc::Sender<()>,
    resume: mpsc::Receiver<()>,
}

impl Model for Slow {
    fn info(&self) -> ModelInfo {
        Noop.info()
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        self.begun.send(()).unwrap();
        self.resume.recv().unwrap();
        Noop.predict(batch)
    }
}

#[test]
fn a_stopping_server_answers_its_batches_in_flight() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 1, Duration::from_secs(60));
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    let (settings, ()) = Settings::from_args(&SERVER, ["m", &port]).unwrap();
    let (mut stop, stopped) = UnixStream::pair().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (resume_model, resume) = mpsc::channel();
    let model = Slow { begun, resume };
    let server = thread::spawn(move || serve(model, &settings, Stop::on_stream(stopped)));
    wait_until("the replica is registered", || {
        replicas(&frontend).contains("replica_id").then_some(())
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 1, &[1.0]);
    has_begun.recv().unwrap();
    stop.write_all(&[0]).unwrap();
    resume_model.send(()).unwrap();
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (1, AnswerStatus::Ok));
    server.join().unwrap().unwrap();
    // After its goodbye the frontend does not wait for it.
    requests.send_query(connected, 2, &[1.0]);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.reason),
        (2, "no replica connected")
    );
}
