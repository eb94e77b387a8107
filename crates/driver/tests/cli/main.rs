//! Tests of the driver program: refused command lines, sweeps whose processes fail, and its output.
#![expect(clippy::unwrap_used, reason = "tests")]

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
use testkit::{PROCESS_TIMEOUT, wait_until};

struct DriverOutput {
    status: i32,
    stdout: String,
    stderr: String,
}

fn driver(line: &str, results: &Path) -> DriverOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command
        .args(line.split(' '))
        .arg("--results_dir")
        .arg(results)
        .env_remove("CLIPPER_INPUT_TYPE");
    output(command)
}

#[test]
fn refused_sweeps_print_one_line_and_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (line, expected) in [
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
        let output = driver(line, folder.path());
        assert_eq!(output.status, 2, "{line}: {}", output.stderr);
        assert!(
            output.stderr.contains(expected),
            "{line}: {}",
            output.stderr
        );
        assert_eq!(
            output.stderr.lines().count(),
            1,
            "{line}: {}",
            output.stderr
        );
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn the_input_type_may_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command
        .args(["-m", "svm", "-d", "1", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // prevents a build
        .env("CLIPPER_INPUT_TYPE", "strings");
    let output = output(command);
    let stderr = output.stderr;
    assert_eq!(output.status, 2, "{stderr}");
    assert!(stderr.contains("svm does not take"), "{stderr}");
}

/// Makes a folder with the driver in `release/`, beside a frontend and model servers that are shell scripts.
fn installed(script: &str) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    // A hard link, because a copy cannot be started while a child of another test has it open.
    fs::hard_link(env!("CARGO_BIN_EXE_driver"), release.join("driver")).unwrap();
    install(folder.path(), script);
    folder
}

/// Replaces the frontend and model servers of such a folder by a shell script.
fn install(folder: &Path, script: &str) {
    for program in ["frontend", "noop", "vgg"] {
        let path = folder.join("release").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Returns a command line of the driver in such a folder, which builds nothing.
fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(folder.join("release/driver"));
    command.args(line.split(' ')).env_remove("CARGO");
    command
}

fn output(mut command: Command) -> DriverOutput {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    output_of(command.spawn().unwrap())
}

/// Waits for a driver to end, and kills it after a timeout.
fn output_of(child: Child) -> DriverOutput {
    let pid = pid(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PROCESS_TIMEOUT) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("the driver did not end within {PROCESS_TIMEOUT:?}");
    };
    let output = output.unwrap();
    DriverOutput {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).unwrap()
}

/// Runs a sweep with results in the folder's `results/`.
fn sweep(folder: &Path, line: &str) -> DriverOutput {
    let mut command = command(folder, line);
    command.arg("--results_dir").arg(folder.join("results"));
    output(command)
}

/// Returns the folder of the only sweep.
fn sweep_folder(folder: &Path) -> PathBuf {
    let sweeps: Vec<_> = fs::read_dir(folder.join("results")).unwrap().collect();
    assert_eq!(sweeps.len(), 1, "{sweeps:?}");
    sweeps[0].as_ref().unwrap().path()
}

/// Reads the results in a folder, by file.
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
fn started_processes_inherit_no_clipper_variables() {
    let folder = installed("env | grep -e CLIPPER -e KEPT >&2; exit 3");
    let mut command = command(folder.path(), "-m noop --results_dir results");
    command
        .current_dir(folder.path())
        .envs([("CLIPPER_GPU_MEM_FRAC", "0.5"), ("KEPT", "yes")]);
    let output = output(command);
    let stderr = output.stderr;
    assert_eq!(output.status, 1, "{stderr}");
    assert!(
        stderr.contains("frontend exited during start-up"),
        "{stderr}"
    );
    assert!(stderr.contains("KEPT=yes"), "{stderr}");
    assert!(!stderr.contains("CLIPPER_GPU"), "{stderr}");
}

#[test]
fn failed_points_are_not_run_and_the_sweep_continues() {
    let folder = installed("echo no such artifact >&2; exit 3");
    let output = sweep(folder.path(), "-m vgg -b 1 2 -r 1 100 -p 1 --repeats 2");
    assert_eq!(output.status, 1, "{}", output.stderr);
    for part in [
        "* NOT RUN, points 1-2: frontend exited during start-up (exit status: 3)",
        "no such artifact",
        "* NOT RUN, points 3-4: 100 replicas x 1 CPUs per replica need 100 cores",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    assert!(
        output
            .stderr
            .contains("6 of 6 measurements are INVALID or did not run"),
        "{}",
        output.stderr
    );

    let sweep = sweep_folder(folder.path());
    let (points, baselines) = (results(&sweep), results(&sweep.join("baseline")));
    // Two points in two rounds, two that cannot run; the baseline of two points.
    assert_eq!((points.len(), baselines.len()), (6, 2));
    assert!(points.values().all(|result| result["not_run"].is_string()));
    assert!(
        baselines
            .values()
            .all(|result| result["node_configs"][0]["name"] == "noop")
    );
    let record: Value =
        serde_json::from_slice(&fs::read(sweep.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(record["settings"]["batch_sizes"], json!([1, 2]));
    assert_eq!(record["plan"]["runs"].as_array().unwrap().len(), 4);
    assert_eq!(fs::read_dir(sweep.join("logs")).unwrap().count(), 6);
}

/// Turns a result that did not run into one with a throughput.
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
fn a_resumed_sweep_measures_the_missing_points() {
    let folder = installed("echo no such artifact >&2; exit 3");
    sweep(folder.path(), "-m noop -b 1 2 4 -d 1");
    let begun = sweep_folder(folder.path());
    let (file, mut result) = results(&begun).pop_first().unwrap();
    measured(&mut result);
    fs::write(&file, result.to_string()).unwrap();
    // Leave the folder as if the driver had been killed during the second point.
    for (other, _) in results(&begun).iter().skip(1) {
        fs::remove_file(other).unwrap();
    }
    let resume = format!("--plain --resume {}", begun.display());
    let output = output(command(folder.path(), &resume));
    assert_eq!(output.status, 1, "{}", output.stderr);
    assert!(
        output.stderr.contains("1/2 noop") && output.stderr.contains("2/2 noop"),
        "{}",
        output.stderr
    );
    assert!(
        output.stdout.contains("1234 |") || output.stdout.contains("1235 |"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stderr
            .contains("2 of 3 points are INVALID or did not run"),
        "{}",
        output.stderr
    );
    assert_eq!(results(&begun).len(), 3);
    assert_eq!(sweep_folder(folder.path()), begun);
}

#[test]
fn resume_refuses_other_flags_and_folders() {
    let folder = installed("exit 3");
    for (line, expected) in [
        (
            "--resume . -b 4",
            "--batch_sizes cannot be used with --resume",
        ),
        ("--resume . --config x", "cannot read x: "),
        ("--resume .", "not the folder of a sweep"),
        ("--resume /nowhere", "--resume /nowhere: "),
    ] {
        let output = output(command(folder.path(), line));
        assert_eq!(output.status, 2, "{line}: {}", output.stderr);
        assert!(
            output.stderr.contains(expected),
            "{line}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_makes_nothing() {
    let folder = installed("exit 3");
    let output = sweep(
        folder.path(),
        "-m vgg -b 1 2 -r 1 100 -p 1 -d 60 --repeats 2 --dry_run",
    );
    assert_eq!(output.status, 0, "{}", output.stderr);
    for part in [
        // 4 x (60 s + 3 s) + 2 x (4 s + 3 s), of starting and stopping 3 s each.
        "plan: vgg at 2 points in each of 2 rounds, each 60 s under load, about 4m 26s in all",
        "the no-op model first, 4 s at each of 2 points",
        "cannot run   replicas 100, CPUs 1, batch 1; replicas 100, CPUs 1, batch 2: 100 replicas x 1 CPUs",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    assert!(!folder.path().join("results").exists());
}

/// True once the sweep in this folder has started the frontends of this number of points.
fn frontend_is_up(sweep: &Path, points: usize) -> bool {
    let Ok(logs) = fs::read_dir(sweep.join("logs")) else {
        return false;
    };
    let logs = logs.map(|entry| entry.unwrap().path().join("frontend.log"));
    logs.filter(|log| log.exists()).count() == points
}

/// Returns the sweep that has started the frontend of its first point, in a folder of sweeps.
fn started_sweep(results: &Path) -> Option<PathBuf> {
    let mut sweeps = fs::read_dir(results)
        .ok()?
        .map(|entry| entry.unwrap().path());
    sweeps.find(|sweep| frontend_is_up(sweep, 1))
}

#[test]
fn ctrl_c_ends_the_sweep_with_status_130() {
    // A frontend that never prints its ports and ends with its standard input.
    let folder = installed("cat");
    let mut command = command(folder.path(), "-m noop -b 1 2 --results_dir results");
    let child = command
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let results = folder.path().join("results");
    wait_until("the frontend is started", || started_sweep(&results));
    kill_process(pid(&child), Signal::INT).unwrap();
    let output = output_of(child);
    let stderr = output.stderr;
    assert_eq!(output.status, 130, "{stderr}");
    assert!(
        stderr.contains("1/2 noop") && !stderr.contains("2/2"),
        "{stderr}"
    );
    assert!(stderr.contains("--resume"), "{stderr}");
}

#[test]
fn completions_and_the_man_page_are_printed() {
    let folder = installed("exit 3");
    for (line, expected) in [
        ("completions bash", "--batch_sizes"),
        ("completions fish", "complete -c driver"),
        ("man", ".SH OPTIONS"),
    ] {
        let output = output(command(folder.path(), line));
        assert_eq!(output.status, 0, "{line}: {}", output.stderr);
        assert!(
            output.stdout.contains(expected),
            "{line}: {}",
            output.stdout
        );
    }
    let output = output(command(folder.path(), "completions tcsh"));
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("bash"), "{}", output.stderr);
}

#[test]
fn unsupported_clipper_variables_are_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver"));
    command.args(["-m", "noop"]).env("CLIPPER_DEVICE", "cuda:0");
    let output = output(command);
    let stderr = output.stderr;
    assert_eq!(output.status, 2, "{stderr}");
    assert!(stderr.contains("CLIPPER_DEVICE is set"), "{stderr}");
}

#[test]
fn a_missing_model_and_an_unknown_flag_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["-b 1", "-m noop --no_such_flag 1"] {
        let output = driver(line, folder.path());
        assert_eq!(output.status, 2, "{line}: {}", output.stderr);
        assert!(
            output.stderr.contains("--help"),
            "{line}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = driver("-m noop", file.path());
    assert_eq!(output.status, 2, "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("choose another folder with --results_dir"),
        "{}",
        output.stderr
    );
}

#[test]
fn help_lists_every_flag_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let output = driver("--help", folder.path());
    assert_eq!(output.status, 0);
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
        assert!(output.stdout.contains(part), "{part}");
    }
}
