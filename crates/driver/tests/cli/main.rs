//! The program as a user runs it: command lines that make no sense, sweeps whose processes fail, and what it prints.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

mod folder;
mod load;
mod survey;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{PATIENCE_WITH_PROGRAMS, until};

struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

fn driver(line: &str, results: &Path) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command
        .args(line.split(' '))
        .arg("--results_dir")
        .arg(results)
        .env_remove("CLIPPER_INPUT_TYPE");
    ended(command)
}

#[test]
fn what_cannot_be_measured_is_one_line_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    for (line, says) in [
        ("-m vgh", "there is no model \"vgh\""),
        (
            "-m noop -b 0",
            "'--batch_sizes <N>...': \"0\" is not a whole number from 1",
        ),
        (
            "-m noop --num-replicas ,",
            "--num_replicas is an empty list",
        ),
        ("-m noop --model_cpus 1023", "names core 1023"),
        (
            "-m noop --cpus_per_replica_nums 90000",
            "replicas x 90000 CPUs",
        ),
        ("-m svm --model_gpus 0", "svm computes on CPU only"),
        (
            "-m vgg --num_replicas 2 --model_gpus 0",
            "2 replicas need a GPU each",
        ),
        (
            "-m noop --mode trace --trace /dev/null",
            "/dev/null holds no times",
        ),
        (
            "-m vgg --input_dir /nowhere",
            "--input_dir /nowhere cannot be read",
        ),
    ] {
        let ended = driver(line, folder.path());
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{line}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn artifact_and_input_type_may_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command
        .args(["-m", "svm", "-d", "1", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // nothing is built
        .env("CLIPPER_INPUT_TYPE", "strings");
    let ended = ended(command);
    let says = ended.stderr;
    assert_eq!(ended.status, 2, "{says}");
    assert!(says.contains("svm does not take"), "{says}");
}

/// A folder with the driver in `release/`, beside a frontend and model servers that are shell scripts, and `results/`.
fn installed(script: &str) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    // Not a copy: while another test's child holds what was written, it cannot be started.
    fs::hard_link(env!("CARGO_BIN_EXE_driver"), release.join("driver")).unwrap();
    install(folder.path(), script);
    folder
}

/// Makes frontend and model servers of such a folder this shell script.
fn install(folder: &Path, script: &str) {
    for program in ["frontend", "noop", "vgg"] {
        let path = folder.join("release").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The driver of such a folder, which builds nothing.
fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(folder.join("release/driver"));
    command.args(line.split(' ')).env_remove("CARGO");
    command
}

fn ended(mut command: Command) -> Ended {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ended_child(command.spawn().unwrap())
}

/// Waits for the end of a driver, and kills one that does not end.
fn ended_child(child: Child) -> Ended {
    let pid = pid(&child);
    let (done, output) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(PATIENCE_WITH_PROGRAMS) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("the driver did not end within {PATIENCE_WITH_PROGRAMS:?}");
    };
    let output = output.unwrap();
    Ended {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).unwrap()
}

/// A sweep in such a folder's `results/`.
fn sweep(folder: &Path, line: &str) -> Ended {
    let mut command = command(folder, line);
    command.arg("--results_dir").arg(folder.join("results"));
    ended(command)
}

/// The only sweep there.
fn sweep_folder(folder: &Path) -> PathBuf {
    let sweeps: Vec<_> = fs::read_dir(folder.join("results")).unwrap().collect();
    assert_eq!(sweeps.len(), 1, "{sweeps:?}");
    sweeps[0].as_ref().unwrap().path()
}

/// The results in a folder, by the names of their files.
fn results(folder: &Path) -> BTreeMap<PathBuf, Value> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_result = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("results-")
    };
    let read = |path: PathBuf| {
        let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (path, json)
    };
    files.filter(is_result).map(read).collect()
}

#[test]
fn what_the_driver_starts_sees_no_clipper_variable_of_the_users_shell() {
    let folder = installed("env | grep -e CLIPPER -e KEPT >&2; exit 3");
    let mut command = command(folder.path(), "-m noop --results_dir results");
    command
        .current_dir(folder.path())
        .envs([("CLIPPER_GPU_MEM_FRAC", "0.5"), ("KEPT", "yes")]);
    let ended = ended(command);
    let says = ended.stderr;
    assert_eq!(ended.status, 1, "{says}");
    assert!(says.contains("frontend exited during start-up"), "{says}");
    assert!(says.contains("KEPT=yes"), "{says}");
    assert!(!says.contains("CLIPPER_GPU"), "{says}");
}

