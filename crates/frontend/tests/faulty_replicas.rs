//! Faulty model servers: for each fault, the answers of clients and the metrics.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use frontend::Frontend;
use model::DataType;
use testkit::{
    Behaviour::*, FaultyReplica, HttpClient, Peer, admin, deploy, get, inputs, registration,
    replicas, reply_doubled, settings_with, wait_until,
};
use wire::query::{Answer, AnswerStatus, Connected};

const HOUR: Duration = Duration::from_secs(3600);

/// A frontend and its client.
struct Setup {
    frontend: Frontend,
    answers: Peer,
    requests: Peer,
    connected: Connected,
    next_request_id: u32,
}

/// An answer at the client.
#[derive(Debug, PartialEq)]
struct ReceivedAnswer {
    status: AnswerStatus,
    reason: String,
    output_type: DataType,
    output: Vec<u8>,
}

impl ReceivedAnswer {
    fn correct(input: f32) -> ReceivedAnswer {
        ReceivedAnswer::floats(2.0 * input)
    }

    fn floats(value: f32) -> ReceivedAnswer {
        ReceivedAnswer {
            status: AnswerStatus::Ok,
            reason: String::new(),
            output_type: DataType::Floats,
            output: value.to_le_bytes().to_vec(),
        }
    }

    fn default(status: AnswerStatus, reason: &str) -> ReceivedAnswer {
        ReceivedAnswer {
            status,
            reason: reason.to_owned(),
            output_type: DataType::Strings,
            output: b"none".to_vec(),
        }
    }
}

impl Setup {
    fn new(objective: Duration) -> Setup {
        Setup::with_batches(1, objective)
    }

    /// The replica waits until its batches are full.
    fn with_batches(size: i32, objective: Duration) -> Setup {
        let settings = settings_with(&["--batch_delay=1000000000"]);
        let frontend = Frontend::start(&settings).unwrap();
        deploy(&frontend, size, objective);
        let mut answers = Peer::connect(frontend.ports().send_port);
        let requests = Peer::connect(frontend.ports().recv_port);
        let connected = answers.connect_native();
        Setup {
            frontend,
            answers,
            requests,
            connected,
            next_request_id: 0,
        }
    }

    fn send_query(&mut self, input: f32) {
        self.requests
            .send_query(self.connected, self.next_request_id, &[input]);
        self.next_request_id += 1;
    }

    /// Receives the next answer, to any query.
    fn recv_answer(&mut self) -> ReceivedAnswer {
        let frames = self.answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        ReceivedAnswer {
            status: answer.status,
            reason: answer.reason.to_owned(),
            output_type: answer.output_type,
            output: answer.output.to_vec(),
        }
    }

    fn query(&mut self, input: f32) -> ReceivedAnswer {
        self.send_query(input);
        self.recv_answer()
    }

    /// Returns the sum of the metrics' lines that begin with `prefix`.
    fn count(&self, prefix: &str) -> u64 {
        let metrics = get(&self.frontend, "/metrics/prometheus");
        let lines = metrics.lines().filter(|line| line.starts_with(prefix));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    fn answered(&self, status: &str, reason: &str) -> u64 {
        let labels = format!("app=\"app\",status=\"{status}\",reason=\"{reason}\"");
        self.count(&format!("clipper_answers_total{{{labels}}}"))
    }

    /// State of the replica with this id in the admin list.
    fn state(&self, replica_id: u64) -> String {
        let listed: Vec<serde_json::Value> =
            serde_json::from_str(&replicas(&self.frontend)).unwrap();
        let mut listed = listed.iter();
        let replica = listed.find(|replica| replica["replica_id"] == replica_id);
        replica.unwrap()["state"].as_str().unwrap().to_owned()
    }

    fn dropped(&self) -> u64 {
        self.count("clipper_dropped_messages_total")
    }
}

#[test]
fn hanging_or_slow_replicas_delay_only_their_query() {
    for behaviour in [Hang, Slow(Duration::from_secs(1))] {
        let mut setup = Setup::new(Duration::from_millis(300));
        let replica = FaultyReplica::start(&setup.frontend, behaviour);
        let start = Instant::now();
        let answer = setup.query(1.0);
        let expected = ReceivedAnswer::default(AnswerStatus::Default, "timed out at the replica");
        assert_eq!(answer, expected, "{behaviour:?}");
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "{behaviour:?}"
        );
        assert_eq!(setup.answered("default", "timed out at the replica"), 1);
        replica.set_behaviour(Correct);
        let _other = FaultyReplica::start(&setup.frontend, Correct);
        assert_eq!(
            setup.query(2.0),
            ReceivedAnswer::correct(2.0),
            "{behaviour:?}"
        );
        assert_eq!(setup.answered("ok", ""), 1);
    }
}

