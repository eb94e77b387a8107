//! Access and limits of connections: tokens, TLS, CURVE, connection limits, and draining.
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
use testkit::{
    HttpClient, Peer, Script, TIMEOUT, deploy, get, registration, settings_with, wait_until,
};
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

fn start_error(flags: &[&str]) -> String {
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
fn each_http_port_requires_its_own_token_on_every_path() {
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
            let mut http = HttpClient::connect(port);
            let headers = authorization
                .as_deref()
                .map(|value| ("Authorization", value));
            http.send_request(&format!("{method} {path}"), headers.as_slice(), b"{}");
            let response = http.recv();
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
    // The liveness check needs no token.
    assert_eq!(
        HttpClient::connect(ports.admin_port)
            .get("/admin/ping")
            .status,
        200
    );
}

#[test]
fn weak_tokens_are_refused_and_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    for token in [
        "",
        "short",
        "fifteen-letters",
        "with a space in it, which no header has",
    ] {
        let error = start_error(&[&flag("admin_token_file", &file(&folder, "token", token))]);
        assert!(error.contains("token holds no token"), "{error}");
        assert!(token.is_empty() || !error.contains(token), "{error}");
    }
    let error = start_error(&["--query_token_file=/no/such/file"]);
    assert!(
        error.contains("cannot read the token in /no/such/file"),
        "{error}"
    );
}