#[test]
fn points_whose_processes_fail_are_rows_with_the_reason_and_the_sweep_goes_on() {
    let folder = installed("echo no such artifact >&2; exit 3");
    let ended = sweep(folder.path(), "-m vgg -b 1 2 -r 1 100 -p 1 --repeats 2");
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    for part in [
        "* NOT RUN, points 1-2: frontend exited during start-up (exit status: 3)",
        "no such artifact",
        "* NOT RUN, points 3-4: 100 replicas x 1 CPUs per replica need 100 cores",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert!(
        ended.stderr.contains("6 of 6 measurements are not"),
        "{}",
        ended.stderr
    );

    let sweep = sweep_folder(folder.path());
    let (points, zeros) = (results(&sweep), results(&sweep.join("zero")));
    // Two points in two rounds, two that cannot run; the no-op model once per shape that can.
    assert_eq!((points.len(), zeros.len()), (6, 2));
    assert!(points.values().all(|result| result["not_run"].is_string()));
    assert!(
        zeros
            .values()
            .all(|result| result["node_configs"][0]["name"] == "noop")
    );
    let record: Value =
        serde_json::from_slice(&fs::read(sweep.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(record["settings"]["batch_sizes"], json!([1, 2]));
    assert_eq!(record["plan"]["runs"].as_array().unwrap().len(), 4);
    assert_eq!(fs::read_dir(sweep.join("logs")).unwrap().count(), 6);
}

/// Makes a result that says why nothing was measured into one that says how fast it was.
fn measured(result: &mut Value) {
    let totals = json!({"sent": 9, "ok": 9, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": 1.0});
    let phase = json!({
        "kind": "throughput", "arrivals": {"closed": {"in_flight": 3}}, "opened_seconds": 1.0, "warm_up": totals,
        "totals": totals, "steady": true, "throughput": {"value": 1234.5}, "mean_in_flight": 3.0, "batches": 9.0, "windows": []
    });
    let speed = json!({
        "mode": "saturate", "client_metrics": {"thrus": [], "p99_lats": [], "mean_lats": []}, "throughput_qps": 1234.5,
        "phases": [phase], "totals": totals, "verdict": {"status": "VALID", "reasons": []}
    });
    let result = result.as_object_mut().unwrap();
    result.remove("not_run");
    result.extend(speed.as_object().unwrap().clone());
}

#[test]
fn a_resumed_sweep_has_the_flags_that_it_began_with_and_measures_what_is_missing() {
    let folder = installed("echo no such artifact >&2; exit 3");
    sweep(folder.path(), "-m noop -b 1 2 4 -d 1");
    let begun = sweep_folder(folder.path());
    let (file, mut result) = results(&begun).pop_first().unwrap();
    measured(&mut result);
    fs::write(&file, result.to_string()).unwrap();
    // As if the driver had been killed in the middle of the second point.
    for (other, _) in results(&begun).iter().skip(1) {
        fs::remove_file(other).unwrap();
    }
    let resume = format!("--plain --resume {}", begun.display());
    let ended = ended(command(folder.path(), &resume));
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("1/2 noop") && ended.stderr.contains("2/2 noop"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stdout.contains("1234 |") || ended.stdout.contains("1235 |"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("2 of 3 measurements are not"),
        "{}",
        ended.stderr
    );
    assert_eq!(results(&begun).len(), 3);
    assert_eq!(sweep_folder(folder.path()), begun);
}

#[test]
fn flags_beside_resume_are_refused_and_so_is_a_folder_without_a_sweep() {
    let folder = installed("exit 3");
    for (line, says) in [
        (
            "--resume . -b 4",
            "--batch_sizes cannot be given beside --resume",
        ),
        ("--resume . --config x", "--config x: "),
        ("--resume .", "not the folder of a sweep"),
        ("--resume /nowhere", "--resume /nowhere: "),
    ] {
        let ended = ended(command(folder.path(), line));
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_dry_run_prints_the_plan_with_its_time_and_makes_nothing() {
    let folder = installed("exit 3");
    let ended = sweep(
        folder.path(),
        "-m vgg -b 1 2 -r 1 100 -p 1 -d 60 --repeats 2 --dry_run",
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for part in [
        // 4 x (60 s + 3 s) + 2 x (4 s + 3 s), of starting and stopping 3 s each.
        "plan: vgg at 2 points in each of 2 rounds, each 60 s under load, about 4m 26s in all",
        "the no-op model first, 4 s at each of 2 shapes",
        "cannot run   replicas 100, CPUs 1, batch 1; replicas 100, CPUs 1, batch 2: 100 replicas x 1 CPUs",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert!(!folder.path().join("results").exists());
}

/// True once the sweep in this folder has started the frontend of so many points, since its beginning.
fn frontend_is_up(sweep: &Path, points: usize) -> bool {
    let Ok(logs) = fs::read_dir(sweep.join("logs")) else {
        return false;
    };
    let logs = logs.map(|entry| entry.unwrap().path().join("frontend.log"));
    logs.filter(|log| log.exists()).count() == points
}

/// The sweep in this results folder that has started the frontend of its first point.
fn started_sweep(results: &Path) -> Option<PathBuf> {
    let mut sweeps = fs::read_dir(results)
        .ok()?
        .map(|entry| entry.unwrap().path());
    sweeps.find(|sweep| frontend_is_up(sweep, 1))
}

#[test]
fn ctrl_c_ends_the_sweep_at_once_with_a_status_of_its_own() {
    // A frontend that never tells its ports, and ends with its standard input.
    let folder = installed("cat");
    let mut command = command(folder.path(), "-m noop -b 1 2 --results_dir results");
    let child = command
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let results = folder.path().join("results");
    until("the frontend is started", || started_sweep(&results));
    kill_process(pid(&child), Signal::INT).unwrap();
    let ended = ended_child(child);
    let says = ended.stderr;
    assert_eq!(ended.status, 130, "{says}");
    assert!(says.contains("1/2 noop") && !says.contains("2/2"), "{says}");
    assert!(says.contains("--resume"), "{says}");
}

#[test]
fn completions_and_the_man_page_are_printed() {
    let folder = installed("exit 3");
    for (line, says) in [
        ("completions bash", "--batch_sizes"),
        ("completions fish", "complete -c driver"),
        ("man", ".SH OPTIONS"),
    ] {
        let ended = ended(command(folder.path(), line));
        assert_eq!(ended.status, 0, "{line}: {}", ended.stderr);
        assert!(ended.stdout.contains(says), "{line}: {}", ended.stdout);
    }
    let ended = ended(command(folder.path(), "completions tcsh"));
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("bash"), "{}", ended.stderr);
}

#[test]
fn a_clipper_variable_that_would_be_lost_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command.args(["-m", "noop"]).env("CLIPPER_DEVICE", "cuda:0");
    let ended = ended(command);
    let says = ended.stderr;
    assert_eq!(ended.status, 2, "{says}");
    assert!(says.contains("CLIPPER_DEVICE is set"), "{says}");
}

#[test]
fn a_model_must_be_named_and_flags_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["-b 1", "-m noop --no_such_flag 1"] {
        let ended = driver(line, folder.path());
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ended = driver("-m noop", file.path());
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("choose another folder with --results_dir"),
        "{}",
        ended.stderr
    );
}

#[test]
fn help_teaches_every_flag_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let ended = driver("--help", folder.path());
    assert_eq!(ended.status, 0);
    for part in [
        "--model_name",
        "--duration_seconds",
        "--batch_sizes",
        "--num_replicas",
        "--model_cpus",
        "--cpus_per_replica_nums",
        "--model_gpus",
        "--engine",
        "--accuracy",
        "--num_clients",
        "--results_dir",
        "--input_dir",
        "--input_type",
        "--slo_ms",
        "--model_path",
        "--in_flight",
        "--seed",
        "--accuracy",
        "--labels",
        "Examples:",
    ] {
        assert!(ended.stdout.contains(part), "{part}");
    }
}