#[test]
fn a_wrong_number_of_outputs_fails_only_the_batch() {
    let mut setup = Setup::new(HOUR);
    let replica = FaultyReplica::start(&setup.frontend, Correct);
    for outputs in [0, 2, 1_000] {
        replica.set_behaviour(Outputs(outputs));
        let reason = format!("model failed: {outputs} outputs to 1 inputs");
        assert_eq!(
            setup.query(1.0),
            ReceivedAnswer::default(AnswerStatus::Error, &reason)
        );
    }
    replica.set_behaviour(Correct);
    assert_eq!(setup.query(2.0), ReceivedAnswer::correct(2.0));
    let answered = (
        setup.answered("error", "model failed"),
        setup.answered("ok", ""),
    );
    assert_eq!(answered, (3, 1));
}

#[test]
fn nan_and_outputs_of_another_type_are_forwarded() {
    let mut setup = Setup::new(HOUR);
    let replica = FaultyReplica::start(&setup.frontend, NotANumber);
    assert_eq!(setup.query(1.0), ReceivedAnswer::floats(f32::NAN));
    let mut http = HttpClient::connect(setup.frontend.ports().query_port);
    let response = http.post("/app/predict", r#"{"input": [1.0]}"#);
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (response.status, &body["default"]),
        (200, &false.into()),
        "{body}"
    );
    replica.set_behaviour(Texts);
    let answer = setup.query(1.0);
    assert_eq!(
        (answer.status, answer.output_type),
        (AnswerStatus::Ok, DataType::Strings)
    );
    assert_eq!(answer.output, b"two");
    assert_eq!(setup.answered("ok", ""), 3);
}

#[test]
fn a_replica_that_sends_garbage_is_ejected() {
    let mut setup = Setup::new(HOUR);
    let garbage = FaultyReplica::start(&setup.frontend, Garbage);
    // The replica reconnects and sends garbage to the retried query, too.
    let answer = setup.query(1.0);
    assert_eq!(
        answer,
        ReceivedAnswer::default(AnswerStatus::Default, "replica died")
    );
    assert_eq!(
        (setup.answered("default", "replica died"), setup.dropped()),
        (1, 2)
    );
    let _correct = FaultyReplica::start(&setup.frontend, Correct);
    for input in 1..9 {
        setup.send_query(input as f32);
    }
    let mut received: Vec<ReceivedAnswer> = (1..9).map(|_| setup.recv_answer()).collect();
    received.sort_by(|a, b| f32_of(a).total_cmp(&f32_of(b)));
    let expected: Vec<ReceivedAnswer> = (1..9)
        .map(|input| ReceivedAnswer::correct(input as f32))
        .collect();
    assert_eq!(received, expected);
    drop(garbage);

    fn f32_of(answer: &ReceivedAnswer) -> f32 {
        f32::from_le_bytes(answer.output[..].try_into().unwrap())
    }
}

