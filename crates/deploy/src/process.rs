//! Frontend and model servers as child processes, which do not outlive the driver whatever ends it.
//!
//! Each child has its own process group, so that the terminal's Ctrl-C reaches the driver alone, and holds the reading
//! end of a pipe from the driver: it exits when that closes, which happens even if the driver is killed.

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
    member::{Frontend, Member, Server},
};

/// Where the programs lie.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The frontend.
    pub frontend: PathBuf,
    /// The model's server.
    pub server: PathBuf,
    /// The folder of the library that the server loads, where its program may not find it by itself.
    pub libraries: Option<PathBuf>,
}

impl Programs {
    /// Finds the frontend and the server `program` beside this program. Under `cargo run` it first builds the frontend
    /// and `packages`, so that no program is older than its sources.
    ///
    /// The engine `tch` is only in programs that are built for it, and only after `make tch`.
    ///
    /// # Errors
    /// If libtorch is asked for and missing, the build fails, or a program is missing.
    pub fn find(program: &str, packages: &[&str], engine: Option<&str>) -> Result<Programs, Error> {
        let folder = folder()?;
        if let (Some(cargo), Some(workspace)) = (env::var_os("CARGO"), workspace()) {
            if engine == Some("tch") && !workspace.join(".deps/libtorch/lib").is_dir() {
                let missing = "libtorch, which --engine tch needs, is not here: run `make tch`";
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
                return Err(Error::Missing(format!("`{build}` failed: see above")));
            }
        }
        let programs = Programs {
            frontend: folder.join("frontend"),
            server: folder.join(program),
            libraries: None,
        };
        exists(&programs.frontend)?;
        programs.with_server(program)
    }

    /// The same with another model's server, which lies beside them.
    ///
    /// # Errors
    /// If it is missing.
    pub fn with_server(&self, model: &str) -> Result<Programs, Error> {
        let server = self.frontend.with_file_name(model);
        exists(&server)?;
        Ok(Programs {
            frontend: self.frontend.clone(),
            server,
            libraries: self.libraries.clone(),
        })
    }
}

/// The folder of the release programs: this program's own, or, for a debug build, the one beside it.
///
/// # Errors
/// If the path of this program cannot be found.
pub(crate) fn folder() -> Result<PathBuf, Error> {
    let own = env::current_exe()
        .map_err(|error| Error::Missing(format!("cannot find this program's folder: {error}")))?;
    let beside = own.parent().unwrap_or(Path::new("."));
    Ok(match beside.ends_with("debug") {
        true => beside.with_file_name("release"),
        false => beside.to_owned(),
    })
}

/// The command that builds the frontend and these packages.
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

fn exists(program: &Path) -> Result<(), Error> {
    match program.is_file() {
        true => Ok(()),
        false => Err(Error::Missing(format!(
            "there is no program {}: build it with `make build`",
            program.display()
        ))),
    }
}

/// Starts a frontend on ports that are free, and waits for it to tell them.
pub(crate) fn frontend(
    program: &Path,
    cores: Option<&[usize]>,
    logs: &Path,
    stop: &AtomicBool,
) -> Result<Frontend, Error> {
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
    let mut process = Process::start(launch, cores, logs)?;
    let stdout = process.child.stdout.take();
    let mut stdout = BufReader::new(stdout.expect("it was started with a pipe"));
    let began = Instant::now();
    while !readable(stdout.get_ref())? {
        check_stop(stop)?;
        if began.elapsed() > Duration::from_secs(60) {
            return Err(Error::Frontend(format!(
                "the frontend has not told its ports within a minute: see {}",
                process.log.display()
            )));
        }
    }
    let mut line = String::new();
    let read = stdout.read_line(&mut line);
    if read.is_ok_and(|length| length == 0) {
        // The pipe ends a moment before the process does.
        let _ = process.child.wait();
    }
    process.check("during start-up")?;
    let ports = serde_json::from_str(&line).map_err(|error| {
        Error::Frontend(format!(
            "the frontend printed no ports but {line:?} ({error}): build frontend and driver from one commit"
        ))
    })?;
    process.stdout = Some(stdout);
    Ok(Frontend {
        member: Box::new(process),
        address: Ipv4Addr::LOCALHOST.into(),
        name_for_servers: Ipv4Addr::LOCALHOST.to_string(),
        ports,
    })
}

