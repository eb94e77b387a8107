//! Accuracy runs through a real frontend and two replicas of a model with planned errors.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::Write,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use container::{ServerSettings, Settings, Stop, serve};
use frontend::Frontend;
use loadgen::{Arrivals, Load, LoadControl, Target, WindowOpening, stats::KeptOutput};
use model::{
    Accuracy, Artifact, Batch, DataType, InputError, Model, ModelInfo, Output, PredictError,
    Predictions,
};
use results::AccuracyRun;
use testkit::{Peer, deploy};
use transport::Frame;
use wire::query::{Answer, AnswerStatus};

const INPUTS: u64 = 88;
const CLASSES: [&str; 3] = ["cat", "dog", "owl"];

/// A model that classifies input n as class n % 3.
#[derive(Clone, Copy, Default)]
struct Toy {
    /// Input that is classified as the next class.
    wrong: Option<usize>,
    /// Input that fails.
    failing: Option<usize>,
}

impl Model for Toy {
    fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let answer = |index| {
            let mut number = [0.0_f32];
            batch.copy_row(index, &mut number)?;
            let number = number[0] as usize;
            if self.failing == Some(number) {
                return Err(InputError("planned by the test".into()));
            }
            let mut scores = vec![0.1; 3];
            scores[(number + usize::from(self.wrong == Some(number))) % 3] = 0.8;
            Ok(Output::Floats(scores))
        };
        Ok((0..batch.len()).map(answer).collect())
    }
}

/// Returns the result of an accuracy run and the number of queries that the model answered. The artifact's offline
/// evaluation has `offline` correct answers.
fn accuracy_run(toy: Toy, offline: u64) -> (AccuracyRun, u64) {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, 4, Duration::from_secs(60));
    let ports = frontend.ports();
    let replicas: Vec<_> = (0..2)
        .map(|_| replica(toy, ports.rpc_service_port))
        .collect();
    wait_for_a_replica(&frontend);
    let load = Load {
        target: Target {
            answers: format!("tcp://127.0.0.1:{}", ports.send_port),
            requests: format!("tcp://127.0.0.1:{}", ports.recv_port),
            app: "app",
            input_type: DataType::Floats,
        },
        arrivals: Arrivals::Closed { in_flight: 24 },
        send_once: true,
        seed: 0,
        cores: None,
        clients: 2,
        duration: Duration::ZERO,
        opening: WindowOpening::Immediate,
        precision: None,
        answer_timeout: testkit::TIMEOUT,
        objective: None,
        trial_start: Instant::now(),
    };
    let input = |number: u64| Frame::from((number as f32).to_le_bytes().to_vec());
    let inputs: Vec<_> = (0..INPUTS).map(input).collect();
    let tally = loadgen::run(&load, &inputs, |_| LoadControl::Cold)
        .unwrap()
        .tally;
    for (mut stop, server) in replicas {
        stop.write_all(&[0]).unwrap();
        server.join().unwrap().unwrap();
    }
    let labels: Vec<_> = CLASSES
        .iter()
        .cycle()
        .take(INPUTS as usize)
        .map(|&name| name.to_owned())
        .collect();
    let artifact = Artifact {
        classes: CLASSES.map(str::to_owned).into(),
        accuracy: Some(Accuracy {
            right: offline,
            of: INPUTS,
        }),
        ..Artifact::default()
    };
    let run = AccuracyRun::count(&tally.outputs, &labels, Some(&artifact)).unwrap();
    (run, tally.totals.ok)
}

fn replica(toy: Toy, port: u16) -> (UnixStream, thread::JoinHandle<Result<(), container::Error>>) {
    let server = ServerSettings {
        name: "m",
        version: "1",
        about: "a test",
        input_type: DataType::Floats,
        artifact: None,
    };
    let arguments = ["m", &format!("--port={port}")];
    let (settings, ()) = Settings::from_args(&server, arguments).unwrap();
    let (stop, receiver) = UnixStream::pair().unwrap();
    (
        stop,
        thread::spawn(move || serve(toy, &settings, Stop::on_stream(receiver))),
    )
}

fn wait_for_a_replica(frontend: &Frontend) {
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    loop {
        requests.send_query(connected, 0, &[0.0]);
        if Answer::decode(&answers.recv()).unwrap().status == AnswerStatus::Ok {
            return;
        }
    }
}

#[test]
fn served_accuracy_equals_the_offline_evaluation() {
    let (run, ok) = accuracy_run(Toy::default(), INPUTS);
    assert_eq!(
        run.served,
        Accuracy {
            right: INPUTS,
            of: INPUTS
        }
    );
    assert_eq!((run.equals_offline, ok), (Some(true), INPUTS));
}

#[test]
fn one_wrong_answer_is_a_difference() {
    let toy = Toy {
        wrong: Some(31),
        ..Toy::default()
    };
    let (run, ok) = accuracy_run(toy, INPUTS);
    assert_eq!(
        run.served,
        Accuracy {
            right: INPUTS - 1,
            of: INPUTS
        }
    );
    assert!(run.differs() && ok == INPUTS);
    // The offline evaluation has the same error.
    let (run, _) = accuracy_run(toy, INPUTS - 1);
    assert_eq!(run.equals_offline, Some(true));
}

#[test]
fn an_input_without_an_answer_counts_as_wrong() {
    let toy = Toy {
        failing: Some(31),
        ..Toy::default()
    };
    let (run, ok) = accuracy_run(toy, INPUTS);
    assert_eq!(
        run.served,
        Accuracy {
            right: INPUTS - 1,
            of: INPUTS
        }
    );
    assert_eq!(ok, INPUTS - 1);
}

#[test]
fn scores_without_class_names_are_an_error() {
    let outputs = [KeptOutput {
        input: 0,
        output: Output::Floats(vec![0.1, 0.9]),
    }];
    let error = AccuracyRun::count(&outputs, &["cat".to_owned()], None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("list its classes in the .json file"),
        "{error}"
    );
}
