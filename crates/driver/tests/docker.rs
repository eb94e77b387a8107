//! The driver with real containers: `make test-docker` builds the images and runs these.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

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

/// A driver that deploys with Docker, and where its results go.
struct Driver {
    child: Child,
    folder: TempDir,
}

fn start(line: &str) -> Driver {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(line.split(' '))
        .args(["--no_zero", "--plain", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // nothing is built
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Driver { child, folder }
}

impl Driver {
    /// Its container for one of its servers.
    fn container(&self, name: &str) -> String {
        format!("image-driver-{}-{name}", self.child.id())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn loaded(&self) {
        self.has_done(2);
    }

    /// Waits until every replica has answered so many batches.
    fn has_done(&self, batches: u64) {
        let url = format!("http://{}:1338/admin/replicas", self.address());
        until("every replica works", || {
            let text = ureq::get(&url).call();
            let text = text.and_then(|mut answer| answer.body_mut().read_to_string());
            let replicas: Vec<Value> = text
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            let works = |replica: &Value| replica["batches"].as_u64() >= Some(batches);
            !replicas.is_empty() && replicas.iter().all(works)
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

    fn end(self) -> Ended {
        let id = self.child.id();
        let output = self.child.wait_with_output().unwrap();
        Ended {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            left: left(id),
            results: results(self.folder.path()),
            folder: self.folder,
        }
    }
}

struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
    /// What is still there of the driver's containers and network.
    left: String,
    results: Vec<Value>,
    folder: TempDir,
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().unwrap()
}

fn left(driver: u32) -> String {
    let filter = format!("name=image-driver-{driver}");
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
    let networks = docker(&["network", "ls", "--quiet", "--filter", &filter]);
    assert!(containers.status.success(), "no Docker engine answers");
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

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "not in a minute: {what}"
        );
        sleep(Duration::from_millis(50));
    }
}

/// Every query that was sent ended in one way.
fn assert_accounted(result: &Value) {
    let totals = result["totals"].as_object().unwrap();
    let count = |name: &str| totals[name].as_u64().unwrap();
    let ends: u64 = totals
        .iter()
        .filter(|(name, _)| !["sent", "seconds"].contains(&name.as_str()))
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    assert!(count("sent") > 0, "{totals:?}");
    assert_eq!(count("sent"), ends, "{totals:?}");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_sweep_in_containers_is_one_as_with_processes() {
    for manager in ["process", "docker"] {
        let ended = start(&format!(
            "-m noop --manager {manager} -r 1 2 -b 4 -d 2 -c 0-1 -p 1 --mode saturate"
        ))
        .end();
        assert_eq!(ended.status, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.left, "");
        assert_eq!(ended.results.len(), 2);
        for result in &ended.results {
            assert_accounted(result);
            let says = result["driver"]["manager"].as_str().unwrap();
            assert!(says.starts_with(manager), "{says}");
            // One core each, as the kernel has it.
            let replicas = result["replicas"].as_array().unwrap();
            let mut cores: Vec<_> = replicas
                .iter()
                .map(|r| r["cores"].as_str().unwrap())
                .collect();
            cores.sort_unstable();
            assert_eq!(cores, ["0", "1"][..replicas.len()]);
        }
        let logs = Command::new("find")
            .arg(ended.folder.path())
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
    driver.loaded();
    driver.signal(Signal::INT);
    let ended = driver.end();
    assert_eq!(
        (ended.status, &ended.left[..]),
        (Some(130), ""),
        "{}",
        ended.stderr
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_killed_drivers_containers_end_and_clean_removes_them() {
    let mut driver = start("-m noop --manager docker -d 60");
    driver.loaded();
    let id = driver.child.id();
    driver.signal(Signal::KILL);
    driver.child.wait().unwrap();
    let filter = format!("name=image-driver-{id}");
    until("its containers have ended", || {
        docker(&["ps", "--quiet", "--filter", &filter])
            .stdout
            .is_empty()
    });
    assert_ne!(left(id), "");
    let clean = Command::new(env!("CARGO_BIN_EXE_driver"))
        .arg("clean")
        .output()
        .unwrap();
    let says = String::from_utf8(clean.stdout).unwrap();
    assert!(
        clean.status.success() && says.contains(&driver.container("noop-0")),
        "{says}"
    );
    assert_eq!(left(id), "");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_that_is_killed_paused_or_cut_off_comes_back_and_the_verdict_tells_it() {
    for fault in ["kill", "pause", "disconnect"] {
        let line = "-m noop --manager docker -r 2 -b 4 -d 16 --mode constant --rate 500";
        let driver = start(line);
        driver.loaded();
        let (replica, network) = (
            driver.container("noop-1"),
            format!("image-driver-{}", driver.child.id()),
        );
        let done = match fault {
            "kill" => docker(&["kill", &replica]),
            "pause" => {
                docker(&["pause", &replica]);
                // Its heartbeats are missed.
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
        let ended = driver.end();
        assert_eq!(
            ended.status,
            Some(1),
            "{fault}: {}{}",
            ended.stdout,
            ended.stderr
        );
        assert_eq!(ended.left, "", "{fault}");
        let [result] = &ended.results[..] else {
            panic!("{fault}: {}", ended.stderr);
        };
        assert_accounted(result);
        assert_eq!(result["verdict"]["status"], "INVALID", "{fault}");
        assert!(
            ended.stdout.contains("died or lost their connection"),
            "{fault}: {}",
            ended.stdout
        );
        // Both are there at the end.
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
fn a_frontend_that_is_killed_ends_the_point_with_the_reason() {
    let driver = start("-m noop --manager docker -d 30");
    driver.loaded();
    assert!(
        docker(&["kill", &driver.container("frontend")])
            .status
            .success()
    );
    let ended = driver.end();
    assert_eq!(
        (ended.status, &ended.left[..]),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stdout
            .contains("frontend exited under load (exit status: 137)"),
        "{}",
        ended.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_frontend_that_stands_still_answers_all_when_it_goes_on_and_the_latency_tells_it() {
    let driver = start("-m noop --manager docker -d 12 --mode constant --rate 200");
    // The warm-up, of which no latency is recorded, is over by then.
    driver.has_done(800);
    let frontend = driver.container("frontend");
    for (action, time) in [
        ("pause", Duration::from_secs(2)),
        ("unpause", Duration::ZERO),
    ] {
        let done = docker(&[action, &frontend]);
        assert!(done.status.success(), "{action}: {done:?}");
        sleep(time);
    }
    let ended = driver.end();
    assert_eq!(ended.left, "", "{}", ended.stderr);
    let [result] = &ended.results[..] else {
        panic!("{}{}", ended.stdout, ended.stderr);
    };
    assert_accounted(result);
    assert_eq!(result["totals"]["timeout"], 0, "{}", result["totals"]);
    // Queries count from when they ought to have been sent.
    let phases = result["phases"].as_array().unwrap().iter();
    let slowest = phases.filter_map(|phase| phase["latency"]["max"].as_f64());
    let slowest = slowest.fold(0.0, f64::max);
    assert!(slowest > 1500.0, "{slowest} ms");
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_frontend_that_is_cut_off_ends_the_point_with_the_reason() {
    let driver = start("-m noop --manager docker -d 12 --mode constant --rate 200");
    driver.loaded();
    let network = format!("image-driver-{}", driver.child.id());
    let done = docker(&[
        "network",
        "disconnect",
        &network,
        &driver.container("frontend"),
    ]);
    assert!(done.status.success(), "{done:?}");
    let ended = driver.end();
    assert_eq!(
        (ended.status, &ended.left[..]),
        (Some(1), ""),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    assert!(
        ended.stdout.contains("the frontend did not do"),
        "{}",
        ended.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_beyond_its_memory_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("forest.txt");
    // It takes no room where it lies, but where it is read.
    let file = fs::File::create(&artifact).unwrap();
    file.set_len(256 << 20).unwrap();
    let line = format!(
        "-m lgbm --manager docker -d 2 --replica_memory_mib 16 --model_path {}",
        artifact.display()
    );
    let ended = start(&line).end();
    assert_eq!(
        (ended.status, &ended.left[..]),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stdout.contains("beyond --replica_memory_mib"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn a_replica_that_cannot_start_is_a_row_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("forest.txt");
    fs::write(&artifact, "no forest").unwrap();
    let line = format!(
        "-m lgbm --manager docker -d 2 --model_path {}",
        artifact.display()
    );
    let ended = start(&line).end();
    assert_eq!(
        (ended.status, &ended.left[..]),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stdout.contains("/model/forest.txt"),
        "{}",
        ended.stdout
    );
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn an_image_that_is_not_there_is_named_and_nothing_is_started() {
    let ended = start("-m noop --manager docker --image nobody/nothing -d 2").end();
    assert_eq!((ended.status, &ended.left[..]), (Some(1), ""));
    assert!(
        ended.stderr.contains("there is no image nobody/nothing"),
        "{}",
        ended.stderr
    );
}
