//! A network that cannot be served in batches causes a warning of the model server and a limit at
//! the frontend.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use file::File;
use frontend::Frontend;

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../crates/featurizer/tests/networks/file.rs"]
mod file;

/// A model server. Dropping it kills it.
struct Replica(Child);

impl Drop for Replica {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn log_and_frontend_report_that_a_network_takes_no_batches() {
    let network = File::new([0, 3, 8, 8])
        .node("GlobalAveragePool", "images", "pooled", &[])
        .node("Flatten", "pooled", "means", &[])
        .node("Transpose", "means", "features", &[("perm", &[1, 0])])
        .save("features", &[3, 0]);
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    let port = frontend.ports().rpc_service_port.to_string();
    let replica = Command::new(env!("CARGO_BIN_EXE_vgg"))
        .args(["--port", &port, "--threads", "1", "--model_path"])
        .arg(network.path())
        .stderr(Stdio::piped())
        .spawn();
    let mut replica = Replica(replica.unwrap());
    let log = BufReader::new(replica.0.stderr.take().unwrap());
    let mut lines = log.lines().map(Result::unwrap);
    let warning = lines.find(|line| line.contains("one picture per call"));
    let warning = warning.expect("a warning");
    assert!(warning.contains("WARN"), "{warning}");
    assert!(warning.contains("(float32 [3, ?]) declares 3"), "{warning}");
    testkit::wait_until("a replica with a limit", || {
        let replicas = testkit::replicas(&frontend);
        replicas.contains(r#""max_batch":1,"#).then_some(())
    });
}
