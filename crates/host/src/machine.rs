//! What the numbers were measured on and with.

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

/// The machine, as far as it explains a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The processor, as the kernel names it.
    pub cpu: String,
    /// Cores that the machine has online.
    pub cores: usize,
    /// Those that the driver, and so everything it starts, may use, as a list.
    pub allowed_cores: String,
    /// The cores' worth of time that its control group allows, where it has a limit.
    pub cpu_limit: Option<f64>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
}

/// What was measured, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// This program's version.
    pub driver: String,
    /// How this program was built: `release`, or `debug`, which may be what limits the number.
    pub profile: String,
    /// The commit that cargo built this program from, `-dirty` if changed since; absent if cargo did not start it.
    pub commit: Option<String>,
}

impl Machine {
    /// Looks at the machine; what the kernel does not tell is empty or zero.
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
    /// Asks git about the workspace under `cargo run`. Without cargo, nobody knows what this program was built from.
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

/// The root of this project's workspace: around the package that cargo runs, else around the current folder.
pub fn workspace() -> Option<PathBuf> {
    let start = env::var_os("CARGO_MANIFEST_DIR").map_or_else(env::current_dir, |f| Ok(f.into()));
    let start: PathBuf = start.ok()?;
    start
        .ancestors()
        .find(|folder| folder.join("crates/driver/Cargo.toml").is_file())
        .map(Path::to_owned)
}

/// Cargo as started from a shell. What it tells a program that it runs of that program's package has build scripts run
/// again, and what depends on them compiled again, each time.
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

/// The value of the first `name: value` line.
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
    fn cargo_does_not_hear_of_the_package_that_it_runs() {
        let output = cargo("env").output().unwrap();
        let ours = String::from_utf8_lossy(&output.stdout);
        let theirs = Command::new("env").output().unwrap();
        let theirs = String::from_utf8_lossy(&theirs.stdout);
        for name in ["CARGO_PKG_NAME=", "CARGO_MANIFEST_DIR="] {
            assert!(theirs.contains(name) && !ours.contains(name), "{name}");
        }
        assert!(ours.contains("PATH="));
    }
}
