//! What the kernel's control groups (version 1 or 2) let this process use of its cores, and how long they stopped it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The control groups that limit a process's CPU time: its own and those around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlGroups {
    folders: Vec<PathBuf>,
}

impl ControlGroups {
    /// Those of this process. `root` is `/` but in tests. What cannot be read limits nothing.
    pub fn read(root: &Path) -> ControlGroups {
        let of_process = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mount = root.join("sys/fs/cgroup");
        let groups = of_process.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            match controllers {
                "" => Some((mount.clone(), path)),
                _ if controllers.split(',').any(|name| name == "cpu") => {
                    Some((mount.join(controllers), path))
                }
                _ => None,
            }
        });
        let around = |(mount, path): (PathBuf, &str)| {
            let own = mount.join(path);
            let up = own
                .ancestors()
                .take_while(|folder| folder.starts_with(&mount));
            up.map(Path::to_owned).collect::<Vec<_>>()
        };
        let folders = groups.flat_map(around);
        ControlGroups {
            folders: folders
                .filter(|folder| folder.join("cpu.stat").is_file())
                .collect(),
        }
    }

    /// The cores' worth of time that they allow, a fraction perhaps; `None` without a limit.
    pub fn cpu_limit(&self) -> Option<f64> {
        self.limits().map(|(_, limit)| limit).min_by(f64::total_cmp)
    }

    /// How long those with a limit have stopped their processes until now, all together; `None` without a limit.
    pub fn throttled(&self) -> Option<Duration> {
        let stopped = self.limits().filter_map(|(folder, _)| throttled(folder));
        stopped.reduce(|one, other| one + other)
    }

    fn limits(&self) -> impl Iterator<Item = (&Path, f64)> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        folders.filter_map(|folder| Some((folder, limit(folder)?)))
    }
}

fn limit(folder: &Path) -> Option<f64> {
    let number = |file: &str| -> Option<f64> { read(folder, file)?.trim().parse().ok() };
    let (quota, period) = match read(folder, "cpu.max") {
        Some(max) => {
            // `max 100000` is no limit.
            let (quota, period) = max.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        None => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
    };
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

fn throttled(folder: &Path) -> Option<Duration> {
    let stat = read(folder, "cpu.stat")?;
    stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value = value.trim().parse().ok()?;
        match name {
            "throttled_usec" => Some(Duration::from_micros(value)),
            "throttled_time" => Some(Duration::from_nanos(value)),
            _ => None,
        }
    })
}

fn read(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tree of these files says, by name and text: the limit, and the time that was lost to it.
    fn limits(files: &[(&str, &str)]) -> (Option<f64>, Option<Duration>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let groups = ControlGroups::read(root.path());
        (groups.cpu_limit(), groups.throttled())
    }

    #[test]
    fn the_tightest_limit_counts_in_version_2() {
        let limits = limits(&[
            ("proc/self/cgroup", "0::/pod/job/driver\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 5\n"),
            ("sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
            (
                "sys/fs/cgroup/pod/cpu.stat",
                "usage_usec 5\nthrottled_usec 2500000\n",
            ),
            ("sys/fs/cgroup/pod/job/cpu.max", "300000 100000\n"),
            ("sys/fs/cgroup/pod/job/cpu.stat", "throttled_usec 500\n"),
            ("sys/fs/cgroup/pod/job/driver/cpu.max", "max 100000\n"),
            (
                "sys/fs/cgroup/pod/job/driver/cpu.stat",
                "usage_usec 5\nthrottled_usec 7\n",
            ),
        ]);
        assert_eq!(limits, (Some(1.5), Some(Duration::from_micros(2_500_500))));
    }

    #[test]
    fn version_1_says_the_same_in_other_words() {
        let limits = limits(&[
            (
                "proc/self/cgroup",
                "9:memory:/job\n4:cpu,cpuacct:/job\n0::/\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us",
                "100000\n",
            ),
            (
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat",
                "nr_periods 3\nthrottled_time 1000000\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/cpu.stat",
                "nr_periods 0\nthrottled_time 0\n",
            ),
        ]);
        assert_eq!(limits, (Some(0.5), Some(Duration::from_millis(1))));
    }

    #[test]
    fn without_a_limit_nothing_is_throttled_and_a_group_that_cannot_be_seen_is_none() {
        let free = limits(&[
            ("proc/self/cgroup", "0::/elsewhere\n"),
            ("sys/fs/cgroup/cpu.stat", "throttled_usec 0\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(free, (None, None));
        assert_eq!(limits(&[]), (None, None));
    }
}
