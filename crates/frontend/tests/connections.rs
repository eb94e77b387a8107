//! Who may come in, and who may not: tokens, TLS, CURVE, and what is shed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use frontend::Frontend;
use model::{DataType, Output};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use testkit::{Http, PATIENCE, Peer, Script, deploy, get, registration, settings_with, until};
use transport::curve::KeyPair;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use wire::{
    query::{Answer, AnswerStatus},
    rpc::{FromContainer, FromFrontend},
};

const HOUR: Duration = Duration::from_secs(3600);
const ADMIN: &str = "an-admins-own-secret";
const QUERY: &str = "everybody-elses-secret";

fn start(flags: &[&str]) -> Frontend {
    Frontend::start(&settings_with(flags)).unwrap()
}

fn refused(flags: &[&str]) -> String {
    format!("{:#}", Frontend::start(&settings_with(flags)).unwrap_err())
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn each_http_port_wants_its_own_token_whatever_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let frontend = start(&[
        &flag(
            "admin_token_file",
            &file(&folder, "admin", &format!("{ADMIN}\n")),
        ),
        &flag("query_token_file", &file(&folder, "query", QUERY)),
    ]);
    let ports = frontend.ports();
    for (port, right, wrong, method, path) in [
        (
            ports.admin_port,
            ADMIN,
            QUERY,
            "POST",
            "/admin/get_all_applications",
        ),
        (ports.admin_port, ADMIN, QUERY, "POST", "/admin/add_app"),
        (ports.admin_port, ADMIN, QUERY, "GET", "/admin/replicas"),
        (ports.admin_port, ADMIN, QUERY, "GET", "/no/such/path"),
        (ports.query_port, QUERY, ADMIN, "GET", "/metrics"),
        (ports.query_port, QUERY, ADMIN, "GET", "/v2"),
        (ports.query_port, QUERY, ADMIN, "POST", "/app/predict"),
        (ports.query_port, QUERY, ADMIN, "GET", "/no/such/path"),
    ] {
        let status = |authorization: Option<String>| {
            let mut http = Http::connect(port);
            let headers = authorization
                .as_deref()
                .map(|value| ("Authorization", value));
            http.ask(&format!("{method} {path}"), headers.as_slice(), b"{}");
            let response = http.hear();
            if response.status == 401 {
                assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            }
            response.status
        };
        assert_eq!(status(None), 401, "{path}");
        assert_eq!(status(Some(format!("Bearer {wrong}"))), 401, "{path}");
        assert_eq!(status(Some(format!("Basic {right}"))), 401, "{path}");
        assert_ne!(status(Some(format!("Bearer {right}"))), 401, "{path}");
    }
    // Whether it lives is nobody's secret.
    assert_eq!(
        Http::connect(ports.admin_port).get("/admin/ping").status,
        200
    );
}

#[test]
fn a_token_that_could_be_guessed_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for token in [
        "",
        "short",
        "fifteen-letters",
        "with a space in it, which no header has",
    ] {
        let error = refused(&[&flag("admin_token_file", &file(&folder, "token", token))]);
        assert!(error.contains("token holds no token"), "{error}");
        assert!(token.is_empty() || !error.contains(token), "{error}");
    }
    let error = refused(&["--query_token_file=/no/such/file"]);
    assert!(
        error.contains("cannot read the token in /no/such/file"),
        "{error}"
    );
}

