//! Tests of the driver with real containers. `make test-docker` builds the images and runs them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A driver that deploys with Docker, and the folder of its results.
struct Driver {
    child: Child,
    folder: TempDir,
}

fn start(line: &str) -> Driver {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(line.split(' '))
        .args(["--no_baseline", "--plain", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // prevents a build
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Driver { child, folder }
}

impl Driver {
    /// Returns the name of its container for one of its servers.
    fn container(&self, name: &str) -> String {
        format!("image-driver-{}-{name}", self.child.id())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn wait_until_loaded(&self) {
        self.wait_for_batches(2);
    }

    /// Waits until every replica has answered this number of batches.
    fn wait_for_batches(&self, batches: u64) {
        let url = format!("http://{}:1338/admin/replicas", self.address());
        until("every replica answers", || {
            let text = ureq::get(&url).call();
            let text = text.and_then(|mut answer| answer.body_mut().read_to_string());
            let replicas: Vec<Value> = text
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            let answers = |replica: &Value| replica["batches"].as_u64() >= Some(batches);
            !replicas.is_empty() && replicas.iter().all(answers)
        });
    }

    fn address(&self) -> String {
        let name = self.container("frontend");
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let mut address = String::new();
        until("the frontend has an address", || {
            let found = docker(&["inspect", "--format", format, &name]);
            address = String::from_utf8_lossy(&found.stdout).trim().to_owned();
            found.status.success() && !address.is_empty()
        });
        address
    }

    fn wait(self) -> DriverOutput {
        let id = self.child.id();
        let output = self.child.wait_with_output().unwrap();
        DriverOutput {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            leftovers: leftovers(id),
            results: results(self.folder.path()),
            folder: self.folder,
        }
    }
}

struct DriverOutput {
    status: Option<i32>,
    stdout: String,
    stderr: String,
    /// Ids of the driver's remaining containers and networks.
    leftovers: String,
    results: Vec<Value>,
    folder: TempDir,
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().unwrap()
}

fn leftovers(driver: u32) -> String {
    let filter = format!("name=image-driver-{driver}");
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
    let networks = docker(&["network", "ls", "--quiet", "--filter", &filter]);
    assert!(
        containers.status.success(),
        "the Docker engine does not answer"
    );
    let names = [containers.stdout, networks.stdout].concat();
    String::from_utf8(names).unwrap()
}

fn results(folder: &Path) -> Vec<Value> {
    let sweeps = fs::read_dir(folder).unwrap().flatten();
    let files = sweeps.flat_map(|sweep| fs::read_dir(sweep.path()).unwrap().flatten());
    files
        .map(|file| file.path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("results-") && name.ends_with(".json")
        })
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "timeout after one minute: {what}"
        );
        sleep(Duration::from_millis(50));
    }
}

