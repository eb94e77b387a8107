//! The state in a real Redis: Clipper's schema, and several frontends that share it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, time::Duration};

use frontend::{Frontend, Settings};
use model::{DataType, Output};
use redis::{Client, Connection, FromRedisValue};
use testkit::{Peer, RedisServer, admin, deploy, settings, wait_until};
use wire::{
    query::{Answer, Connected},
    rpc::{FromContainer, FromFrontend, Metadata, NewContainer, Reply, Times},
};

const HOUR: Duration = Duration::from_secs(3600);
const MODEL: &str = r#"{"model_name":"m","model_version":"2","labels":["a","b"],"input_type":"f","container_name":"c","model_data_path":"/d","batch_size":7}"#;

fn settings_with(redis: &RedisServer) -> Settings {
    let mut settings = settings();
    settings.redis.host_and_port = Some(redis.address());
    settings
}

fn start(redis: &RedisServer) -> Frontend {
    Frontend::start(&settings_with(redis)).unwrap()
}

/// Another program that uses the same Redis, such as Clipper's management frontend.
struct RedisClient(Connection);

impl RedisClient {
    fn connect(redis: &RedisServer) -> RedisClient {
        let client = Client::open(format!("redis://{}", redis.address())).unwrap();
        RedisClient(client.get_connection().unwrap())
    }

    fn run<T: FromRedisValue>(&mut self, db: u8, command: &[&str]) -> T {
        redis::cmd("SELECT").arg(db).exec(&mut self.0).unwrap();
        let mut redis_command = redis::cmd(command[0]);
        redis_command.arg(&command[1..]).query(&mut self.0).unwrap()
    }

    fn hash(&mut self, db: u8, key: &str) -> BTreeMap<String, String> {
        self.run(db, &["HGETALL", key])
    }

