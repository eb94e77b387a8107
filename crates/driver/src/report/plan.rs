//! The plan in words: what is going to be measured, on which cores, and how long that takes.

use std::{collections::BTreeSet, fmt::Write};

use super::{DEBUG_BUILD, rounded};
use crate::{
    cores,
    inputs::Inputs,
    machine::Machine,
    plan::{Impossible, Plan, Point},
    settings::{Mode, Settings},
    sweep::TimeLeft,
};

/// What is going to happen, in lines.
pub fn plan(settings: &Settings, plan: &Plan, inputs: &Inputs, machine: &Machine) -> String {
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
        row("load", load(settings));
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
    let points = match (plan.points.len(), settings.repeats) {
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
    let total = TimeLeft::new(settings, plan.zero.len(), plan.runs.len()).left();
    format!(
        "plan: {model} at {points}, each {} s under load, about {} in all",
        settings.duration.as_secs_f64(),
        rounded(total.unwrap_or_default())
    )
}

/// Each reason with the combinations that it keeps from running.
fn impossible(impossible: &[Impossible]) -> Vec<(&str, String)> {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for Impossible { cell, reason } in impossible {
        let cell = cell.to_string();
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, cells)) => {
                cells.push_str("; ");
                cells.push_str(&cell);
            }
            None => reasons.push((reason, cell)),
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
    let shares: BTreeSet<_> = plan.points.iter().map(Point::cpus_per_replica).collect();
    let shares: Vec<_> = shares.iter().map(usize::to_string).collect();
    let sharing = plan
        .points
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

fn load(settings: &Settings) -> String {
    let mode = match &settings.mode {
        Mode::Poisson(rate) | Mode::Constant(rate) | Mode::Flood(rate) => {
            format!("{} at {rate} queries/s", settings.mode.name())
        }
        Mode::Trace(file) => format!("trace {}", file.display()),
        Mode::Profile | Mode::Saturate | Mode::SingleStream | Mode::Zero => {
            settings.mode.name().to_owned()
        }
    };
    let in_flight = match settings.in_flight {
        Some(number) => number.to_string(),
        None => "3 x batch size x replicas".to_owned(),
    };
    format!(
        "{mode}; in a closed loop {in_flight} in flight, from {} client threads",
        settings.num_clients
    )
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
