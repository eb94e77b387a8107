//! The state in a real Redis: Clipper's schema, and several frontends on it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, time::Duration};

use frontend::{Frontend, Settings};
use model::{DataType, Output};
use redis::{Client, Connection, FromRedisValue};
use testkit::{Peer, Redis, admin, deploy, settings, until};
use wire::{
    query::{Answer, Connected},
    rpc::{FromContainer, FromFrontend, Metadata, NewContainer, Reply, Times},
};

const HOUR: Duration = Duration::from_secs(3600);
const MODEL: &str = r#"{"model_name":"m","model_version":"2","labels":["a","b"],"input_type":"f","container_name":"c","model_data_path":"/d","batch_size":7}"#;

fn on(redis: &Redis) -> Settings {
    let mut settings = settings();
    settings.redis.host_and_port = Some(redis.address());
    settings
}

fn start(redis: &Redis) -> Frontend {
    Frontend::start(&on(redis)).unwrap()
}

/// Another program that uses the same Redis, such as Clipper's management frontend.
struct Other(Connection);

impl Other {
    fn connect(redis: &Redis) -> Other {
        let client = Client::open(format!("redis://{}", redis.address())).unwrap();
        Other(client.get_connection().unwrap())
    }

    fn ask<T: FromRedisValue>(&mut self, db: u8, command: &[&str]) -> T {
        redis::cmd("SELECT").arg(db).exec(&mut self.0).unwrap();
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]).query(&mut self.0).unwrap()
    }

    fn hash(&mut self, db: u8, key: &str) -> BTreeMap<String, String> {
        self.ask(db, &["HGETALL", key])
    }

    fn keys(&mut self, db: u8) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(db, &["KEYS", "*"]);
        keys.sort();
        keys
    }
}

fn fields(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    fields.iter().map(owned).collect()
}

/// A replica of model `m`, acknowledged, which answers every input with its version.
struct Replica {
    peer: Peer,
    version: u8,
}

impl Replica {
    fn join(frontend: &Frontend, version: u8) -> Replica {
        let mut peer = Peer::connect(frontend.ports().rpc_service_port);
        peer.register(&NewContainer {
            name: "m".into(),
            version: version.to_string(),
            input_type: DataType::Floats,
            metadata: Some(Metadata::default()),
        });
        Replica { peer, version }
    }

    /// Says that it lives, and answers a request if there is one.
    fn serve(&mut self) {
        self.peer.say_with(FromContainer::encode_heartbeat);
        let Some(message) = self.peer.hear_within(Duration::ZERO) else {
            return;
        };
        let Ok(FromFrontend::Request(request)) = FromFrontend::decode(&message) else {
            return;
        };
        let output = Output::Text(self.version.to_string());
        let reply = Reply {
            session: request.head.session,
            message_id: request.head.message_id,
            output_type: DataType::Strings,
            predictions: request.inputs.iter().map(|_| Ok(output.clone())).collect(),
            times: Times::default(),
        };
        self.peer.say_with(|frames| reply.encode(frames));
    }
}

struct Caller {
    answers: Peer,
    requests: Peer,
    connected: Connected,
}

impl Caller {
    fn connect(frontend: &Frontend) -> Caller {
        let mut answers = Peer::connect(frontend.ports().send_port);
        let connected = answers.connect_native();
        Caller {
            requests: Peer::connect(frontend.ports().recv_port),
            answers,
            connected,
        }
    }

    /// Asks application `app`, while these replicas serve; answers the output.
    fn ask(&mut self, replicas: &mut [&mut Replica]) -> String {
        self.requests.ask(self.connected, 1, &[1.0]);
        until("an answer", || {
            replicas.iter_mut().for_each(|replica| replica.serve());
            let frames = self.answers.hear_within(Duration::from_millis(1))?;
            let answer = Answer::decode(&frames).unwrap();
            Some(String::from_utf8(answer.output.to_vec()).unwrap())
        })
    }
}

fn ok(frontend: &Frontend, endpoint: &str, body: &str) -> String {
    let (status, text) = admin(frontend, endpoint, body);
    assert_eq!(status, 200, "{text}");
    text
}