/// Asserts that every query has exactly one outcome.
fn assert_accounted(result: &Value) {
    let totals = result["totals"].as_object().unwrap();
    let count = |name: &str| totals[name].as_u64().unwrap();
    let outcomes: u64 = totals
        .iter()
        .filter(|(name, _)| !["sent", "seconds"].contains(&name.as_str()))
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    assert!(count("sent") > 0, "{totals:?}");
    assert_eq!(count("sent"), outcomes, "{totals:?}");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn containers_and_processes_give_the_same_sweep() {
    for manager in ["process", "docker"] {
        let output = start(&format!(
            "-m noop --manager {manager} -r 1 2 -b 4 -d 2 -c 0-1 -p 1 --mode saturate"
        ))
        .wait();
        assert_eq!(output.status, Some(0), "{}{}", output.stdout, output.stderr);
        assert_eq!(output.leftovers, "");
        assert_eq!(output.results.len(), 2);
        for result in &output.results {
            assert_accounted(result);
            let recorded = result["driver"]["manager"].as_str().unwrap();
            assert!(recorded.starts_with(manager), "{recorded}");
            // One core each, as read from the kernel.
            let replicas = result["replicas"].as_array().unwrap();
            let mut cores: Vec<_> = replicas
                .iter()
                .map(|r| r["cores"].as_str().unwrap())
                .collect();
            cores.sort_unstable();
            assert_eq!(cores, ["0", "1"][..replicas.len()]);
        }
        let logs = Command::new("find")
            .arg(output.folder.path())
            .output()
            .unwrap();
        let logs = String::from_utf8(logs.stdout).unwrap();
        assert_eq!(logs.matches("/frontend.log").count(), 2, "{logs}");
        assert_eq!(logs.matches("/noop-1.log").count(), 1, "{logs}");
    }
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn ctrl_c_removes_every_container_and_the_network() {
    let driver = start("-m noop --manager docker -r 2 -d 60");
    driver.wait_until_loaded();
    driver.signal(Signal::INT);
    let output = driver.wait();
    assert_eq!(
        (output.status, &output.leftovers[..]),
        (Some(130), ""),
        "{}",
        output.stderr
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn clean_removes_the_containers_of_a_killed_driver() {
    let mut driver = start("-m noop --manager docker -d 60");
    driver.wait_until_loaded();
    let id = driver.child.id();
    driver.signal(Signal::KILL);
    driver.child.wait().unwrap();
    let filter = format!("name=image-driver-{id}");
    until("its containers stop", || {
        docker(&["ps", "--quiet", "--filter", &filter])
            .stdout
            .is_empty()
    });
    assert_ne!(leftovers(id), "");
    let clean = Command::new(env!("CARGO_BIN_EXE_driver"))
        .arg("clean")
        .output()
        .unwrap();
    let printed = String::from_utf8(clean.stdout).unwrap();
    assert!(
        clean.status.success() && printed.contains(&driver.container("noop-0")),
        "{printed}"
    );
    assert_eq!(leftovers(id), "");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_that_fails_returns_and_the_point_is_invalid() {
    for fault in ["kill", "pause", "disconnect"] {
        let line = "-m noop --manager docker -r 2 -b 4 -d 16 --mode constant --rate 500";
        let driver = start(line);
        driver.wait_until_loaded();
        let (replica, network) = (
            driver.container("noop-1"),
            format!("image-driver-{}", driver.child.id()),
        );
        let done = match fault {
            "kill" => docker(&["kill", &replica]),
            "pause" => {
                docker(&["pause", &replica]);
                // Longer than the heartbeat timeout.
                sleep(Duration::from_secs(7));
                docker(&["unpause", &replica])
            }
            _ => {
                docker(&["network", "disconnect", &network, &replica]);
                sleep(Duration::from_secs(7));
                docker(&["network", "connect", &network, &replica])
            }
        };
        assert!(done.status.success(), "{fault}: {done:?}");
        let output = driver.wait();
        assert_eq!(
            output.status,
            Some(1),
            "{fault}: {}{}",
            output.stdout,
            output.stderr
        );
        assert_eq!(output.leftovers, "", "{fault}");
        let [result] = &output.results[..] else {
            panic!("{fault}: {}", output.stderr);
        };
        assert_accounted(result);
        assert_eq!(result["verdict"]["status"], "INVALID", "{fault}");
        assert!(
            output.stdout.contains("died or lost their connection"),
            "{fault}: {}",
            output.stdout
        );
        // Both replicas are registered at the end.
        assert_eq!(result["replicas"].as_array().unwrap().len(), 2, "{fault}");
        assert_eq!(
            result["totals"]["timeout"], 0,
            "{fault}: {}",
            result["totals"]
        );
    }
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_killed_frontend_is_the_reason_of_the_failure() {
    let driver = start("-m noop --manager docker -d 30");
    driver.wait_until_loaded();
    assert!(
        docker(&["kill", &driver.container("frontend")])
            .status
            .success()
    );
    let output = driver.wait();
    assert_eq!(
        (output.status, &output.leftovers[..]),
        (Some(1), ""),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stdout
            .contains("frontend exited under load (exit status: 137)"),
        "{}",
        output.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_paused_frontend_answers_late_and_the_latency_includes_it() {
    let driver = start("-m noop --manager docker -d 12 --mode constant --rate 200");
    // Wait for the end of the warm-up, whose latencies are not recorded.
    driver.wait_for_batches(800);
    let frontend = driver.container("frontend");
    for (action, time) in [
        ("pause", Duration::from_secs(2)),
        ("unpause", Duration::ZERO),
    ] {
        let done = docker(&[action, &frontend]);
        assert!(done.status.success(), "{action}: {done:?}");
        sleep(time);
    }
    let output = driver.wait();
    assert_eq!(output.leftovers, "", "{}", output.stderr);
    let [result] = &output.results[..] else {
        panic!("{}{}", output.stdout, output.stderr);
    };
    assert_accounted(result);
    assert_eq!(result["totals"]["timeout"], 0, "{}", result["totals"]);
    // Latency counts from the intended send time.
    let phases = result["phases"].as_array().unwrap().iter();
    let slowest = phases.filter_map(|phase| phase["latency"]["max"].as_f64());
    let slowest = slowest.fold(0.0, f64::max);
    assert!(slowest > 1500.0, "{slowest} ms");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_disconnected_frontend_is_the_reason_of_the_failure() {
    let driver = start("-m noop --manager docker -d 12 --mode constant --rate 200");
    driver.wait_until_loaded();
    let network = format!("image-driver-{}", driver.child.id());
    let done = docker(&[
        "network",
        "disconnect",
        &network,
        &driver.container("frontend"),
    ]);
    assert!(done.status.success(), "{done:?}");
    let output = driver.wait();
    assert_eq!(
        (output.status, &output.leftovers[..]),
        (Some(1), ""),
        "{}{}",
        output.stdout,
        output.stderr
    );
    assert!(
        output.stdout.contains(" to the frontend failed"),
        "{}",
        output.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_beyond_its_memory_limit_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("forest.txt");
    // A sparse file: it takes memory only when it is read.
    let file = fs::File::create(&artifact).unwrap();
    file.set_len(256 << 20).unwrap();
    let line = format!(
        "-m lgbm --manager docker -d 2 --replica_memory_mib 16 --model_path {}",
        artifact.display()
    );
    let output = start(&line).wait();
    assert_eq!(
        (output.status, &output.leftovers[..]),
        (Some(1), ""),
        "{}",
        output.stderr
    );
    assert!(
        output.stdout.contains("beyond --replica_memory_mib"),
        "{}{}",
        output.stdout,
        output.stderr
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_that_cannot_start_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("forest.txt");
    fs::write(&artifact, "no forest").unwrap();
    let line = format!(
        "-m lgbm --manager docker -d 2 --model_path {}",
        artifact.display()
    );
    let output = start(&line).wait();
    assert_eq!(
        (output.status, &output.leftovers[..]),
        (Some(1), ""),
        "{}",
        output.stderr
    );
    assert!(
        output.stdout.contains("/model/forest.txt"),
        "{}",
        output.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_missing_image_is_named_and_nothing_starts() {
    let output = start("-m noop --manager docker --image missing/image -d 2").wait();
    assert_eq!((output.status, &output.leftovers[..]), (Some(1), ""));
    assert!(
        output.stderr.contains("there is no image missing/image"),
        "{}",
        output.stderr
    );
}