#[test]
fn public_addresses_require_authentication_or_insecure() {
    let error = start_error(&["--bind=0.0.0.0"]);
    for flag in [
        "--admin_token_file",
        "--query_token_file",
        "--curve_key",
        "--insecure",
    ] {
        assert!(error.contains(flag), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = start_error(&[
        "--bind=0.0.0.0",
        &flag("admin_token_file", &file(&folder, "token", ADMIN)),
    ]);
    assert!(!error.contains("administrate"), "{error}");
    let frontend = start(&["--bind=0.0.0.0", "--insecure"]);
    assert!(get(&frontend, "/metrics/prometheus").contains("clipper_"));
}

#[test]
fn tls_ports_serve_https_only_with_the_given_certificate() {
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
    let trusting = agent(RootCerts::from(vec![trusted]));
    for (port, path) in [
        (ports.query_port, "metrics"),
        (ports.admin_port, "admin/ping"),
    ] {
        let url = format!("https://localhost:{port}/{path}");
        assert_eq!(trusting.get(&url).call().unwrap().status(), 200);
        agent(RootCerts::WebPki).get(&url).call().unwrap_err();
        // Plain HTTP and silence both end the connection.
        for request in [&b"GET /metrics HTTP/1.1\r\n\r\n"[..], b""] {
            let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
            plain.set_read_timeout(Some(TIMEOUT)).unwrap();
            plain.write_all(request).unwrap();
            let mut received = Vec::new();
            // The server closes the connection, with or without a TLS alert, or resets it.
            let _ = plain.read_to_end(&mut received);
            assert!(!String::from_utf8_lossy(&received).contains("HTTP"));
        }
    }
    let error = start_error(&[
        &flag("tls_cert", &folder.path().join("cert.pem")),
        &flag("tls_key", &folder.path().join("cert.pem")),
    ]);
    assert!(error.contains("cannot read a private key from"), "{error}");
}

/// Folders of keys, and a frontend that reads them.
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

    /// Returns new keys whose public key is in the folder `kind`: "containers" or "clients".
    fn admit(&self, kind: &str) -> KeyPair {
        let keys = KeyPair::new().unwrap();
        let name = keys.public().to_string().replace('/', "_");
        let [_, secret] = keys
            .write(&self.folder.path().join(kind).join(name))
            .unwrap();
        // The folder holds public keys only.
        fs::remove_file(secret).unwrap();
        keys
    }

    fn peer(&self, keys: &KeyPair, port: u16) -> Peer {
        Peer::connect_as(keys, self.server.public(), port)
    }
}

#[test]
fn curve_admits_only_known_containers_and_clients() {
    let curve = Curve::start();
    let ports = curve.frontend.ports();
    deploy(&curve.frontend, 1, HOUR);
    let unknown = KeyPair::new().unwrap();
    let (container, client) = (curve.admit("containers"), curve.admit("clients"));
    // Every port, with every kind of wrong key.
    let containers = [
        ports.rpc_service_port,
        ports.rpc_2017_port,
        ports.rpc_send_port,
    ];
    let mut rejected: Vec<Peer> = Vec::new();
    for port in containers {
        rejected.push(Peer::connect(port));
        rejected.push(curve.peer(&unknown, port));
        rejected.push(curve.peer(&client, port));
        rejected.push(Peer::connect_as(&container, unknown.public(), port));
    }
    for peer in &mut rejected {
        peer.try_send(FromContainer::encode_heartbeat);
    }
    for keys in [None, Some(&unknown), Some(&container)] {
        let mut peer = match keys {
            None => Peer::connect(ports.send_port),
            Some(keys) => curve.peer(keys, ports.send_port),
        };
        peer.try_send(wire::query::encode_connect);
        rejected.push(peer);
    }
    // Known peers are served at the same time.
    let mut replica = curve.peer(&container, ports.rpc_service_port);
    replica.register(&registration("1", DataType::Floats, 1));
    let mut answers = curve.peer(&client, ports.send_port);
    let mut requests = curve.peer(&client, ports.recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 5, &[1.0]);
    replica.serve(&Output::Floats(vec![2.5]));
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (5, AnswerStatus::Ok));
    for peer in &mut rejected {
        assert_eq!(peer.recv_within(Duration::from_millis(20)), None);
    }
    // The metrics count the rejections.
    wait_until("the metrics count the rejected connections", || {
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
    // A removed key is rejected at the next connection; existing connections are not affected.
    drop((answers, requests));
    for entry in fs::read_dir(curve.folder.path().join("clients")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut removed = curve.peer(&client, ports.send_port);
    removed.try_send(wire::query::encode_connect);
    assert_eq!(removed.recv_within(Duration::from_millis(200)), None);
}

#[test]
fn keys_are_compatible_with_pyzmq() {
    let curve = Curve::start();
    let clients = curve.folder.path().join("clients");
    let clients = clients.to_str().unwrap();
    Script::start("curve_client.py", ["create", clients, "python"]).finish();
    let server = curve.folder.path().join("frontend.key");
    let port = curve.frontend.ports().send_port.to_string();
    let arguments = [
        "connect",
        clients,
        "python",
        server.to_str().unwrap(),
        &port,
    ];
    let mut client = Script::start("curve_client.py", arguments);
    let mut received = String::new();
    client.output().read_to_string(&mut received).unwrap();
    client.finish();
    assert_eq!(received.trim(), "2");
}

#[test]
fn http_connections_of_an_address_are_limited() {
    // A long timeout, so that only the limit closes connections.
    let frontend = start(&["--max_connections=2", "--timeout_request=3600"]);
    let port = frontend.ports().admin_port;
    let mut held = [HttpClient::connect(port), HttpClient::connect(port)];
    for http in &mut held {
        assert_eq!(http.get("/admin/ping").status, 200);
    }
    HttpClient::connect(port).wait_closed();
    // Both HTTP ports share the limit.
    HttpClient::connect(frontend.ports().query_port).wait_closed();
    drop(held);
    wait_until("a closed connection makes room", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .write_all(b"GET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut received = String::new();
        stream.read_to_string(&mut received).ok()?;
        received.contains("200 OK").then_some(())
    });
}

#[test]
fn zeromq_connections_of_an_address_are_limited() {
    let frontend = start(&["--max_connections=2"]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    // A ZeroMQ port sends its greeting at once: it proves that the connection was accepted.
    let connect = || {
        let mut stream = TcpStream::connect(("127.0.0.1", ports.rpc_service_port)).unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        stream
    };
    let mut held = [connect(), connect()];
    // All ZeroMQ ports share the limit.
    for port in [ports.rpc_service_port, ports.rpc_2017_port, ports.send_port] {
        let mut refused = TcpStream::connect(("127.0.0.1", port)).unwrap();
        refused.read_to_end(&mut Vec::new()).unwrap();
    }
    // The older connections are still open, so silence did not close the others.
    for stream in &mut held {
        stream.set_nonblocking(true).unwrap();
        let received = stream.read(&mut [0; 100]).map_err(|error| error.kind());
        assert_eq!(received, Err(ErrorKind::WouldBlock));
    }
    drop(held);
    // libzmq reconnects by itself.
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    requests.send_query(answers.connect_native(), 1, &[0.0]);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.reason),
        (1, "no replica connected")
    );
    // HTTP has a separate limit.
    let mut http = HttpClient::connect(ports.admin_port);
    assert_eq!(http.get("/admin/ping").status, 200);
}

#[test]
fn an_oversized_message_closes_only_its_connection() {
    let frontend = start(&["--max_message_mib=1"]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    let (mut replica, _) = testkit::replica(&frontend);
    let mut answers = Peer::connect(ports.send_port);
    let mut large = Peer::connect(ports.recv_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    large.send_query(connected, 1, &vec![0.0; 1 << 19]);
    // The queries are sequential, so the large one would have arrived before the last of them.
    for id in 2..10 {
        requests.send_query(connected, id, &[0.0]);
        assert_eq!(replica.serve(&Output::Floats(vec![1.0])), [[0; 4]]);
        assert_eq!(Answer::decode(&answers.recv()).unwrap().request_id, id);
    }
}

#[test]
fn a_draining_frontend_finishes_queries_and_refuses_new_ones() {
    let frontend = start(&[]);
    deploy(&frontend, 1, HOUR);
    let ports = frontend.ports();
    let (mut replica, _) = testkit::replica(&frontend);
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 1, &[0.0]);
    let mut http = HttpClient::connect(ports.query_port);
    http.send_request("POST /app/predict", &[], br#"{"input": [1.0]}"#);
    let request = replica.recv_request();
    let next = replica.recv_request();
    frontend.stopper().unwrap().write_all(&[0]).unwrap();
    // The frontend refuses queries once it has read the stop byte.
    let refused = (2..).find_map(|id| {
        requests.send_query(connected, id, &[0.0]);
        let frames = answers.recv_within(Duration::from_millis(10))?;
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(answer.status, AnswerStatus::Refused);
        Some(answer.reason.to_owned())
    });
    assert_eq!(refused.unwrap(), "the frontend is stopping");
    let mut late = HttpClient::connect(ports.query_port);
    let response = late.post("/app/predict", r#"{"input": [1.0]}"#);
    assert_eq!(response.status, 503, "{}", response.text());
    testkit::reply_doubled(&mut replica, &request);
    testkit::reply_doubled(&mut replica, &next);
    let (status, text) = {
        let response = http.recv();
        (response.status, response.text().to_owned())
    };
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""default":false"#), "{text}");
    // Queries that arrived before the stop byte was read are answered, too.
    while let Some(frames) = replica.recv_within(Duration::from_millis(200)) {
        match FromFrontend::decode(&frames) {
            Ok(FromFrontend::Request(_)) => drop(testkit::reply_doubled(&mut replica, &frames)),
            Ok(FromFrontend::Goodbye) => break,
            _ => {}
        }
    }
    frontend.wait().unwrap();
}

#[test]
fn queries_unanswered_after_draining_get_the_default_output() {
    for (flag, bytes) in [("--drain_seconds=1", 1), ("--drain_seconds=3600", 2)] {
        let frontend = start(&[flag]);
        deploy(&frontend, 1, HOUR);
        let ports = frontend.ports();
        let (mut replica, _) = testkit::replica(&frontend);
        let mut answers = Peer::connect(ports.send_port);
        let mut requests = Peer::connect(ports.recv_port);
        let connected = answers.connect_native();
        requests.send_query(connected, 1, &[0.0]);
        let mut http = HttpClient::connect(ports.query_port);
        http.send_request("POST /app/predict", &[], br#"{"input": [1.0]}"#);
        (0..2).for_each(|_| drop(replica.recv_request()));
        let mut stopper = frontend.stopper().unwrap();
        (0..bytes).for_each(|_| stopper.write_all(&[0]).unwrap());
        let frames = answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(
            (answer.request_id, answer.status),
            (1, AnswerStatus::Default)
        );
        assert_eq!(
            (answer.reason, answer.output),
            ("the frontend stopped", &b"none"[..])
        );
        let response = http.recv();
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(
            response.header("clipper-default-reason"),
            Some("the frontend stopped")
        );
        frontend.wait().unwrap();
    }
}