#[test]
fn unsolicited_and_duplicate_answers_are_dropped_and_counted() {
    let mut setup = Setup::new(HOUR);
    let replica = FaultyReplica::start(&setup.frontend, Unsolicited);
    for (behaviour, dropped) in [
        (Unsolicited, 1),
        (Duplicate, 2),
        (Duplicate, 3),
        (Correct, 3),
    ] {
        replica.set_behaviour(behaviour);
        assert_eq!(
            setup.query(3.0),
            ReceivedAnswer::correct(3.0),
            "{behaviour:?}"
        );
        wait_until("the dropped answer is counted", || {
            (setup.dropped() == dropped).then_some(())
        });
    }
    assert_eq!(setup.answered("ok", ""), 4);
}

#[test]
fn another_replica_answers_the_queries_of_a_crashed_one() {
    let mut setup = Setup::new(HOUR);
    let _crashing = FaultyReplica::start(&setup.frontend, Crash);
    setup.send_query(1.0);
    let _other = FaultyReplica::start(&setup.frontend, Correct);
    setup.send_query(2.0);
    let mut answer = [setup.recv_answer(), setup.recv_answer()];
    answer.sort_by_key(|answer| answer.output.clone());
    let mut expected = [ReceivedAnswer::correct(1.0), ReceivedAnswer::correct(2.0)];
    expected.sort_by_key(|answer| answer.output.clone());
    assert_eq!(answer, expected);
}

#[test]
fn a_silent_replica_is_ejected_and_may_return() {
    let mut setup = Setup::new(HOUR);
    let replica = FaultyReplica::start(&setup.frontend, Correct);
    assert_eq!(setup.query(1.0), ReceivedAnswer::correct(1.0));
    replica.set_behaviour(Silent);
    wait_until("the replica is ejected", || {
        (replicas(&setup.frontend) == "[]").then_some(())
    });
    let answer = setup.query(1.0);
    assert_eq!(
        answer,
        ReceivedAnswer::default(AnswerStatus::Default, "no replica connected")
    );
    replica.set_behaviour(Correct);
    wait_until("the replica has returned", || {
        (replicas(&setup.frontend) != "[]").then_some(())
    });
    assert_eq!(setup.query(2.0), ReceivedAnswer::correct(2.0));
}

