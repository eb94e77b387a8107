//! Peers in Python: the scripts in `crates/testkit/peers`, written like Clipper's containers and
//! clients.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// Returns the command of a script in `crates/testkit/peers`, with the packages of `make setup`.
///
/// Standard input and output are pipes.
fn python(name: &str) -> Command {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = package.join("../../.deps/python");
    assert!(
        packages.join("zmq").exists(),
        "pyzmq is not installed: run `make setup`"
    );
    let mut python = Command::new("python3");
    python
        .arg(package.join("peers").join(name))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    python
}

/// Validates documents against a JSON Schema with Python's jsonschema.
///
/// Returns the errors of each document.
pub fn schema_errors(schema: &str, documents: &[Value]) -> Vec<Vec<String>> {
    let schema = serde_json::from_str(schema).unwrap();
    let request = Value::Array([&[schema], documents].concat());
    let mut python = python("validate.py").spawn().unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), &request).unwrap();
    let output = python.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A Python process, which is killed on drop. Its standard input ends then, too.
pub struct Script(Child);

impl Script {
    /// Starts the script `name`. [`Script::output`] returns its standard output.
    pub fn start(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Script {
        let child = python(name).args(arguments).spawn();
        Script(child.expect("python3 is not installed: run `make setup`"))
    }

    /// Returns standard output; panics on the second call.
    pub fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("standard output is taken once")
    }

    /// Waits for the exit; panics on a failure, whose reason is on standard error.
    pub fn finish(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the Python peer failed: {status}");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