#[test]
fn beyond_this_machine_it_listens_only_where_nobody_comes_in_unknown() {
    let error = refused(&["--bind=0.0.0.0"]);
    for what in [
        "--admin_token_file",
        "--query_token_file",
        "--curve_key",
        "--insecure",
    ] {
        assert!(error.contains(what), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&[
        "--bind=0.0.0.0",
        &flag("admin_token_file", &file(&folder, "token", ADMIN)),
    ]);
    assert!(!error.contains("administrate"), "{error}");
    let frontend = start(&["--bind=0.0.0.0", "--insecure"]);
    assert!(get(&frontend, "/metrics/prometheus").contains("clipper_"));
}

#[test]
fn https_is_served_with_the_given_certificate_and_nothing_else_on_those_ports() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".into()]).unwrap();
    let frontend = start(&[
        "--timeout_request=1",
        &flag("tls_cert", &file(&folder, "cert.pem", &cert.pem())),
        &flag(
            "tls_key",
            &file(&folder, "key.pem", &signing_key.serialize_pem()),
        ),
    ]);
    let ports = frontend.ports();
    let trusted = Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    let agent = |roots: RootCerts| {
        let tls = TlsConfig::builder().root_certs(roots).build();
        ureq::Agent::from(ureq::Agent::config_builder().tls_config(tls).build())
    };
    let knows = agent(RootCerts::from(vec![trusted]));
    for (port, path) in [
        (ports.query_port, "metrics"),
        (ports.admin_port, "admin/ping"),
    ] {
        let url = format!("https://localhost:{port}/{path}");
        assert_eq!(knows.get(&url).call().unwrap().status(), 200);
        agent(RootCerts::WebPki).get(&url).call().unwrap_err();
        // Neither HTTP nor silence holds a connection.
        for said in [&b"GET /metrics HTTP/1.1\r\n\r\n"[..], b""] {
            let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
            plain.set_read_timeout(Some(PATIENCE)).unwrap();
            plain.write_all(said).unwrap();
            let mut heard = Vec::new();
            // Closed, perhaps with an alert of TLS, or reset.
            let _ = plain.read_to_end(&mut heard);
            assert!(!String::from_utf8_lossy(&heard).contains("HTTP"));
        }
    }
    let error = refused(&[
        &flag("tls_cert", &folder.path().join("cert.pem")),
        &flag("tls_key", &folder.path().join("cert.pem")),
    ]);
    assert!(error.contains("cannot read a private key from"), "{error}");
}

/// Keys in folders, and a frontend that knows them.
struct Curve {
    folder: TempDir,
    server: KeyPair,
    frontend: Frontend,
}

impl Curve {
    fn start() -> Curve {
        let folder = tempfile::tempdir().unwrap();
        let server = KeyPair::new().unwrap();
        let [_, secret] = server.write(&folder.path().join("frontend")).unwrap();
        for kind in ["containers", "clients"] {
            fs::create_dir(folder.path().join(kind)).unwrap();
        }
        let frontend = start(&[
            &flag("curve_key", &secret),
            &flag("curve_containers", &folder.path().join("containers")),
            &flag("curve_clients", &folder.path().join("clients")),
        ]);
        Curve {
            folder,
            server,
            frontend,
        }
    }

    /// New keys that are known as those of a container or client.
    fn admit(&self, kind: &str) -> KeyPair {
        let keys = KeyPair::new().unwrap();
        let name = keys.public().to_string().replace('/', "_");
        let [_, secret] = keys
            .write(&self.folder.path().join(kind).join(name))
            .unwrap();
        // It has no business there.
        fs::remove_file(secret).unwrap();
        keys
    }

    fn peer(&self, keys: &KeyPair, port: u16) -> Peer {
        Peer::connect_as(keys, self.server.public(), port)
    }
}