    fn keys(&mut self, db: u8) -> Vec<String> {
        let mut keys: Vec<String> = self.run(db, &["KEYS", "*"]);
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

    /// Sends a heartbeat, and answers a waiting request.
    fn serve(&mut self) {
        self.peer.send_with(FromContainer::encode_heartbeat);
        let Some(message) = self.peer.recv_within(Duration::ZERO) else {
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
        self.peer.send_with(|frames| reply.encode(frames));
    }
}

/// A client that queries application `app`.
struct QueryClient {
    answers: Peer,
    requests: Peer,
    connected: Connected,
}

impl QueryClient {
    fn connect(frontend: &Frontend) -> QueryClient {
        let mut answers = Peer::connect(frontend.ports().send_port);
        let connected = answers.connect_native();
        QueryClient {
            requests: Peer::connect(frontend.ports().recv_port),
            answers,
            connected,
        }
    }

    /// Sends a query and serves `replicas` until its answer; returns the output.
    fn query(&mut self, replicas: &mut [&mut Replica]) -> String {
        self.requests.send_query(self.connected, 1, &[1.0]);
        wait_until("an answer", || {
            replicas.iter_mut().for_each(|replica| replica.serve());
            let frames = self.answers.recv_within(Duration::from_millis(1))?;
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
fn rows_follow_clippers_schema() {
    let redis = RedisServer::start();
    let mut other = RedisClient::connect(&redis);
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
    assert_eq!(other.run::<String>(6, &current), "2");
    assert_eq!(other.run::<Vec<String>>(7, &["SMEMBERS", "app"]), ["m"]);
    let state = other.run::<String>(1, &["GET", "app:0:0"]);
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
    assert_eq!(other.run::<String>(6, &current), "1");
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    ok(&frontend, "delete_model_links", link);
    assert!(other.keys(7).is_empty());
    ok(&frontend, "delete_versioned_model", version);
    assert_eq!(other.keys(2), ["m:2"]);
    ok(&frontend, "delete_app", r#"{"name":"app"}"#);
    assert!(other.keys(5).is_empty() && other.keys(1).is_empty());
}

#[test]
fn changes_by_other_programs_take_effect() {
    let redis = RedisServer::start();
    let mut other = RedisClient::connect(&redis);
    let frontend = start(&redis);
    deploy(&frontend, 1, HOUR);
    ok(&frontend, "add_model", MODEL);
    let mut client = QueryClient::connect(&frontend);
    let (one, two) = (
        &mut Replica::join(&frontend, 1),
        &mut Replica::join(&frontend, 2),
    );
    assert_eq!(client.query(&mut [one, two]), "2");
    // A rollback of the model version.
    other.run::<()>(6, &["SET", "CURRENT_MODEL_VERSION:m", "1"]);
    wait_until("version 1 serves", || {
        (client.query(&mut [one, two]) == "1").then_some(())
    });
    // Clipper deletes a model version by this field; the frontend that serves it removes the row.
    other.run::<()>(2, &["HDEL", "m:1", "valid"]);
    wait_until("the row is removed", || {
        (other.keys(2) == ["m:2"] && other.keys(3) == ["m,2,0"]).then_some(())
    });
    // Clipper may write rows that are not UTF-8. They do not affect other rows.
    let raw = r"return redis.call('HSET', 'raw\255', 'default_output', '\255')";
    other.run::<()>(5, &["EVAL", raw, "0"]);
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
    other.run::<()>(5, &app);
    wait_until("the application serves", || {
        client
            .requests
            .send_query_to("more", client.connected, 2, &[1.0]);
        let frames = client.answers.recv();
        (Answer::decode(&frames).unwrap().output == b"more").then_some(())
    });
    let state = other.run::<String>(1, &["GET", "more:0:0"]);
    assert_eq!(state, r#"{"y_hat":"more"}"#);
}

#[test]
fn two_frontends_serve_an_application_with_separate_replicas() {
    let redis = RedisServer::start();
    let mut other = RedisClient::connect(&redis);
    let foreign = ["HSET", "m,1,9", "model_id", "m:1", "model_name", "m"];
    other.run::<()>(3, &foreign);
    let (first, second) = (start(&redis), start(&redis));
    deploy(&first, 1, HOUR);
    let (first_replica, second_replica) = (
        &mut Replica::join(&first, 1),
        &mut Replica::join(&second, 1),
    );
    // One counter numbers the replicas, and both frontends list all of them.
    let both = r#"["m:1:0","m:1:1"]"#;
    assert_eq!((&*containers(&first), &*containers(&second)), (both, both));
    // Each frontend serves from its own replica. The second reads the application from Redis.
    let mut clients = [&first, &second].map(QueryClient::connect);
    assert_eq!(clients[0].query(&mut [first_replica]), "1");
    wait_until("the second frontend serves the application", || {
        (clients[1].query(&mut [second_replica]) == "1").then_some(())
    });
    // A replica's row is removed when the replica leaves.
    first_replica.peer.send_with(FromContainer::encode_goodbye);
    wait_until("the row is removed", || {
        (containers(&second) == r#"["m:1:1"]"#).then_some(())
    });
    let _new = Replica::join(&first, 1);
    assert_eq!(containers(&second), r#"["m:1:1","m:1:2"]"#);
    // A frontend removes its own rows when it stops, and no others.
    drop(first);
    assert_eq!(other.keys(3), ["m,1,1", "m,1,9"]);
    assert_eq!(clients[1].query(&mut [second_replica]), "1");
}

#[test]
fn a_restarted_frontend_removes_its_stale_rows() {
    let redis = RedisServer::start();
    let mut other = RedisClient::connect(&redis);
    let mut settings = settings_with(&redis);
    let frontend = Frontend::start(&settings).unwrap();
    settings.ports.rpc_service = frontend.ports().rpc_service_port;
    let replica = Replica::join(&frontend, 1);
    let name = other.hash(3, "m,1,0")["frontend"].clone();
    drop((replica, frontend));
    other.run::<()>(3, &["HSET", "m,1,0", "frontend", &name]);
    other.run::<()>(3, &["HSET", "m,1,1", "frontend", "another"]);
    let _frontend = Frontend::start(&settings).unwrap();
    assert_eq!(other.keys(3), ["m,1,1"]);
}

#[test]
fn a_frontend_serves_without_redis_and_restores_lost_rows() {
    let mut redis = RedisServer::start();
    let frontend = start(&redis);
    deploy(&frontend, 1, HOUR);
    let mut client = QueryClient::connect(&frontend);
    let old = &mut Replica::join(&frontend, 1);
    redis.kill();
    assert_eq!(client.query(&mut [old]), "1");
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
    // A replica can join without Redis.
    let new = &mut Replica::join(&frontend, 1);
    assert!(containers(&frontend).starts_with(r#"["m:1:0","m:1:"#));
    redis.restart();
    let mut other = RedisClient::connect(&redis);
    wait_until("Redis has all rows again", || {
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
    // Redis' counter restarts after the ids in use.
    let _third = Replica::join(&frontend, 1);
    assert!(containers(&frontend).starts_with(r#"["m:1:0","m:1:1","m:1:"#));
    assert_eq!(client.query(&mut [old, new]), "1");
}

#[test]
fn clippers_redis_flags_are_accepted() {
    let redis = RedisServer::start();
    let address = redis.address();
    let (host, port) = address.split_once(':').unwrap();
    let mut settings = settings();
    settings.redis.redis_ip = Some(host.to_owned());
    settings.redis.redis_port = Some(port.parse().unwrap());
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    assert_eq!(RedisClient::connect(&redis).keys(5), ["app"]);
    settings.redis.redis_port = None;
    settings.redis.redis_ip = None;
    settings.redis.host_and_port = Some("nowhere".into());
    let error = Frontend::start(&settings).unwrap_err().to_string();
    assert!(error.contains("HOST:PORT"), "{error}");
}
