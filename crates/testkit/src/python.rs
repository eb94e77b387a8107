//! Peers in Python: what stands in `crates/testkit/peers`, as the authors of Clipper's containers and clients wrote theirs.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// A program of `crates/testkit/peers` with what `make setup` has fetched for it; both ends of it are pipes.
fn python(name: &str) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = here.join("../../.deps/python");
    assert!(packages.join("zmq").exists(), "no pyzmq: run `make setup`");
    let mut python = Command::new("python3");
    python
        .arg(here.join("peers").join(name))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    python
}

/// What is wrong with each of the documents by a JSON Schema, as Python's jsonschema sees it.
pub fn schema_errors(schema: &str, documents: &[Value]) -> Vec<Vec<String>> {
    let schema = serde_json::from_str(schema).unwrap();
    let asked = Value::Array([&[schema], documents].concat());
    let mut python = python("validate.py").spawn().unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), &asked).unwrap();
    let output = python.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A Python program that runs until it ends, its standard input ends, or this is dropped.
pub struct Script(Child);

impl Script {
    /// Starts a program with what `make setup` has fetched for it. Its standard output is for [`Script::output`].
    pub fn start(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Script {
        let child = python(name).args(arguments).spawn();
        Script(child.expect("run `make setup`: there is no python3"))
    }

    /// What it prints.
    pub fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("it is taken once")
    }

    /// Waits until it has ended; fails the test if it has failed, having said why on standard error.
    pub fn finish(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "a peer in Python failed: {status}");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