#[test]
fn with_curve_known_containers_register_and_known_clients_query_and_nobody_else() {
    let curve = Curve::start();
    let ports = curve.frontend.ports();
    deploy(&curve.frontend, 1, HOUR);
    let stranger = KeyPair::new().unwrap();
    let (container, client) = (curve.admit("containers"), curve.admit("clients"));
    // Every port, and every wrong way to come there.
    let containers = [
        ports.rpc_service_port,
        ports.rpc_2017_port,
        ports.rpc_send_port,
    ];
    let mut turned_away: Vec<Peer> = Vec::new();
    for port in containers {
        turned_away.push(Peer::connect(port));
        turned_away.push(curve.peer(&stranger, port));
        turned_away.push(curve.peer(&client, port));
        turned_away.push(Peer::connect_as(&container, stranger.public(), port));
    }
    for peer in &mut turned_away {
        peer.try_say(FromContainer::encode_heartbeat);
    }
    for keys in [None, Some(&stranger), Some(&container)] {
        let mut peer = match keys {
            None => Peer::connect(ports.send_port),
            Some(keys) => curve.peer(keys, ports.send_port),
        };
        peer.try_say(wire::query::encode_connect);
        turned_away.push(peer);
    }
    // Meanwhile those who are known are served.
    let mut replica = curve.peer(&container, ports.rpc_service_port);
    replica.register(&registration("1", DataType::Floats, 1));
    let mut answers = curve.peer(&client, ports.send_port);
    let mut requests = curve.peer(&client, ports.recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 5, &[1.0]);
    replica.serve(&Output::Floats(vec![2.5]));
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (5, AnswerStatus::Ok));
    for peer in &mut turned_away {
        assert_eq!(peer.hear_within(Duration::from_millis(20)), None);
    }
    // Said in the metrics, and in the log once.
    until("the metrics tell of those who were turned away", || {
        let metrics = get(&curve.frontend, "/metrics/prometheus");
        let dropped = metrics
            .lines()
            .find(|line| line.starts_with("clipper_dropped_messages_total "));
        dropped?
            .rsplit(' ')
            .next()?
            .parse::<u64>()
            .ok()
            .filter(|dropped| *dropped >= 5)
    });
    // Who was let in is in for as long as the connection lasts; who is taken from the list does not come back.
    drop((answers, requests));
    for entry in fs::read_dir(curve.folder.path().join("clients")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut gone = curve.peer(&client, ports.send_port);
    gone.try_say(wire::query::encode_connect);
    assert_eq!(gone.hear_within(Duration::from_millis(200)), None);
}

#[test]
fn keys_of_pyzmq_are_understood_and_it_understands_ours() {
    let curve = Curve::start();
    let clients = curve.folder.path().join("clients");
    let clients = clients.to_str().unwrap();
    Script::start("curve_client.py", ["create", clients, "python"]).finish();
    let server = curve.folder.path().join("frontend.key");
    let port = curve.frontend.ports().send_port.to_string();
    let arguments = ["ask", clients, "python", server.to_str().unwrap(), &port];
    let mut client = Script::start("curve_client.py", arguments);
    let mut heard = String::new();
    client.output().read_to_string(&mut heard).unwrap();
    client.finish();
    assert_eq!(heard.trim(), "2");
}

#[test]
fn an_address_has_so_many_connections_and_gets_their_places_back() {
    // Silence alone must not close them.
    let frontend = start(&["--max_connections=2", "--timeout_request=3600"]);
    let port = frontend.ports().admin_port;
    let mut held = [Http::connect(port), Http::connect(port)];
    for http in &mut held {
        assert_eq!(http.get("/admin/ping").status, 200);
    }
    Http::connect(port).wait_closed();
    // The other port has no places of its own.
    Http::connect(frontend.ports().query_port).wait_closed();
    drop(held);
    until("a place is free", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .write_all(b"GET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).ok()?;
        heard.contains("200 OK").then_some(())
    });
}

#[test]
fn an_address_has_so_many_zeromq_connections_and_gets_their_places_back() {
    let frontend = start(&["--max_connections=2"]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    // A ZeroMQ port greets at once: so it has been accepted.
    let connect = || {
        let mut stream = TcpStream::connect(("127.0.0.1", ports.rpc_service_port)).unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        stream
    };
    let mut held = [connect(), connect()];
    // The ports share them.
    for port in [ports.rpc_service_port, ports.rpc_2017_port, ports.send_port] {
        let mut refused = TcpStream::connect(("127.0.0.1", port)).unwrap();
        refused.read_to_end(&mut Vec::new()).unwrap();
    }
    // It was not silence that closed those: these have been silent for longer.
    for stream in &mut held {
        stream.set_nonblocking(true).unwrap();
        let heard = stream.read(&mut [0; 100]).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::WouldBlock));
    }
    drop(held);
    // ZeroMQ tries again by itself.
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    requests.ask(answers.connect_native(), 1, &[0.0]);
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.reason),
        (1, "no replica connected")
    );
    // HTTP has places of its own.
    let mut http = Http::connect(ports.admin_port);
    assert_eq!(http.get("/admin/ping").status, 200);
}

