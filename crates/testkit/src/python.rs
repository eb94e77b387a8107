//! Peers in Python: what stands in `crates/testkit/peers`, as the authors of Clipper's containers and clients wrote theirs.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A Python program that runs until it ends, its standard input ends, or this is dropped.
pub struct Script(Child);

impl Script {
    /// Starts a program with what `make setup` has fetched for it. Its standard output is for [`Script::output`].
    pub fn start(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Script {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = here.join("../../.deps/python");
        assert!(packages.join("zmq").exists(), "no pyzmq: run `make setup`");
        let child = Command::new("python3")
            .arg(here.join("peers").join(name))
            .args(arguments)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
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
