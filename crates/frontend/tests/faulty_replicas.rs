//! A model server that goes wrong in every way that there is: what clients get, before when, and what the metrics say.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use frontend::Frontend;
use model::DataType;
use testkit::{Behaviour::*, FaultyReplica, Http, Peer, deploy, get, replicas, settings, until};
use wire::query::{Answer, AnswerStatus, Connected};

const HOUR: Duration = Duration::from_secs(3600);

/// A frontend, its client, and model servers to look at.
struct Bench {
    frontend: Frontend,
    answers: Peer,
    requests: Peer,
    connected: Connected,
    next: u32,
}

/// What a client got.
#[derive(Debug, PartialEq)]
struct Got {
    status: AnswerStatus,
    reason: String,
    output_type: DataType,
    output: Vec<u8>,
}

impl Got {
    fn right(input: f32) -> Got {
        Got::floats(2.0 * input)
    }

    fn floats(value: f32) -> Got {
        Got {
            status: AnswerStatus::Ok,
            reason: String::new(),
            output_type: DataType::Floats,
            output: value.to_le_bytes().to_vec(),
        }
    }

    fn default(status: AnswerStatus, reason: &str) -> Got {
        Got {
            status,
            reason: reason.to_owned(),
            output_type: DataType::Strings,
            output: b"none".to_vec(),
        }
    }
}

impl Bench {
    fn new(objective: Duration) -> Bench {
        let frontend = Frontend::start(&settings()).unwrap();
        deploy(&frontend, 1, objective);
        let mut answers = Peer::connect(frontend.ports().send_port);
        let requests = Peer::connect(frontend.ports().recv_port);
        let connected = answers.connect_native();
        Bench {
            frontend,
            answers,
            requests,
            connected,
            next: 0,
        }
    }

    fn ask(&mut self, input: f32) {
        self.requests.ask(self.connected, self.next, &[input]);
        self.next += 1;
    }

    /// The answer to any question.
    fn hear(&mut self) -> Got {
        let frames = self.answers.hear();
        let answer = Answer::decode(&frames).unwrap();
        Got {
            status: answer.status,
            reason: answer.reason.to_owned(),
            output_type: answer.output_type,
            output: answer.output.to_vec(),
        }
    }

    fn got(&mut self, input: f32) -> Got {
        self.ask(input);
        self.hear()
    }

