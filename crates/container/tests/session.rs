//! A real model server against a real frontend, which goes and comes back.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{io::Write, os::unix::net::UnixStream, sync::mpsc, thread, time::Duration};

use container::{Server, Settings, Stop, serve};
use frontend::Frontend;
use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
use noop::Noop;
use testkit::{Peer, deploy, replicas, until};
use wire::{
    BoundPorts,
    query::{Answer, Connected, Status},
};

const SERVER: Server = Server {
    name: "m",
    version: "1",
    about: "a test",
    input_type: DataType::Floats,
    artifact: None,
};

/// Serves no-op replicas from a thread until `work` is over.
fn while_serving(flags: &[String], work: impl FnOnce()) {
    let args = ["m"].into_iter().chain(flags.iter().map(String::as_str));
    let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
    let (mut stop, told) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Noop, &settings, Stop::on_stream(told)));
    work();
    stop.write_all(&[0]).unwrap();
    server.join().unwrap().unwrap();
}

/// Asks until a replica answers: it may not have registered yet.
fn ask_until_served(frontend: &Frontend) -> Vec<u8> {
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected: Connected = answers.connect_native();
    loop {
        requests.ask(connected, 7, &[1.0]);
        let frames = answers.hear();
        let answer = Answer::decode(&frames).unwrap();
        if answer.status == Status::Ok {
            assert_eq!(answer.request_id, 7);
            return answer.output.to_vec();
        }
        assert_eq!(answer.reason, "no replica connected");
    }
}

/// A frontend goes and comes back at the same ports; `flags` say how the model server finds them.
fn serve_two_frontends(flags: impl Fn(BoundPorts) -> Vec<String>, answer: &[u8]) {
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
        assert_eq!(ask_until_served(&first), answer);
        drop(first);
        // Another program may have got one of the ports meanwhile, for a connection of its own.
        let second = until("its ports are free", || Frontend::start(&again).ok());
        deploy(&second, 4, Duration::from_secs(60));
        assert_eq!(ask_until_served(&second), answer);
    });
}

#[test]
fn a_model_server_waits_for_its_frontend_and_registers_again_when_that_comes_back() {
    let flags = |ports: BoundPorts| vec![format!("--port={}", ports.rpc_service_port)];
    serve_two_frontends(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_model_server_of_2017_registers_again_when_its_frontend_comes_back() {
    let flags = |ports: BoundPorts| {
        let port = format!("--port={}", ports.rpc_2017_port);
        vec![port, "--rpc_version=2017".into()]
    };
    serve_two_frontends(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_high_performance_model_server_registers_again_when_its_frontend_comes_back() {
    let flags = |ports: BoundPorts| {
        let port = format!("--port={}", ports.rpc_send_port);
        let recv_port = format!("--recv_port={}", ports.rpc_recv_port);
        vec![port, recv_port, "--rpc_version=highperf".into()]
    };
    serve_two_frontends(flags, &0_f32.to_le_bytes());
}

#[test]
fn a_model_server_of_version_3_answers_in_text() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    while_serving(&[port, "--rpc_version=3".into()], || {
        deploy(&frontend, 4, Duration::from_secs(60));
        assert_eq!(ask_until_served(&frontend), b"[0.0]");
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

/// Serves `Broken` from this thread, while a client on another asks once and then ends it; what the client heard and how
/// serving ended.
fn ask_broken(flags: &[&str]) -> (Option<(Status, String)>, Result<(), container::Error>) {
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
    let (mut stop, told) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Broken, &settings, Stop::on_stream(told)));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let heard = loop {
        requests.ask(connected, 7, &[1.0]);
        if server.is_finished() {
            break None;
        }
        let Some(frames) = answers.hear_within(Duration::from_millis(20)) else {
            continue;
        };
        let answer = Answer::decode(&frames).unwrap();
        if answer.reason != "no replica connected" {
            break Some((answer.status, answer.reason.to_owned()));
        }
    };
    // It may have ended by itself.
    let _ = stop.write_all(&[0]);
    (heard, server.join().unwrap())
}

#[test]
fn a_failed_batch_is_an_error_with_the_models_words() {
    let (heard, ended) = ask_broken(&[]);
    assert_eq!(
        heard,
        Some((Status::Error, "model failed: boom".to_owned()))
    );
    ended.unwrap();
}

#[test]
fn a_failed_batch_of_a_dialect_without_errors_ends_the_server() {
    for (flag, dialect) in [
        ("--rpc_version=3", "version 3"),
        ("--rpc_version=2017", "the dialect of 2017"),
        ("--rpc_version=highperf", "the high-performance dialect"),
    ] {
        let (heard, ended) = ask_broken(&[flag]);
        assert_eq!(heard, None);
        let error = ended.unwrap_err().to_string();
        let expected = format!("a batch failed, and {dialect} cannot say so: boom");
        assert_eq!(error, expected);
    }
}

#[test]
fn a_refused_model_server_ends_with_the_frontends_reason() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 4, Duration::from_secs(60));
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    let args = ["m", &port, "--input_type=strings"];
    let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
    let (_stop, told) = UnixStream::pair().unwrap();
    let error = serve(Noop, &settings, Stop::on_stream(told)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.ends_with("refuses: m:1 takes floats, not strings"),
        "{error}"
    );
}

/// Computes until it is told to go on.
struct Slow {
    begun: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Model for Slow {
    fn info(&self) -> ModelInfo {
        Noop.info()
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        self.begun.send(()).unwrap();
        self.go_on.recv().unwrap();
        Noop.predict(batch)
    }
}

#[test]
fn a_model_server_that_is_told_to_stop_answers_the_batches_that_it_has() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 1, Duration::from_secs(60));
    let port = format!("--port={}", frontend.ports().rpc_service_port);
    let (settings, ()) = Settings::from_args(&SERVER, ["m", &port]).unwrap();
    let (mut stop, told) = UnixStream::pair().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (goes_on, go_on) = mpsc::channel();
    let model = Slow { begun, go_on };
    let server = thread::spawn(move || serve(model, &settings, Stop::on_stream(told)));
    until("it has registered", || {
        replicas(&frontend).contains("replica_id").then_some(())
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 1, &[1.0]);
    has_begun.recv().unwrap();
    stop.write_all(&[0]).unwrap();
    // With it gone there is nobody else to answer.
    goes_on.send(()).unwrap();
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (1, Status::Ok));
    server.join().unwrap().unwrap();
    // It said goodbye: there is nothing to wait for.
    requests.ask(connected, 2, &[1.0]);
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.reason),
        (2, "no replica connected")
    );
}
