//! Checks of the machine: pinning held, and nothing else took CPU time.

use host::{
    ProcessUse,
    cores::{self, Cores},
};

use loadgen::stats::interval::mean;

use super::finding::{CheckResult, invalid, suspect};
use crate::{text::percent, trial::Trial};

/// Limit of stolen or throttled time; more moves a throughput by more than the usual width of its
/// interval.
const STOLEN: f64 = 0.02;

pub(super) fn pins_not_held(result: &Trial) -> CheckResult {
    let processes = result.resources.as_ref()?.processes.iter();
    let has_moved = |process: &&ProcessUse| {
        let lists = process.pinned.as_deref().zip(process.held.as_deref());
        lists.is_some_and(|(pinned, held)| list(pinned) != list(held))
    };
    let process = processes.into_iter().find(has_moved)?;
    invalid(format!(
        "{} was pinned to cores {}, but ran on cores {}; find the program that changes its affinity",
        process.name,
        process.pinned.as_deref()?,
        process.held.as_deref()?
    ))
}

pub(super) fn shared_cores(result: &Trial) -> CheckResult {
    result.speed()?;
    let others = ["driver", "frontend"].map(|name| {
        let cores = result.driver.cores_of(name).unwrap_or_default();
        (name.to_owned(), cores)
    });
    let replicas = result.replicas.iter().enumerate();
    let replicas = replicas.filter_map(|(index, replica)| {
        Some((format!("replica {index}"), list(replica.cores.as_deref()?)))
    });
    let users: Vec<_> = others.into_iter().chain(replicas).collect();
    let (one, other, shared) = first_overlap(&users)?;
    suspect(format!(
        "{one} and {other} share cores {}, which slows both; separate them with --model_cpus, --frontend_cpus and \
         --client_cpus, or take fewer replicas",
        cores::show(&shared)
    ))
}

/// Returns the first two users of the same cores, and those cores.
fn first_overlap(users: &[(String, Cores)]) -> Option<(&str, &str, Cores)> {
    users.iter().enumerate().find_map(|(index, (one, mine))| {
        users[index + 1..].iter().find_map(|(other, theirs)| {
            let shared = mine.iter().copied().filter(|core| theirs.contains(core));
            let shared: Cores = shared.collect();
            (!shared.is_empty()).then_some((one.as_str(), other.as_str(), shared))
        })
    })
}

pub(super) fn stolen_time(result: &Trial) -> CheckResult {
    let resources = result.resources.as_ref()?;
    let stolen = mean(&resources.stolen);
    let length = resources.seconds.last()?;
    let throttled = resources.throttled_seconds.unwrap_or(0.0) / length;
    let share = stolen.max(throttled);
    (share > STOLEN).then_some(())?;
    let [share, limit] = [share, STOLEN].map(percent);
    suspect(match stolen > throttled {
        true => format!(
            "the hypervisor stole {share} of the CPU time (limit: {limit}); measure on a machine with dedicated cores"
        ),
        false => format!(
            "the cgroup CPU limit throttled the processes for {share} of the time (limit: {limit}); raise it"
        ),
    })
}

pub(super) fn debug_build(result: &Trial) -> CheckResult {
    let debug = result.speed().is_some() && result.versions.profile == "debug";
    debug.then_some(())?;
    suspect(
        "the driver is a debug build, so it may be the bottleneck; build it with --release"
            .to_owned(),
    )
}

fn list(cores: &str) -> Cores {
    cores::parse(&[cores.to_owned()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::CheckFinding;
    use crate::fixture::{profiled, whole};

    #[test]
    fn pinning_is_compared_as_sets_of_cores() {
        let mut result = profiled();
        let process = &mut result.resources.as_mut().unwrap().processes[0];
        process.pinned = Some("2,0,1".to_owned());
        process.held = Some("0-2".to_owned());
        assert_eq!(pins_not_held(&result), None);
    }

    #[test]
    fn names_the_users_of_shared_cores() {
        let mut result = whole();
        result
            .driver
            .cores
            .insert("driver".to_owned(), "1-3".to_owned());
        let CheckFinding { text, .. } = shared_cores(&result).unwrap();
        assert!(
            text.starts_with("driver and frontend share cores 2, "),
            "{text}"
        );
    }

    #[test]
    fn missing_evidence_is_not_a_reason() {
        let mut result = whole();
        result.driver.cores.clear();
        result
            .replicas
            .iter_mut()
            .for_each(|replica| replica.cores = None);
        assert_eq!(shared_cores(&result), None);
        assert_eq!(pins_not_held(&result), None);
        assert_eq!(stolen_time(&result), None);
    }
}
