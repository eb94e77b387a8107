//! CPU limits and throttling of the kernel's control groups, version 1 or 2.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The control groups that can limit this process's CPU time: its own and its ancestors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlGroups {
    folders: Vec<PathBuf>,
}

impl ControlGroups {
    /// Finds the groups of this process. `root` is `/` except in tests. Unreadable groups are skipped.
    pub fn read(root: &Path) -> ControlGroups {
        let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mount = root.join("sys/fs/cgroup");
        let groups = memberships.lines().filter_map(|line| {
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
        let with_ancestors = |(mount, path): (PathBuf, &str)| {
            let group = mount.join(path);
            let folders = group
                .ancestors()
                .take_while(|folder| folder.starts_with(&mount));
            folders.map(Path::to_owned).collect::<Vec<_>>()
        };
        let folders = groups.flat_map(with_ancestors);
        ControlGroups {
            folders: folders
                .filter(|folder| folder.join("cpu.stat").is_file())
                .collect(),
        }
    }

    /// Tightest CPU limit, in cores, for instance 1.5; `None` without a limit.
    pub fn cpu_limit(&self) -> Option<f64> {
        self.limits().map(|(_, limit)| limit).min_by(f64::total_cmp)
    }

    /// Total time for which the groups with a limit have been throttled; `None` without a limit.
    pub fn throttled(&self) -> Option<Duration> {
        let times = self.limits().filter_map(|(folder, _)| throttled(folder));
        times.reduce(|total, time| total + time)
    }

    /// Returns each group that has a limit, with the limit in cores.
    fn limits(&self) -> impl Iterator<Item = (&Path, f64)> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        folders.filter_map(|folder| Some((folder, limit(folder)?)))
    }
}

/// CPU limit of one group, in cores.
fn limit(folder: &Path) -> Option<f64> {
    let number = |file: &str| -> Option<f64> { read(folder, file)?.trim().parse().ok() };
    let (quota, period) = match read(folder, "cpu.max") {
        Some(max) => {
            // `max 100000` means no limit.
            let (quota, period) = max.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        None => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
    };
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// Time for which one group has been throttled.
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

    /// Returns CPU limit and throttled time for a tree of these files, given as path and content.
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
    fn version_2_reports_the_tightest_limit() {
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
    fn version_1_files_are_read_too() {
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
    fn missing_limits_and_unreadable_groups_give_none() {
        let unlimited = limits(&[
            ("proc/self/cgroup", "0::/elsewhere\n"),
            ("sys/fs/cgroup/cpu.stat", "throttled_usec 0\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(unlimited, (None, None));
        assert_eq!(limits(&[]), (None, None));
    }
}