#[test]
fn a_message_beyond_the_limit_ends_its_connection_and_no_other() {
    let frontend = start(&["--max_message_mib=1"]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    let (mut replica, _) = testkit::replica(&frontend);
    let mut answers = Peer::connect(ports.send_port);
    let mut large = Peer::connect(ports.recv_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    large.ask(connected, 1, &vec![0.0; 1 << 19]);
    // One after the other, so that it would have come by then.
    for id in 2..10 {
        requests.ask(connected, id, &[0.0]);
        assert_eq!(replica.serve(&Output::Floats(vec![1.0])), [[0; 4]]);
        assert_eq!(Answer::decode(&answers.hear()).unwrap().request_id, id);
    }
}

#[test]
fn a_frontend_that_is_told_to_stop_finishes_what_is_under_way_and_takes_no_more() {
    let frontend = start(&[]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    let (mut replica, _) = testkit::replica(&frontend);
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 1, &[0.0]);
    let mut http = Http::connect(ports.query_port);
    http.ask("POST /app/predict", &[], br#"{"input": [1.0]}"#);
    let request = replica.hear_request();
    let next = replica.hear_request();
    frontend.stopper().unwrap().write_all(&[0]).unwrap();
    // It takes no more from when it has heard of it.
    let refused = (2..).find_map(|id| {
        requests.ask(connected, id, &[0.0]);
        let heard = answers.hear_within(Duration::from_millis(10))?;
        let answer = Answer::decode(&heard).unwrap();
        assert_eq!(answer.status, AnswerStatus::Refused);
        Some(answer.reason.to_owned())
    });
    assert_eq!(refused.unwrap(), "the frontend is stopping");
    let mut late = Http::connect(ports.query_port);
    let response = late.post("/app/predict", r#"{"input": [1.0]}"#);
    assert_eq!(response.status, 503, "{}", response.text());
    testkit::double(&mut replica, &request);
    testkit::double(&mut replica, &next);
    let (status, text) = {
        let response = http.hear();
        (response.status, response.text().to_owned())
    };
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""default":false"#), "{text}");
    // Those that came before it was told, but after it was asked, are answered as well.
    while let Some(frames) = replica.hear_within(Duration::from_millis(200)) {
        match FromFrontend::decode(&frames) {
            Ok(FromFrontend::Request(_)) => drop(testkit::double(&mut replica, &frames)),
            Ok(FromFrontend::Goodbye) => break,
            _ => {}
        }
    }
    frontend.wait().unwrap();
}

#[test]
fn what_is_not_finished_when_its_time_is_over_gets_the_default_output_with_the_reason() {
    for (flag, bytes) in [("--drain_seconds=1", 1), ("--drain_seconds=3600", 2)] {
        let frontend = start(&[flag]);
        deploy(&frontend, 1, HOUR);
        let ports = frontend.ports();
        let (mut replica, _) = testkit::replica(&frontend);
        let mut answers = Peer::connect(ports.send_port);
        let mut requests = Peer::connect(ports.recv_port);
        let connected = answers.connect_native();
        requests.ask(connected, 1, &[0.0]);
        let mut http = Http::connect(ports.query_port);
        http.ask("POST /app/predict", &[], br#"{"input": [1.0]}"#);
        (0..2).for_each(|_| drop(replica.hear_request()));
        let mut stopper = frontend.stopper().unwrap();
        (0..bytes).for_each(|_| stopper.write_all(&[0]).unwrap());
        let frames = answers.hear();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(
            (answer.request_id, answer.status),
            (1, AnswerStatus::Default)
        );
        assert_eq!(
            (answer.reason, answer.output),
            ("the frontend stopped", &b"none"[..])
        );
        let response = http.hear();
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(
            response.header("clipper-default-reason"),
            Some("the frontend stopped")
        );
        frontend.wait().unwrap();
    }
}
