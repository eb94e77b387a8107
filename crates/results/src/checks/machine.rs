//! Whether the machine gave what was asked of it, undisturbed.

use host::{
    ProcessUse,
    cores::{self, Cores},
};

use loadgen::stats::interval::mean;

use super::finding::{Finding, invalid, suspect};
use crate::{text::percent, trial::Trial};

/// More stolen or throttled time than this moves a throughput by more than its interval usually is wide.
const STOLEN: f64 = 0.02;

pub(super) fn pins_not_held(result: &Trial) -> Finding {
    let processes = result.resources.as_ref()?.processes.iter();
    let strayed = |process: &&ProcessUse| {
        let lists = process.pinned.as_deref().zip(process.held.as_deref());
        lists.is_some_and(|(pinned, held)| list(pinned) != list(held))
    };
    let process = processes.into_iter().find(strayed)?;
    invalid(format!(
        "{} was to run on cores {}, but the kernel let it run on {}: something else sets its cores",
        process.name,
        process.pinned.as_deref()?,
        process.held.as_deref()?
    ))
}

pub(super) fn shared_cores(result: &Trial) -> Finding {
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
        "{one} and {other} share cores {}, so each slows the other: name cores with --model_cpus, --frontend_cpus and \
         --client_cpus, or take fewer replicas where the machine has too few",
        cores::show(&shared)
    ))
}

/// The first two users of the same cores, and which those are.
fn first_overlap(users: &[(String, Cores)]) -> Option<(&str, &str, Cores)> {
    users.iter().enumerate().find_map(|(index, (one, mine))| {
        users[index + 1..].iter().find_map(|(other, theirs)| {
            let shared = mine.iter().copied().filter(|core| theirs.contains(core));
            let shared: Cores = shared.collect();
            (!shared.is_empty()).then_some((one.as_str(), other.as_str(), shared))
        })
    })
}

pub(super) fn stolen_time(result: &Trial) -> Finding {
    let resources = result.resources.as_ref()?;
    let stolen = mean(&resources.stolen);
    let length = resources.seconds.last()?;
    let throttled = resources.throttled_seconds.unwrap_or(0.0) / length;
    let share = stolen.max(throttled);
    (share > STOLEN).then_some(())?;
    let by = match stolen > throttled {
        true => "the host gave to others",
        false => "the control group was stopped for having used its share",
    };
    suspect(format!(
        "for {} of the time {by}: measure on a machine, or with a limit, that has the cores to itself",
        percent(share)
    ))
}

pub(super) fn debug_build(result: &Trial) -> Finding {
    let debug = result.speed().is_some() && result.versions.profile == "debug";
    debug.then_some(())?;
    suspect(
        "the driver is a debug build, which may be what limits the number: build with --release"
            .to_owned(),
    )
}

fn list(cores: &str) -> Cores {
    cores::parse(&[cores.to_owned()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Suspicion;
    use crate::fixture::{profiled, whole};

    #[test]
    fn a_pin_is_held_however_its_list_is_written() {
        let mut result = profiled();
        let process = &mut result.resources.as_mut().unwrap().processes[0];
        process.pinned = Some("2,0,1".to_owned());
        process.held = Some("0-2".to_owned());
        assert_eq!(pins_not_held(&result), None);
    }

    #[test]
    fn who_shares_which_cores_is_named() {
        let mut result = whole();
        result
            .driver
            .cores
            .insert("driver".to_owned(), "1-3".to_owned());
        let Suspicion { text, .. } = shared_cores(&result).unwrap();
        assert!(
            text.starts_with("driver and frontend share cores 2, "),
            "{text}"
        );
    }

    #[test]
    fn evidence_that_is_missing_is_no_reason() {
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
