//! The folder of a sweep: its lock, and paths that are not UTF-8.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;
use testkit::wait_until;

use crate::{
    command, frontend_is_up, install, installed, measured, output, output_of, results,
    started_sweep, sweep, sweep_folder,
};

/// Makes a sweep of two points, of which only the first has a result.
fn half_a_sweep(folder: &TempDir) -> PathBuf {
    sweep(folder.path(), "-m noop -b 1 2 -d 1");
    let begun = sweep_folder(folder.path());
    let mut points = results(&begun).into_iter();
    let (file, mut result) = points.next().unwrap();
    measured(&mut result);
    fs::write(&file, result.to_string()).unwrap();
    fs::remove_file(points.next().unwrap().0).unwrap();
    begun
}

/// Returns the command that resumes a sweep.
fn resume(folder: &TempDir, sweep: &Path) -> Command {
    command(folder.path(), &format!("--resume {}", sweep.display()))
}

/// A driver without output that is killed on drop.
struct RunningDriver(Child);

impl RunningDriver {
    fn start(mut command: Command) -> RunningDriver {
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        RunningDriver(command.spawn().unwrap())
    }

    /// Returns its name in messages.
    fn name(&self) -> String {
        format!("driver {}", self.0.id())
    }
}

impl Drop for RunningDriver {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_folder_is_locked_by_one_driver() {
    let folder = installed("exit 3");
    let begun = half_a_sweep(&folder);
    // A frontend that never prints its ports and ends with its standard input.
    install(folder.path(), "cat");
    let first = RunningDriver::start(resume(&folder, &begun));
    wait_until("the frontend is started", || {
        frontend_is_up(&begun, 3).then_some(())
    });

    let second = output(resume(&folder, &begun));
    assert_eq!(second.status, 2, "{}", second.stderr);
    assert_eq!(second.stderr.lines().count(), 1, "{}", second.stderr);
    for part in [begun.to_str().unwrap(), &first.name(), "--resume"] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
    assert_eq!(second.stdout, "");
    assert!(frontend_is_up(&begun, 3), "nothing was started");
    // The results can be read meanwhile.
    let report = output(command(
        folder.path(),
        &format!("report {}", begun.display()),
    ));
    assert_eq!(report.status, 0, "{}", report.stderr);

    // A driver that is killed leaves no lock behind.
    drop(first);
    install(folder.path(), "exit 3");
    let third = output(resume(&folder, &begun));
    assert_eq!(third.status, 1, "{}", third.stderr);
    assert!(third.stderr.contains("1/1 noop"), "{}", third.stderr);
}

#[test]
fn a_running_sweep_cannot_be_resumed() {
    let folder = installed("cat");
    let mut command = command(folder.path(), "-m noop --results_dir results");
    command.current_dir(folder.path());
    let running = RunningDriver::start(command);
    let results = folder.path().join("results");
    let begun = wait_until("the frontend is started", || started_sweep(&results));
    let second = output(resume(&folder, &begun));
    assert_eq!(second.status, 2, "{}", second.stderr);
    let stderr = second.stderr;
    assert!(stderr.contains(&running.name()), "{stderr}");
}

#[test]
fn failing_to_print_a_table_or_plan_is_an_error() {
    let folder = installed("exit 3");
    let begun = half_a_sweep(&folder);
    // Add a result of the other point.
    let (_, mut other) = results(&begun).pop_first().unwrap();
    let batch = &mut other["node_configs"][0]["batch_size"];
    *batch = json!(3 - batch.as_u64().unwrap());
    fs::write(begun.join("results-other.json"), other.to_string()).unwrap();
    assert_eq!(output(resume(&folder, &begun)).status, 0);
    let resume = format!("--resume {}", begun.display());
    fs::remove_file(begun.join("report.html")).unwrap();
    for line in [&resume[..], "-m noop --dry_run"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = command(folder.path(), line);
        command.stdin(Stdio::null());
        command.stdout(full).stderr(Stdio::piped());
        let output = output_of(command.spawn().unwrap());
        let stderr = output.stderr;
        assert_eq!(output.status, 1, "{line}: {stderr}");
        assert!(
            stderr.contains("cannot write to standard output: No space"),
            "{line}: {stderr}"
        );
    }
    assert!(begun.join("report.html").exists());
}

#[test]
fn paths_that_are_not_utf8_are_refused() {
    let folder = installed("exit 3");
    let odd = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd).unwrap();
    let file = odd.join("file");
    fs::write(&file, "0.1\n0.2\n0.3\n").unwrap();
    let results = folder.path().join("results");
    let joined = |flag: &str, path: &Path| {
        let mut argument = OsString::from(format!("{flag}="));
        argument.push(path);
        argument
    };
    for (line, flag, path) in [
        ("-m noop", "--results_dir", &odd),
        ("-m noop", "--results-dir", &odd),
        ("-m noop --dry_run", "--results_dir", &odd),
        ("-m noop --mode trace", "--trace", &file),
        ("-m svm", "--input_dir", &file),
        ("-m svm --accuracy", "--labels", &file),
        ("-m noop", "--model_path", &file),
    ] {
        let mut command = command(folder.path(), line);
        command.arg(joined(flag, path));
        if !flag.starts_with("--results") {
            command.arg(joined("--results_dir", &results));
        }
        let output = output(command);
        assert_eq!(output.status, 2, "{flag}: {}", output.stderr);
        let named = flag.replace('-', "_").replacen("__", "--", 1);
        assert!(output.stderr.contains(&named), "{flag}: {}", output.stderr);
        assert!(output.stderr.contains("UTF-8"), "{flag}: {}", output.stderr);
        assert_eq!(output.stdout, "");
        assert_eq!(
            fs::read_dir(&odd).unwrap().count(),
            1,
            "{flag} made something"
        );
        assert!(!results.exists(), "{flag} made something");
        assert_eq!(
            output.stderr.lines().count(),
            1,
            "{flag}: {}",
            output.stderr
        );
    }
    // Relative folders and the folder of a sweep are checked as well.
    for line in ["-m noop --results_dir .", "--resume ."] {
        let mut command = command(folder.path(), line);
        command.current_dir(&odd);
        let output = output(command);
        assert_eq!(output.status, 2, "{line}: {}", output.stderr);
        assert!(
            output.stderr.contains("is not UTF-8"),
            "{line}: {}",
            output.stderr
        );
        assert_eq!(
            output.stderr.lines().count(),
            1,
            "{line}: {}",
            output.stderr
        );
    }
}
