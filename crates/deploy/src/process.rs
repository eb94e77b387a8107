//! Frontend and model servers as child processes, which never outlive the driver.
//!
//! Each child has its own process group, so that the terminal's Ctrl-C reaches only the driver. Its
//! standard input is a pipe from the driver: the child exits when the pipe closes, which happens even
//! if the driver is killed.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader},
    iter,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use host::{
    cores,
    machine::{self, workspace},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process},
};
use wire::rpc::Metadata;

use crate::{
    error::{Error, check_stop},
    handle::{FrontendHandle, Handle, ModelServerSpec},
};

/// Paths of the programs to start.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Program of the frontend.
    pub frontend: PathBuf,
    /// Program of the model server.
    pub server: PathBuf,
    /// Folder of the library that the model server loads, for the case that the loader would not find it.
    pub libraries: Option<PathBuf>,
}

impl Programs {
    /// Finds the frontend and the model server `program` beside the running program. Under `cargo run` it
    /// first builds the frontend and `packages`, so that no program is older than its sources.
    ///
    /// The engine `tch` needs programs built with it, and so `make tch` first.
    ///
    /// # Errors
    /// If the engine is `tch` and libtorch is missing, the build fails, or a program is missing.
    pub fn find(program: &str, packages: &[&str], engine: Option<&str>) -> Result<Programs, Error> {
        let folder = program_folder()?;
        if let (Some(cargo), Some(workspace)) = (env::var_os("CARGO"), workspace()) {
            if engine == Some("tch") && !workspace.join(".deps/libtorch/lib").is_dir() {
                let missing = "--engine tch needs libtorch, which is missing: run `make tch`";
                return Err(Error::Missing(missing.to_owned()));
            }
            let build = build_command(packages, engine);
            eprintln!("driver: {build}");
            let built = machine::cargo(cargo)
                .args(build.split(' ').skip(1))
                .arg("--target-dir")
                .arg(folder.parent().unwrap_or(&folder))
                .current_dir(workspace)
                .status();
            if !built.is_ok_and(|status| status.success()) {
                return Err(Error::Missing(format!(
                    "`{build}` failed: see its output above"
                )));
            }
        }
        let programs = Programs {
            frontend: folder.join("frontend"),
            server: folder.join(program),
            libraries: None,
        };
        check_exists(&programs.frontend)?;
        programs.with_model(program)
    }

    /// Returns these programs with the model server of another model, from the same folder.
    ///
    /// # Errors
    /// If the model server is missing.
    pub fn with_model(&self, model: &str) -> Result<Programs, Error> {
        let server = self.frontend.with_file_name(model);
        check_exists(&server)?;
        Ok(Programs {
            frontend: self.frontend.clone(),
            server,
            libraries: self.libraries.clone(),
        })
    }
}

/// Returns the folder of the release programs: that of the running program, or, for a debug build, the
/// `release` folder beside it.
///
/// # Errors
/// If the path of the running program is unknown.
pub(crate) fn program_folder() -> Result<PathBuf, Error> {
    let program = env::current_exe().map_err(|error| {
        Error::Missing(format!("cannot find the folder of this program: {error}"))
    })?;
    let folder = program.parent().unwrap_or(Path::new("."));
    Ok(match folder.ends_with("debug") {
        true => folder.with_file_name("release"),
        false => folder.to_owned(),
    })
}

/// Returns the cargo command that builds the frontend and `packages`.
fn build_command(packages: &[&str], engine: Option<&str>) -> String {
    let mut build = "cargo build --release --package frontend".to_owned();
    for package in packages {
        build.push_str(&format!(" --package {package}"));
    }
    if engine == Some("tch") {
        build.push_str(" --features featurizer/tch");
    }
    build
}

fn check_exists(program: &Path) -> Result<(), Error> {
    match program.is_file() {
        true => Ok(()),
        false => Err(Error::Missing(format!(
            "program {} does not exist: build it with `make build`",
            program.display()
        ))),
    }
}

/// Starts a frontend on free ports and waits until it prints them.
pub(crate) fn start_frontend(
    program: &Path,
    cores: Option<&[usize]>,
    logs: &Path,
    stop: &AtomicBool,
) -> Result<FrontendHandle, Error> {
    let arguments = "--bind 127.0.0.1 --query_port 0 --admin_port 0 --rpc_service_port 0 --rpc_2017_port 0 \
                     --rpc_send_port 0 --rpc_recv_port 0 --send_port 0 --recv_port 0";
    let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
    let launch = Launch {
        name: "frontend".to_owned(),
        program,
        libraries: None,
        arguments: &arguments,
        stdout: Some(Stdio::piped()),
    };
    let mut process = ChildProcess::start(launch, cores, logs)?;
    let stdout = process.child.stdout.take();
    let mut stdout = BufReader::new(stdout.expect("standard output is a pipe"));
    let start = Instant::now();
    while !wait_readable(stdout.get_ref())? {
        check_stop(stop)?;
        if start.elapsed() > Duration::from_secs(60) {
            return Err(Error::Frontend(format!(
                "the frontend did not print its ports within 60 s: see {}",
                process.log.display()
            )));
        }
    }
    let mut line = String::new();
    let read = stdout.read_line(&mut line);
    if read.is_ok_and(|length| length == 0) {
        // The pipe closes a moment before the process exits.
        let _ = process.child.wait();
    }
    process.check("during start-up")?;
    let ports = serde_json::from_str(&line).map_err(|error| {
        Error::Frontend(format!(
            "cannot read the frontend's ports from {line:?}: {error}; build frontend and driver from one commit"
        ))
    })?;
    process.stdout = Some(stdout);
    Ok(FrontendHandle {
        handle: Box::new(process),
        address: Ipv4Addr::LOCALHOST.into(),
        replica_host: Ipv4Addr::LOCALHOST.to_string(),
        ports,
    })
}

