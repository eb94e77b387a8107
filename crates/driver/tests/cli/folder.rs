//! The folder of a sweep: one driver at a time, and a path that results can hold.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    command, ended, frontend_is_up, install, installed, measured, results, sweep, sweep_folder,
};

/// A sweep of two points of which the first is measured and the second is not.
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

/// A driver that continues this sweep.
fn resuming(folder: &TempDir, sweep: &Path) -> Child {
    let resume = format!("--resume {}", sweep.display());
    let mut command = command(folder.path(), &resume);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_folder_is_measured_by_one_driver_at_a_time() {
    let folder = installed("exit 3");
    let begun = half_a_sweep(&folder);
    // A frontend that never tells its ports, and ends with its standard input.
    install(folder.path(), "cat");
    let mut first = resuming(&folder, &begun);
    while !frontend_is_up(&begun, 3) {
        thread::yield_now();
    }

    let second = ended(command(
        folder.path(),
        &format!("--resume {}", begun.display()),
    ));
    assert_eq!(second.status, 2, "{}", second.stderr);
    assert_eq!(second.stderr.lines().count(), 1, "{}", second.stderr);
    for part in [
        begun.to_str().unwrap(),
        &format!("driver {}", first.id()),
        "--resume",
    ] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
    assert_eq!(second.stdout, "");
    assert!(frontend_is_up(&begun, 3), "nothing was started");
    // Its results may be read.
    let report = ended(command(
        folder.path(),
        &format!("report {}", begun.display()),
    ));
    assert_eq!(report.status, 0, "{}", report.stderr);

    // A driver that is killed leaves no lock behind.
    first.kill().unwrap();
    first.wait().unwrap();
    install(folder.path(), "exit 3");
    let third = resuming(&folder, &begun).wait_with_output().unwrap();
    let said = String::from_utf8(third.stderr).unwrap();
    assert_eq!(third.status.code(), Some(1), "{said}");
    assert!(said.contains("1/1 noop"), "{said}");
}

#[test]
fn a_sweep_that_runs_cannot_be_resumed() {
    let folder = installed("cat");
    let mut running = command(folder.path(), "-m noop --results_dir results");
    let mut running = running
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let results = folder.path().join("results");
    let begun = loop {
        let sweeps = fs::read_dir(&results).ok().into_iter().flatten();
        let mut sweeps = sweeps.map(|entry| entry.unwrap().path());
        match sweeps.find(|sweep| frontend_is_up(sweep, 1)) {
            Some(sweep) => break sweep,
            None => thread::yield_now(),
        }
    };
    let second = ended(command(
        folder.path(),
        &format!("--resume {}", begun.display()),
    ));
    assert_eq!(second.status, 2, "{}", second.stderr);
    assert!(
        second.stderr.contains(&format!("driver {}", running.id())),
        "{}",
        second.stderr
    );
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn a_table_or_plan_that_cannot_be_printed_is_an_error() {
    let folder = installed("exit 3");
    let begun = half_a_sweep(&folder);
    // The other point is measured, too.
    let (_, mut other) = results(&begun).pop_first().unwrap();
    let batch = &mut other["node_configs"][0]["batch_size"];
    *batch = json!(3 - batch.as_u64().unwrap());
    fs::write(begun.join("results-other.json"), other.to_string()).unwrap();
    let resume = format!("--resume {}", begun.display());
    assert_eq!(ended(command(folder.path(), &resume)).status, 0);
    fs::remove_file(begun.join("report.html")).unwrap();
    for line in [&resume[..], "-m noop --dry_run"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = command(folder.path(), line);
        let output = command
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(
            said.contains("cannot write to standard output: No space"),
            "{line}: {said}"
        );
    }
    assert!(begun.join("report.html").exists());
}

#[test]
fn a_path_that_is_not_utf8_is_refused_before_anything_starts() {
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
        let ended = ended(command);
        assert_eq!(ended.status, 2, "{flag}: {}", ended.stderr);
        let named = flag.replace('-', "_").replacen("__", "--", 1);
        assert!(ended.stderr.contains(&named), "{flag}: {}", ended.stderr);
        assert!(ended.stderr.contains("UTF-8"), "{flag}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
        assert_eq!(
            fs::read_dir(&odd).unwrap().count(),
            1,
            "{flag} made something"
        );
        assert!(!results.exists(), "{flag} made something");
        assert_eq!(ended.stderr.lines().count(), 1, "{flag}: {}", ended.stderr);
    }
    // A relative folder is as odd as the one that it starts from, and so is the folder of a sweep.
    for line in ["-m noop --results_dir .", "--resume ."] {
        let mut command = command(folder.path(), line);
        command.current_dir(&odd);
        let ended = ended(command);
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("is not UTF-8"),
            "{line}: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{line}: {}", ended.stderr);
    }
}