fn containers(frontend: &Frontend) -> String {
    ok(frontend, "get_all_containers", r#"{"verbose":false}"#)
}

#[test]
fn rows_are_clippers() {
    let redis = Redis::start();
    let mut other = Other::connect(&redis);
    let frontend = start(&redis);
    deploy(&frontend, -1, Duration::from_millis(20));
    ok(&frontend, "add_model", MODEL);
    let app = [
        ("input_type", "floats"),
        ("policy", "DefaultOutputSelectionPolicy"),
        ("default_output", "none"),
        ("latency_slo_micros", "20000"),
    ];
    assert_eq!(other.hash(5, "app"), fields(&app));
    let model = [
        ("model_name", "m"),
        ("model_version", "2"),
        ("load", "0.000000"),
        ("input_type", "floats"),
        ("labels", "a,b"),
        ("container_name", "c"),
        ("model_data_path", "/d"),
        ("batch_size", "7"),
        ("valid", ""),
    ];
    assert_eq!(other.hash(2, "m:2"), fields(&model));
    let first = other.hash(2, "m:1");
    assert_eq!((&*first["batch_size"], &*first["labels"]), ("-1", ""));
    let current = ["GET", "CURRENT_MODEL_VERSION:m"];
    assert_eq!(other.ask::<String>(6, &current), "2");
    assert_eq!(other.ask::<Vec<String>>(7, &["SMEMBERS", "app"]), ["m"]);
    let state = other.ask::<String>(1, &["GET", "app:0:0"]);
    assert_eq!(state, r#"{"y_hat":"none"}"#);

    let _replica = Replica::join(&frontend, 1);
    let mut row = other.hash(3, "m,1,0");
    assert!(row.remove("frontend").is_some());
    let connection = row.remove("zmq_connection_id").unwrap();
    assert!(connection.parse::<i32>().unwrap() >= 0, "{connection}");
    let container = [
        ("model_id", "m:1"),
        ("model_name", "m"),
        ("model_version", "1"),
        ("model_replica_id", "0"),
        ("batch_size", "1"),
        ("input_type", "floats"),
    ];
    assert_eq!(row, fields(&container));

    let version = r#"{"model_name":"m","model_version":"1"}"#;
    ok(&frontend, "set_model_version", version);
    assert_eq!(other.ask::<String>(6, &current), "1");
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    ok(&frontend, "delete_model_links", link);
    assert!(other.keys(7).is_empty());
    ok(&frontend, "delete_versioned_model", version);
    assert_eq!(other.keys(2), ["m:2"]);
    ok(&frontend, "delete_app", r#"{"name":"app"}"#);
    assert!(other.keys(5).is_empty() && other.keys(1).is_empty());
}

#[test]
fn what_another_program_writes_takes_effect() {
    let redis = Redis::start();
    let mut other = Other::connect(&redis);
    let frontend = start(&redis);
    deploy(&frontend, 1, HOUR);
    ok(&frontend, "add_model", MODEL);
    let mut caller = Caller::connect(&frontend);
    let (one, two) = (
        &mut Replica::join(&frontend, 1),
        &mut Replica::join(&frontend, 2),
    );
    assert_eq!(caller.ask(&mut [one, two]), "2");
    // A rollback.
    other.ask::<()>(6, &["SET", "CURRENT_MODEL_VERSION:m", "1"]);
    until("version 1 serves", || {
        (caller.ask(&mut [one, two]) == "1").then_some(())
    });
    // Clipper's way to delete a model version: whoever serves it does the rest.
    other.ask::<()>(2, &["HDEL", "m:1", "valid"]);
    until("the row is gone", || {
        (other.keys(2) == ["m:2"] && other.keys(3) == ["m,2,0"]).then_some(())
    });
    // Rows that are no text, as Clipper writes them if it is given such, hide no others.
    let raw = r"return redis.call('HSET', 'raw\255', 'default_output', '\255')";
    other.ask::<()>(5, &["EVAL", raw, "0"]);
    let app = [
        "HSET",
        "more",
        "input_type",
        "floats",
        "policy",
        "DefaultOutputSelectionPolicy",
        "default_output",
        "more",
        "latency_slo_micros",
        "1000",
    ];
    other.ask::<()>(5, &app);
    until("the application serves", || {
        caller.requests.ask_app("more", caller.connected, 2, &[1.0]);
        let frames = caller.answers.hear();
        (Answer::decode(&frames).unwrap().output == b"more").then_some(())
    });
    let state = other.ask::<String>(1, &["GET", "more:0:0"]);
    assert_eq!(state, r#"{"y_hat":"more"}"#);
}

#[test]
fn two_frontends_serve_one_application_with_replicas_of_their_own() {
    let redis = Redis::start();
    let mut other = Other::connect(&redis);
    let foreign = ["HSET", "m,1,9", "model_id", "m:1", "model_name", "m"];
    other.ask::<()>(3, &foreign);
    let (first, second) = (start(&redis), start(&redis));
    deploy(&first, 1, HOUR);
    let (here, there) = (
        &mut Replica::join(&first, 1),
        &mut Replica::join(&second, 1),
    );
    // They are numbered by one counter, and told of by both.
    let both = r#"["m:1:0","m:1:1"]"#;
    assert_eq!((&*containers(&first), &*containers(&second)), (both, both));
    // Each serves from its own. The second hears of the application from Redis.
    let mut callers = [&first, &second].map(Caller::connect);
    assert_eq!(callers[0].ask(&mut [here]), "1");
    until("the second serves the application", || {
        (callers[1].ask(&mut [there]) == "1").then_some(())
    });
    // A replica's row goes with it.
    here.peer.say_with(FromContainer::encode_goodbye);
    until("the row is gone", || {
        (containers(&second) == r#"["m:1:1"]"#).then_some(())
    });
    let _new = Replica::join(&first, 1);
    assert_eq!(containers(&second), r#"["m:1:1","m:1:2"]"#);
    // And the rows of a frontend go with that; what others wrote is theirs.
    drop(first);
    assert_eq!(other.keys(3), ["m,1,1", "m,1,9"]);
    assert_eq!(callers[1].ask(&mut [there]), "1");
}

#[test]
fn rows_that_a_frontend_left_behind_go_when_it_starts_again() {
    let redis = Redis::start();
    let mut other = Other::connect(&redis);
    let mut settings = on(&redis);
    let frontend = Frontend::start(&settings).unwrap();
    settings.ports.rpc_service = frontend.ports().rpc_service_port;
    let replica = Replica::join(&frontend, 1);
    let name = other.hash(3, "m,1,0")["frontend"].clone();
    drop((replica, frontend));
    other.ask::<()>(3, &["HSET", "m,1,0", "frontend", &name]);
    other.ask::<()>(3, &["HSET", "m,1,1", "frontend", "another"]);
    let _frontend = Frontend::start(&settings).unwrap();
    assert_eq!(other.keys(3), ["m,1,1"]);
}

#[test]
fn a_frontend_serves_on_without_redis_and_gives_back_what_redis_lost() {
    let mut redis = Redis::start();
    let frontend = start(&redis);
    deploy(&frontend, 1, HOUR);
    let mut caller = Caller::connect(&frontend);
    let old = &mut Replica::join(&frontend, 1);
    redis.kill();
    assert_eq!(caller.ask(&mut [old]), "1");
    let refused = |endpoint: &str, body: &str| {
        let (status, text) = admin(&frontend, endpoint, body);
        assert_eq!(status, 400, "{text}");
        text
    };
    let more = r#"{"name":"more","input_type":"f","default_output":"","latency_slo_micros":1}"#;
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    let version = r#"{"model_name":"m","model_version":"1"}"#;
    for (endpoint, body, text) in [
        ("add_app", more, "Error adding application 'more' to Redis"),
        (
            "delete_app",
            r#"{"name":"app"}"#,
            "Error deleting application 'app' to Redis",
        ),
        ("add_model", MODEL, "Error adding model m:2 to Redis"),
        (
            "delete_model_links",
            link,
            "Error deleting linked models from app in Redis",
        ),
        (
            "set_model_version",
            version,
            "Version '1' does not exist for model with name'm'",
        ),
        (
            "delete_versioned_model",
            version,
            "Error deleting model with name 'm' and version '1' from Redis",
        ),
    ] {
        assert_eq!(refused(endpoint, body), text);
    }
    assert_eq!(
        ok(&frontend, "get_all_models", r#"{"verbose":false}"#),
        r#"["m:1"]"#
    );
    // A replica can join all the same.
    let new = &mut Replica::join(&frontend, 1);
    assert!(containers(&frontend).starts_with(r#"["m:1:0","m:1:"#));
    redis.restart();
    let mut other = Other::connect(&redis);
    until("Redis has it all again", || {
        old.serve();
        new.serve();
        (other.keys(2) == ["m:1"] && other.keys(3).len() == 2).then_some(())
    });
    assert_eq!(
        (other.keys(5), other.keys(7)),
        (vec!["app".into()], vec!["app".into()])
    );
    ok(&frontend, "add_app", more);
    assert_eq!(other.keys(5), ["app", "more"]);
    // Its counter starts anew, past those that are there.
    let _third = Replica::join(&frontend, 1);
    assert!(containers(&frontend).starts_with(r#"["m:1:0","m:1:1","m:1:"#));
    assert_eq!(caller.ask(&mut [old, new]), "1");
}

#[test]
fn redis_is_named_in_clippers_words_too() {
    let redis = Redis::start();
    let address = redis.address();
    let (host, port) = address.split_once(':').unwrap();
    let mut settings = settings();
    settings.redis.redis_ip = Some(host.to_owned());
    settings.redis.redis_port = Some(port.parse().unwrap());
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    assert_eq!(Other::connect(&redis).keys(5), ["app"]);
    settings.redis.redis_port = None;
    settings.redis.redis_ip = None;
    settings.redis.host_and_port = Some("nowhere".into());
    let error = Frontend::start(&settings).unwrap_err().to_string();
    assert!(error.contains("HOST:PORT"), "{error}");
}