    /// A counter of the metrics.
    fn count(&self, start: &str) -> u64 {
        let metrics = get(&self.frontend, "/metrics/prometheus");
        let lines = metrics.lines().filter(|line| line.starts_with(start));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    fn ended(&self, status: &str, reason: &str) -> u64 {
        let labels = format!("app=\"app\",status=\"{status}\",reason=\"{reason}\"");
        self.count(&format!("clipper_answers_total{{{labels}}}"))
    }

    fn dropped(&self) -> u64 {
        self.count("clipper_dropped_messages_total")
    }
}

#[test]
fn one_that_hangs_or_is_slow_costs_its_query_the_objective_and_others_nothing() {
    for behaviour in [Hang, Slow(Duration::from_secs(1))] {
        let mut bench = Bench::new(Duration::from_millis(300));
        let replica = FaultyReplica::start(&bench.frontend, behaviour);
        let asked = Instant::now();
        let got = bench.got(1.0);
        let expected = Got::default(AnswerStatus::Default, "timed out at the replica");
        assert_eq!(got, expected, "{behaviour:?}");
        assert!(
            asked.elapsed() >= Duration::from_millis(300),
            "{behaviour:?}"
        );
        assert_eq!(bench.ended("default", "timed out at the replica"), 1);
        replica.behave(Right);
        // Another serves meanwhile.
        let _other = FaultyReplica::start(&bench.frontend, Right);
        assert_eq!(bench.got(2.0), Got::right(2.0), "{behaviour:?}");
        assert_eq!(bench.ended("ok", ""), 1);
    }
}

#[test]
fn one_that_answers_too_few_or_too_many_fails_the_batch_at_once_and_serves_on() {
    let mut bench = Bench::new(HOUR);
    let replica = FaultyReplica::start(&bench.frontend, Right);
    for outputs in [0, 2, 1_000] {
        replica.behave(Outputs(outputs));
        let why = format!("model failed: {outputs} outputs to 1 inputs");
        assert_eq!(bench.got(1.0), Got::default(AnswerStatus::Error, &why));
    }
    replica.behave(Right);
    assert_eq!(bench.got(2.0), Got::right(2.0));
    let ended = (bench.ended("error", "model failed"), bench.ended("ok", ""));
    assert_eq!(ended, (3, 1));
}

#[test]
fn what_is_no_number_or_of_another_type_is_handed_on_as_what_it_is() {
    let mut bench = Bench::new(HOUR);
    let replica = FaultyReplica::start(&bench.frontend, NotANumber);
    assert_eq!(bench.got(1.0), Got::floats(f32::NAN));
    let mut http = Http::connect(bench.frontend.ports().query_port);
    let response = http.post("/app/predict", r#"{"input": [1.0]}"#);
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (response.status, &body["default"]),
        (200, &false.into()),
        "{body}"
    );
    replica.behave(Texts);
    let got = bench.got(1.0);
    assert_eq!(
        (got.status, got.output_type),
        (AnswerStatus::Ok, DataType::Strings)
    );
    assert_eq!(got.output, b"two");
    assert_eq!(bench.ended("ok", ""), 3);
}

#[test]
fn one_that_sends_garbage_is_given_up_and_its_query_goes_to_another_or_ends_with_the_reason() {
    let mut bench = Bench::new(HOUR);
    let bad = FaultyReplica::start(&bench.frontend, Garbage);
    // It comes back, and does it again.
    let got = bench.got(1.0);
    assert_eq!(got, Got::default(AnswerStatus::Default, "replica died"));
    assert_eq!(
        (bench.ended("default", "replica died"), bench.dropped()),
        (1, 2)
    );
    let _good = FaultyReplica::start(&bench.frontend, Right);
    for input in 1..9 {
        bench.ask(input as f32);
    }
    let mut answered: Vec<Got> = (1..9).map(|_| bench.hear()).collect();
    answered.sort_by(|a, b| f32_of(a).total_cmp(&f32_of(b)));
    let expected: Vec<Got> = (1..9).map(|input| Got::right(input as f32)).collect();
    assert_eq!(answered, expected);
    drop(bad);

    fn f32_of(got: &Got) -> f32 {
        f32::from_le_bytes(got.output[..].try_into().unwrap())
    }
}

#[test]
fn answers_that_nobody_asked_for_and_second_ones_are_dropped_and_counted() {
    let mut bench = Bench::new(HOUR);
    let replica = FaultyReplica::start(&bench.frontend, Unasked);
    for (behaviour, dropped) in [(Unasked, 1), (Twice, 2), (Twice, 3), (Right, 3)] {
        replica.behave(behaviour);
        assert_eq!(bench.got(3.0), Got::right(3.0), "{behaviour:?}");
        until("what was said beside it is counted", || {
            (bench.dropped() == dropped).then_some(())
        });
    }
    assert_eq!(bench.ended("ok", ""), 4);
}

#[test]
fn one_that_crashes_loses_nothing_where_there_is_another() {
    let mut bench = Bench::new(HOUR);
    let _crashing = FaultyReplica::start(&bench.frontend, Crash);
    bench.ask(1.0);
    let _other = FaultyReplica::start(&bench.frontend, Right);
    bench.ask(2.0);
    let mut got = [bench.hear(), bench.hear()];
    got.sort_by_key(|got| got.output.clone());
    let mut expected = [Got::right(1.0), Got::right(2.0)];
    expected.sort_by_key(|got| got.output.clone());
    assert_eq!(got, expected);
}

#[test]
fn one_that_falls_silent_leaves_and_may_come_back() {
    let mut bench = Bench::new(HOUR);
    let replica = FaultyReplica::start(&bench.frontend, Right);
    assert_eq!(bench.got(1.0), Got::right(1.0));
    replica.behave(Silent);
    until("it is given up", || {
        (replicas(&bench.frontend) == "[]").then_some(())
    });
    let got = bench.got(1.0);
    assert_eq!(
        got,
        Got::default(AnswerStatus::Default, "no replica connected")
    );
    replica.behave(Right);
    until("it is back", || {
        (replicas(&bench.frontend) != "[]").then_some(())
    });
    assert_eq!(bench.got(2.0), Got::right(2.0));
}

#[test]
fn a_storm_of_registrations_leaves_one_replica_and_no_other_harmed() {
    let mut bench = Bench::new(HOUR);
    let calm = FaultyReplica::start(&bench.frontend, Right);
    let stormy = FaultyReplica::start(&bench.frontend, Storm(200));
    let joined = || {
        let listed: Vec<serde_json::Value> =
            serde_json::from_str(&replicas(&bench.frontend)).unwrap();
        let numbers = listed
            .iter()
            .map(|replica| replica["replica_id"].as_u64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    // The calm one, and the last of the storm.
    until("the storm is over", || (joined() == [0, 201]).then_some(()));
    for input in 0..20 {
        assert_eq!(bench.got(input as f32), Got::right(input as f32));
    }
    drop((calm, stormy));
    assert_eq!(bench.ended("ok", ""), 20);
}