#[test]
fn a_registration_storm_leaves_other_replicas_unaffected() {
    let mut setup = Setup::new(HOUR);
    let steady = FaultyReplica::start(&setup.frontend, Correct);
    let registering = FaultyReplica::start(&setup.frontend, RegistrationStorm(200));
    let joined = || {
        let listed: Vec<serde_json::Value> =
            serde_json::from_str(&replicas(&setup.frontend)).unwrap();
        let numbers = listed
            .iter()
            .map(|replica| replica["replica_id"].as_u64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    // The first replica, and the last registration of the storm.
    wait_until("the storm is over", || (joined() == [0, 201]).then_some(()));
    for input in 0..20 {
        assert_eq!(
            setup.query(input as f32),
            ReceivedAnswer::correct(input as f32)
        );
    }
    drop((steady, registering));
    assert_eq!(setup.answered("ok", ""), 20);
}

#[test]
fn a_failing_replica_is_ejected_until_it_succeeds() {
    let ejected = "clipper_ejected_replicas{model=\"m\",version=\"1\"}";
    for behaviour in [Fail, Outputs(7)] {
        let mut setup = Setup::new(HOUR);
        let bad = FaultyReplica::start(&setup.frontend, behaviour);
        let _good = FaultyReplica::start(&setup.frontend, Correct);
        for input in 0..20 {
            assert_eq!(
                setup.query(input as f32),
                ReceivedAnswer::correct(input as f32)
            );
        }
        assert_eq!([setup.state(0), setup.state(1)], ["ejected", "serving"]);
        assert_eq!(setup.count(ejected), 1);
        assert!(setup.count("clipper_failed_batches_total") >= 3);
        bad.set_behaviour(Correct);
        wait_until("the replica is readmitted", || {
            assert_eq!(setup.query(1.0), ReceivedAnswer::correct(1.0));
            (setup.state(0) == "serving").then_some(())
        });
        assert_eq!(setup.count(ejected), 0);
        assert_eq!(setup.answered("error", "model failed"), 0);
    }
}

#[test]
fn a_batch_out_of_memory_is_split_and_answered() {
    let mut setup = Setup::with_batches(8, HOUR);
    let _replica = FaultyReplica::start(&setup.frontend, OutOfMemory(2));
    for input in 0..8 {
        setup.send_query(input as f32);
    }
    let mut outputs: Vec<ReceivedAnswer> = (0..8).map(|_| setup.recv_answer()).collect();
    outputs.sort_by_key(|got| f32::from_le_bytes(got.output[..].try_into().unwrap()) as u32);
    let expected: Vec<ReceivedAnswer> = (0..8)
        .map(|input| ReceivedAnswer::correct(input as f32))
        .collect();
    assert_eq!(outputs, expected);
    // Batches of 8 and 4 failed, four of 2 were answered.
    assert_eq!(setup.count("clipper_failed_batches_total"), 2);
    assert_eq!(setup.count("clipper_batch_size_count"), 4);
    assert_eq!(setup.state(0), "serving");
}

#[test]
fn a_query_that_cannot_finish_in_time_is_not_computed() {
    let shed = "shed: cannot finish in time";
    let mut setup = Setup::new(Duration::from_millis(50));
    let mut replica = Peer::connect(setup.frontend.ports().rpc_service_port);
    replica.register(&registration("1", DataType::Floats, 1));
    // The replica answers its first batch after twice the objective.
    for reason in ["timed out at the replica", "timed out in queue"] {
        let got = setup.query(1.0);
        assert_eq!(got, ReceivedAnswer::default(AnswerStatus::Default, reason));
    }
    let request = replica.recv_request();
    reply_doubled(&mut replica, &request);
    wait_until("the answer has arrived", || {
        replicas(&setup.frontend)
            .contains("\"batches\":1")
            .then_some(())
    });
    // The next query checks whether the replica is still that slow; those after it are shed.
    setup.send_query(1.0);
    let request = replica.recv_request();
    let checked = ReceivedAnswer::default(AnswerStatus::Default, "timed out at the replica");
    assert_eq!(setup.recv_answer(), checked);
    assert_eq!(
        setup.query(2.0),
        ReceivedAnswer::default(AnswerStatus::Default, shed)
    );
    let mut http = HttpClient::connect(setup.frontend.ports().query_port);
    let response = http.post("/app/predict", r#"{"input": [3.0]}"#);
    assert_eq!(response.header("clipper-default-reason"), Some(shed));
    let clippers = "Failed to retrieve a prediction response within the specified latency SLO";
    assert!(response.text().contains(clippers));
    let input = r#"{"name":"input","datatype":"FP32","shape":[1,1],"data":[4.0]}"#;
    let body = format!("{{\"inputs\":[{input}]}}");
    let response = http.post("/v2/models/app/infer", &body);
    assert_eq!(
        (response.status, response.text().contains(shed)),
        (504, true)
    );
    assert_eq!(setup.answered("default", shed), 3);
    // The replica's next query is one that has time.
    let patient = r#"{"name":"patient","input_type":"f","default_output":"none","latency_slo_micros":1000000000}"#;
    let link = r#"{"app_name":"patient","model_names":["m"]}"#;
    assert_eq!(admin(&setup.frontend, "add_app", patient).0, 200);
    assert_eq!(admin(&setup.frontend, "add_model_links", link).0, 200);
    setup
        .requests
        .send_query_to("patient", setup.connected, 9, &[5.0]);
    reply_doubled(&mut replica, &request);
    let request = replica.recv_request();
    assert_eq!(inputs(&request), [5_f32.to_le_bytes()]);
}
