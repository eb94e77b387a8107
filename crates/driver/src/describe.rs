//! Prints the plan: the configs, their cores, the load and the estimated duration.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use host::{cores, machine::Machine};
use loadgen::{Arrivals, trace};
use report::{plural, rounded};

use crate::{
    inputs::Inputs,
    plan::{ConfigPlan, InfeasibleConfig, Plan},
    prepare::PreparedSweep,
    settings::{Mode, Settings},
    time_left::TimeLeft,
};

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit the measured rates; build it with --release";

/// Returns the plan as lines of text.
pub fn describe(prepared: &PreparedSweep) -> String {
    let PreparedSweep {
        settings,
        plan,
        inputs,
        machine,
        ..
    } = prepared;
    let list = |numbers: &[usize]| numbers.iter().map(|n| format!(" {n}")).collect::<String>();
    let mut text = headline(settings, plan, inputs);
    let mut row = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {name:12} {}", value.trim());
    };
    row("replicas", list(&settings.num_replicas));
    row("batch sizes", list(&settings.batch_sizes));
    row("cores", core_plan(plan, machine));
    if !plan.baseline.is_empty() {
        let (count, each) = (plan.baseline.len(), plan.baseline_duration.as_secs_f64());
        row(
            "baseline",
            format!(
                "the no-op model first, {each} s at each of {count} points (--no_baseline skips it)"
            ),
        );
    }
    for (reason, configs) in impossible(&plan.impossible) {
        row("cannot run", format!("{configs}: {reason}"));
    }
    if settings.labels.is_none() {
        row("load", load(settings, plan));
    }
    row("inputs", inputs.description.clone());
    row("artifact", artifact(settings));
    row("objective", objective(settings));
    row(
        "results",
        match &settings.resume {
            Some(folder) => folder.display().to_string(),
            None => format!("a new folder in {}", settings.results_dir.display()),
        },
    );
    if cfg!(debug_assertions) {
        row("warning", DEBUG_BUILD.to_owned());
    }
    text
}

/// Returns the number of points and rounds, and the estimated duration.
fn headline(settings: &Settings, plan: &Plan, inputs: &Inputs) -> String {
    let model = settings.model.name;
    let points = match (plan.configs.len(), settings.repeats) {
        (1, 1) => "1 point".to_owned(),
        (count, 1) => format!("{count} points"),
        (count, rounds) => format!("{count} points in each of {rounds} rounds"),
    };
    if settings.labels.is_some() {
        return format!(
            "plan: {model}, accuracy at {points}: each of {} labelled inputs is sent once, and speed is not measured",
            inputs.labels.len()
        );
    }
    let total = TimeLeft::new(settings, plan.baseline.len(), plan.trials.len()).left();
    format!(
        "plan: {model} at {points}, each {} s under load, about {} in all",
        trace::seconds(settings.duration),
        rounded(total.unwrap_or_default())
    )
}

/// Returns each reason with the configs that cannot run for it.
fn impossible(impossible: &[InfeasibleConfig]) -> Vec<(&str, String)> {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for InfeasibleConfig { config, reason } in impossible {
        let config = config.to_string();
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, configs)) => {
                configs.push_str("; ");
                configs.push_str(&config);
            }
            None => reasons.push((reason, config)),
        }
    }
    reasons
}

fn core_plan(plan: &Plan, machine: &Machine) -> String {
    let allocation = &plan.allocation;
    let limit = machine.cpu_limit.map_or(String::new(), |limit| {
        format!(" (cgroup CPU limit: {limit:.2} cores)")
    });
    if !allocation.pinned {
        return format!(
            "{}, shared by replicas, frontend and driver (--model_cpus separates them){limit}",
            cores::show(&allocation.allowed)
        );
    }
    let shares: BTreeSet<_> = plan
        .configs
        .iter()
        .map(ConfigPlan::cpus_per_replica)
        .collect();
    let shares: Vec<_> = shares.iter().map(usize::to_string).collect();
    let sharing = plan
        .configs
        .iter()
        .map(|config| allocation.sharing(&config.replica_cores));
    let sharing: BTreeSet<_> = sharing.map(|sharing| sharing.to_string()).collect();
    let sharing: Vec<_> = sharing.into_iter().collect();
    format!(
        "{} per replica, frontend on {}, driver on {}; {}{limit}",
        shares.join(" or "),
        cores::show(&allocation.frontend),
        cores::show(&allocation.driver()),
        sharing.join("; or ")
    )
}

/// Returns the mode with its arrival process.
fn load(settings: &Settings, plan: &Plan) -> String {
    let mode = settings.mode.name();
    let load = match &settings.mode {
        Mode::Profile => format!("{}, then {}", in_flight(plan), latency(settings)),
        Mode::Saturate => in_flight(plan),
        Mode::SingleStream => "1 query in flight".to_owned(),
        Mode::Baseline => format!("{}, then 1", in_flight(plan)),
        Mode::Open(arrivals) => offered(arrivals, settings.duration),
        Mode::Flood(arrivals) => {
            format!(
                "{}, without a warm-up",
                offered(arrivals, settings.duration)
            )
        }
    };
    let threads = match &settings.mode {
        Mode::SingleStream => 1,
        _ => settings.num_clients,
    };
    let threads = format!("{threads} client {}", plural(threads, "thread"));
    format!("{mode}: {load}; from {threads}")
}

/// Returns the range of queries in flight over all configs.
fn in_flight(plan: &Plan) -> String {
    let numbers = || plan.configs.iter().map(|config| config.in_flight);
    match (numbers().min(), numbers().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most} queries in flight"),
        (_, most) => format!("{} queries in flight", most.unwrap_or_default()),
    }
}

/// Returns the latency phases of a profile.
fn latency(settings: &Settings) -> String {
    match settings.objective {
        Some(_) => "random (Poisson) arrivals at the rates of a search for the highest one within the objective".to_owned(),
        None => {
            let shares = settings.load_shares.iter();
            let shares: Vec<_> = shares.map(|share| format!("{} %", (1e3 * share).round() / 10.0)).collect();
            let shares = shares.join(" and ");
            format!("random (Poisson) arrivals at {shares} of the throughput")
        }
    }
}

/// Returns the offered load of an open loop of this duration.
fn offered(arrivals: &Arrivals, duration: Duration) -> String {
    match arrivals {
        Arrivals::Closed { in_flight } => format!("{in_flight} queries in flight"),
        Arrivals::Poisson { rate, .. } => {
            format!("{rate} queries/s on average, at random (Poisson) times")
        }
        Arrivals::Constant { rate } => format!("{rate} queries/s, evenly spaced"),
        Arrivals::Trace {
            file,
            arrivals,
            seconds,
            left_out,
            ..
        } => {
            let cut = match left_out {
                0 => String::new(),
                _ => format!(
                    ", cut at {} s: the first {}",
                    trace::seconds(duration),
                    arrivals - left_out
                ),
            };
            format!("{arrivals} arrivals in {seconds} s{cut}, as in {file}")
        }
    }
}

fn artifact(settings: &Settings) -> String {
    match &settings.model_path {
        Some(path) => path.clone(),
        None => "the model server's own (--model_path names another)".to_owned(),
    }
}

fn objective(settings: &Settings) -> String {
    match settings.objective {
        None => "none (--slo_ms sets one)".to_owned(),
        Some(objective) => format!("{} ms", objective.as_secs_f64() * 1e3),
    }
}