/// Starts a model server.
pub(crate) fn server(
    programs: &Programs,
    server: Server<'_>,
    frontend: &Frontend,
    logs: &Path,
) -> Result<Box<dyn Member>, Error> {
    let mut told = server.told;
    told.push(("ip", frontend.name_for_servers.clone()));
    told.push(("port", frontend.ports.rpc_service_port.to_string()));
    told.push(("device", server.device.to_string()));
    if let Some(path) = server.model_path {
        told.push(("model_path", path.display().to_string()));
    }
    let told = told.into_iter();
    let arguments: Vec<_> = told
        .flat_map(|(flag, value)| [format!("--{flag}"), value])
        .collect();
    let launch = Launch {
        name: server.name,
        program: &programs.server,
        libraries: programs.libraries.as_deref(),
        arguments: &arguments,
        stdout: None,
    };
    let process = Process::start(launch, server.cores, logs)?;
    Ok(Box::new(process))
}

/// A program that is to be started.
struct Launch<'a> {
    /// What it is called in messages and by its log.
    name: String,
    program: &'a Path,
    /// A folder in which the loader looks for libraries first.
    libraries: Option<&'a Path>,
    arguments: &'a [String],
    /// Where standard output goes; `None`: to the log.
    stdout: Option<Stdio>,
}

/// A child process.
#[derive(Debug)]
struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    /// Kept open: a frontend that prints more must not fail for it.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `program` on `cores` (`None`: on those of the driver), and checks that the kernel holds it there.
    /// Standard error goes to `<name>.log` in `logs`, standard output too unless it is said where to.
    fn start(launch: Launch<'_>, cores: Option<&[usize]>, logs: &Path) -> Result<Process, Error> {
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
        // GPUs have the numbers that nvidia-smi shows.
        command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        for variable in ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"] {
            command.env_remove(variable);
        }
        // A variable of the user's shell must not change what is measured unseen: the arguments say everything.
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"CLIPPER_") {
                command.env_remove(variable);
            }
        }
        let child = cores::on(cores, || command.spawn()).flatten();
        let process = Process {
            name,
            log,
            child: child.map_err(failed)?,
            stdout: None,
        };
        process.check_cores(cores)?;
        Ok(process)
    }
}

impl Member for Process {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn is(&self, registered: &Metadata) -> bool {
        registered.pid == self.pid()
    }

    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten();
        status.map(|status| status.to_string())
    }

    fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    fn ask_to_stop(&mut self) {
        if self.is_running()
            && let Some(pid) = Pid::from_raw(self.pid().cast_signed())
        {
            // It fails only if the process is gone already, and it cannot be another one: nobody has waited for it.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something to read, or the end, for 100 ms at most.
fn readable(stdout: &ChildStdout) -> Result<bool, Error> {
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&limit)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Error::Frontend(format!(
            "cannot wait for the frontend's ports: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> Process {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let launch = Launch {
            name: "shell".to_owned(),
            program: Path::new("/bin/sh"),
            libraries: Some(Path::new("/libraries")),
            arguments: &arguments,
            stdout: None,
        };
        Process::start(launch, None, logs).unwrap()
    }

    #[test]
    fn a_process_that_exits_shows_its_last_lines() {
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
    fn a_process_looks_for_libraries_in_the_given_folder_first() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell("echo \"$LD_LIBRARY_PATH\"", logs.path());
        process.child.wait().unwrap();
        let said = std::fs::read_to_string(process.log()).unwrap();
        let mut folders = env::split_paths(said.trim());
        assert_eq!(folders.next(), Some("/libraries".into()), "{said}");
        assert!(
            folders.all(|folder| !folder.as_os_str().is_empty()),
            "{said}"
        );
    }

    #[test]
    fn a_process_does_not_outlive_its_pipe_nor_its_owner() {
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
