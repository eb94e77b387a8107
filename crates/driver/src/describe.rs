//! The plan in words: what is going to be measured, on which cores, and how long that takes.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use host::{cores, machine::Machine};
use loadgen::{Arrivals, trace};
use report::{plural, rounded};

use crate::{
    inputs::Inputs,
    plan::{ConfigPlan, Impossible, Plan},
    prepare::Prepared,
    settings::{Mode, Settings},
    time_left::TimeLeft,
};

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// What is going to happen, in lines.
pub fn describe(prepared: &Prepared) -> String {
    let Prepared {
        settings,
        plan,
        inputs,
        machine,
        ..
    } = prepared;
    let list = |numbers: &[usize]| numbers.iter().map(|n| format!(" {n}")).collect::<String>();
    let mut text = headline(settings, plan, inputs);
    let mut row = |name: &str, value: String| {
        // It cannot fail: it is a string.
        let _ = write!(text, "\n  {name:12} {}", value.trim());
    };
    row("replicas", list(&settings.num_replicas));
    row("batch sizes", list(&settings.batch_sizes));
    row("cores", core_plan(plan, machine));
    if !plan.zero.is_empty() {
        let (count, each) = (plan.zero.len(), plan.zero_duration.as_secs_f64());
        row(
            "zero",
            format!(
                "the no-op model first, {each} s at each of {count} shapes (--no_zero leaves it out)"
            ),
        );
    }
    for (reason, combinations) in impossible(&plan.impossible) {
        row("cannot run", format!("{combinations}: {reason}"));
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
        row("but", DEBUG_BUILD.to_owned());
    }
    text
}

/// What is measured or counted, how often, and how long that takes.
fn headline(settings: &Settings, plan: &Plan, inputs: &Inputs) -> String {
    let model = settings.model.name;
    let points = match (plan.configs.len(), settings.repeats) {
        (1, 1) => "1 point".to_owned(),
        (count, 1) => format!("{count} points"),
        (count, rounds) => format!("{count} points in each of {rounds} rounds"),
    };
    if settings.labels.is_some() {
        return format!(
            "plan: {model} in accuracy runs at {points}, each of {} labelled inputs sent once; no measurement of speed",
            inputs.labels.len()
        );
    }
    let total = TimeLeft::new(settings, plan.zero.len(), plan.trials.len()).left();
    format!(
        "plan: {model} at {points}, each {} s under load, about {} in all",
        trace::seconds(settings.duration),
        rounded(total.unwrap_or_default())
    )
}

/// Each reason with the combinations that it keeps from running.
fn impossible(impossible: &[Impossible]) -> Vec<(&str, String)> {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for Impossible { config, reason } in impossible {
        let config = config.to_string();
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, cells)) => {
                cells.push_str("; ");
                cells.push_str(&config);
            }
            None => reasons.push((reason, config)),
        }
    }
    reasons
}

fn core_plan(plan: &Plan, machine: &Machine) -> String {
    let others = &plan.others;
    let limit = machine.cpu_limit.map_or(String::new(), |limit| {
        format!(" (the control group stops all after {limit:.2} cores' worth of time)")
    });
    if !others.pinned {
        return format!(
            "{}, shared by replicas, frontend and driver (--model_cpus separates them){limit}",
            cores::show(&others.allowed)
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
        .map(|point| others.sharing(&point.replica_cores));
    let sharing: BTreeSet<_> = sharing.map(|sharing| sharing.to_string()).collect();
    let sharing: Vec<_> = sharing.into_iter().collect();
    format!(
        "{} per replica, frontend on {}, driver on {}; {}{limit}",
        shares.join(" or "),
        cores::show(&others.frontend),
        cores::show(&others.driver()),
        sharing.join("; or ")
    )
}

/// How queries are going to arrive in the mode that was asked for.
fn load(settings: &Settings, plan: &Plan) -> String {
    let mode = settings.mode.name();
    let load = match &settings.mode {
        Mode::Profile => format!("{}, then {}", in_flight(plan), latency(settings)),
        Mode::Saturate => in_flight(plan),
        Mode::SingleStream => "1 query in flight".to_owned(),
        Mode::Zero => format!("{}, then 1", in_flight(plan)),
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

/// Over all points, in a closed loop.
fn in_flight(plan: &Plan) -> String {
    let numbers = || plan.configs.iter().map(|point| point.in_flight);
    match (numbers().min(), numbers().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most} queries in flight"),
        (_, most) => format!("{} queries in flight", most.unwrap_or_default()),
    }
}

/// What a profile does for the latency once it knows the throughput.
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

/// The arrivals of an open loop that sends for `duration`.
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