/// Starts a model server.
pub(crate) fn start_replica(
    programs: &Programs,
    server: ModelServerSpec<'_>,
    logs: &Path,
) -> Result<Box<dyn Handle>, Error> {
    let mut args = server.args;
    args.push(("device", server.device.to_string()));
    if let Some(path) = server.model_path {
        args.push(("model_path", path.display().to_string()));
    }
    let arguments: Vec<_> = args
        .into_iter()
        .flat_map(|(flag, value)| [format!("--{flag}"), value])
        .collect();
    let launch = Launch {
        name: server.name,
        program: &programs.server,
        libraries: programs.libraries.as_deref(),
        arguments: &arguments,
        stdout: None,
    };
    let process = ChildProcess::start(launch, server.cores, logs)?;
    Ok(Box::new(process))
}

/// A program to start, with its arguments.
struct Launch<'a> {
    /// Name in messages and of the log file.
    name: String,
    program: &'a Path,
    /// Folder that the loader searches for libraries first.
    libraries: Option<&'a Path>,
    arguments: &'a [String],
    /// Destination of standard output; `None`: the log.
    stdout: Option<Stdio>,
}

/// A child process.
#[derive(Debug)]
struct ChildProcess {
    name: String,
    log: PathBuf,
    child: Child,
    /// Kept open, so that a frontend that prints more does not fail.
    stdout: Option<BufReader<ChildStdout>>,
}

impl ChildProcess {
    /// Starts a program on `cores` (`None`: those of the driver) and checks that the kernel pinned it
    /// there. Standard error goes to `<name>.log` in `logs`.
    fn start(
        launch: Launch<'_>,
        cores: Option<&[usize]>,
        logs: &Path,
    ) -> Result<ChildProcess, Error> {
        let Launch {
            name,
            program,
            libraries,
            arguments,
            stdout,
        } = launch;
        let log = logs.join(format!("{name}.log"));
        let failed = |error| Error::file("start", program, error);
        let file = File::create(&log).map_err(|error| Error::file("write", &log, error))?;
        let stdout = match stdout {
            Some(stdout) => stdout,
            None => file.try_clone().map_err(failed)?.into(),
        };
        let mut command = Command::new(program);
        if let Some(folder) = libraries {
            let others = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let folders = iter::once(folder.to_owned()).chain(env::split_paths(&others));
            let folders = env::join_paths(folders.filter(|path| !path.as_os_str().is_empty()));
            command.env(
                "LD_LIBRARY_PATH",
                folders.map_err(io::Error::other).map_err(failed)?,
            );
        }
        command
            .args(arguments)
            .arg("--exit_with_stdin")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(file)
            .process_group(0);
        // CUDA numbers the GPUs as nvidia-smi does.
        command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        for variable in ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"] {
            command.env_remove(variable);
        }
        // The arguments configure everything: a variable of the user's shell must not change the result.
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"CLIPPER_") {
                command.env_remove(variable);
            }
        }
        let child = cores::run_on(cores, || command.spawn()).flatten();
        let process = ChildProcess {
            name,
            log,
            child: child.map_err(failed)?,
            stdout: None,
        };
        process.check_cores(cores)?;
        Ok(process)
    }
}

impl Handle for ChildProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn matches(&self, registered: &Metadata) -> bool {
        registered.pid == self.pid()
    }

    fn exit_status(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten();
        status.map(|status| status.to_string())
    }

    fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    fn terminate(&mut self) {
        if self.is_running()
            && let Some(pid) = Pid::from_raw(self.pid().cast_signed())
        {
            // Fails only if the process has exited. The id cannot belong to another process, because this
            // one has not been waited for.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        // Both fail only if the process has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits up to 100 ms for output or its end.
fn wait_readable(stdout: &ChildStdout) -> Result<bool, Error> {
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&limit)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Error::Frontend(format!(
            "cannot poll the frontend's output: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> ChildProcess {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let launch = Launch {
            name: "shell".to_owned(),
            program: Path::new("/bin/sh"),
            libraries: Some(Path::new("/libraries")),
            arguments: &arguments,
            stdout: None,
        };
        ChildProcess::start(launch, None, logs).unwrap()
    }

    #[test]
    fn error_of_an_exit_shows_the_last_lines() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell("echo first; echo no such artifact >&2; exit 3", logs.path());
        process.child.wait().unwrap();
        let error = process.check("during start-up").unwrap_err().to_string();
        assert!(
            error.contains("shell exited during start-up (exit status: 3)"),
            "{error}"
        );
        assert!(error.contains("    no such artifact"), "{error}");
    }

    #[test]
    fn libraries_are_searched_in_the_given_folder_first() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell("echo \"$LD_LIBRARY_PATH\"", logs.path());
        process.child.wait().unwrap();
        let output = std::fs::read_to_string(process.log()).unwrap();
        let mut folders = env::split_paths(output.trim());
        assert_eq!(folders.next(), Some("/libraries".into()), "{output}");
        assert!(
            folders.all(|folder| !folder.as_os_str().is_empty()),
            "{output}"
        );
    }

    #[test]
    fn process_ends_with_its_pipe_and_with_its_handle() {
        let logs = tempfile::tempdir().unwrap();
        let mut reader = shell("cat", logs.path());
        drop(reader.child.stdin.take());
        assert!(reader.child.wait().unwrap().success());
        let stubborn = shell(
            "trap '' TERM; echo ready; while :; do read line; done",
            logs.path(),
        );
        let pid = Pid::from_raw(stubborn.pid().cast_signed()).unwrap();
        drop(stubborn);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
