//! Hardware and software versions, for the record of a result.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cgroup::ControlGroups, cores};

/// Hardware and kernel of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Processor model, as the kernel names it.
    pub cpu: String,
    /// Number of cores online.
    pub cores: usize,
    /// Cores that the driver and its children may use, as a list.
    pub allowed_cores: String,
    /// CPU limit of the control group, in cores; absent without a limit.
    pub cpu_limit: Option<f64>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
}

/// Versions of the measured programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// Version of the driver.
    pub driver: String,
    /// Build profile of the driver: `release`, or `debug`, which may limit the throughput.
    pub profile: String,
    /// Commit of the workspace, with `-dirty` if files were changed; absent if cargo did not start the driver.
    pub commit: Option<String>,
}

impl Machine {
    /// Reads the machine's properties; unreadable ones are empty or zero.
    pub fn read(allowed: &[usize]) -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Machine {
            cpu: field(&cpuinfo, "model name"),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            allowed_cores: cores::show(allowed),
            cpu_limit: ControlGroups::read(Path::new("/")).cpu_limit(),
            memory_mib: memory
                .split(' ')
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .unwrap_or(0)
                / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl Versions {
    /// Reads the commit from git under `cargo run`. Without cargo the commit of the program is unknown.
    pub fn read() -> Versions {
        let describe = |folder: &Path| {
            let output = Command::new("git")
                .args(["describe", "--always", "--dirty", "--exclude=*"])
                .current_dir(folder)
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            (output.status.success() && !text.is_empty()).then_some(text)
        };
        Versions {
            driver: env!("CARGO_PKG_VERSION").to_owned(),
            profile: match cfg!(debug_assertions) {
                true => "debug".to_owned(),
                false => "release".to_owned(),
            },
            commit: env::var_os("CARGO")
                .and_then(|_| workspace())
                .and_then(|folder| describe(&folder)),
        }
    }
}

/// Returns the root of this project's workspace: an ancestor of the package that cargo runs, else of the
/// current folder.
pub fn workspace() -> Option<PathBuf> {
    let start = env::var_os("CARGO_MANIFEST_DIR").map_or_else(env::current_dir, |f| Ok(f.into()));
    let start: PathBuf = start.ok()?;
    start
        .ancestors()
        .find(|folder| folder.join("crates/driver/Cargo.toml").is_file())
        .map(Path::to_owned)
}

/// Returns a cargo command without the variables that cargo sets for the package it runs. Otherwise
/// they would rerun build scripts, and recompile their dependents, each time.
pub fn cargo(program: impl AsRef<OsStr>) -> Command {
    let mut cargo = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns the value of the first `name: value` line.
fn field(text: &str, name: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or(String::new(), |(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_runs_without_the_variables_of_a_package() {
        let output = cargo("env").output().unwrap();
        let cleaned = String::from_utf8_lossy(&output.stdout);
        let inherited = Command::new("env").output().unwrap();
        let inherited = String::from_utf8_lossy(&inherited.stdout);
        for name in ["CARGO_PKG_NAME=", "CARGO_MANIFEST_DIR="] {
            assert!(
                inherited.contains(name) && !cleaned.contains(name),
                "{name}"
            );
        }
        assert!(cleaned.contains("PATH="));
    }
}
