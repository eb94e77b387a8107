//! Steady loads on a model server with a known service time.

use std::{path::Path, time::Duration};

use loadgen::Arrivals;
use transport::Frame;

use crate::{
    case::{BATCH, Case, Policy, SETTLED, capacity, law},
    figures::Figures,
    offered::{Load, offer},
    required::Required,
    served::{App, Deployment, Protocol},
    table::{Against, Rows, words},
};

/// Offered loads, as multiples of the policy's capacity.
const LOADS: [f64; 8] = [0.5, 0.8, 0.9, 1.1, 1.5, 2.0, 5.0, 20.0];

/// Objectives, as multiples of a full batch's time.
const OBJECTIVES: [u32; 3] = [3, 5, 20];

/// Largest 99th percentile of the generator's lag, in milliseconds: beyond it the generator does
/// not follow.
const LAG_MS: f64 = 10.0;

/// Cases of the grid. Every combination of protocols and laws with `full`; else each row has one of
/// them in turn, and the shortest and the longest objective have fewer loads.
pub(crate) fn grid(full: bool) -> Vec<Case> {
    let servers = [
        (Protocol::Rest, 3, 0.0),
        (Protocol::Native, 4, 0.2),
        (Protocol::Rest, 4, 0.0),
        (Protocol::Native, 3, 0.2),
        (Protocol::Rest, 3, 0.2),
        (Protocol::Native, 4, 0.0),
        (Protocol::Rest, 4, 0.2),
        (Protocol::Native, 3, 0.0),
    ];
    let mut cases = Vec::new();
    for load in LOADS {
        for times in OBJECTIVES {
            if !full && times != 5 && [0.8, 1.5].contains(&load) {
                continue;
            }
            for policy in Policy::ALL {
                let turn = cases.len();
                let chosen = match full {
                    true => &servers[..],
                    // 3 is the number of policies: the step changes the order of each three.
                    false => &servers[(turn + turn / 3) % servers.len()..][..1],
                };
                for (protocol, rpc_version, spread) in chosen.iter().copied() {
                    let law = law(spread);
                    let objective = law.mean(BATCH) * times;
                    cases.push(Case {
                        protocol,
                        rpc_version,
                        law,
                        policy,
                        objective,
                        rate: load * capacity(&law, policy, objective),
                    });
                }
            }
        }
    }
    cases
}

/// The table of the issue: REST, a version-3 container, objective 100 ms.
pub(crate) fn issue() -> Vec<Case> {
    let rows = [
        (Policy::Aimd, 700.0),
        (Policy::Aimd, 900.0),
        (Policy::Aimd, 1_100.0),
        (Policy::Fixed(BATCH), 800.0),
        (Policy::Fixed(BATCH), 1_100.0),
    ];
    let case = |(policy, rate)| Case {
        protocol: Protocol::Rest,
        rpc_version: 3,
        law: law(0.0),
        policy,
        objective: Duration::from_millis(100),
        rate,
    };
    rows.map(case).into()
}

/// Runs a case on a fresh deployment, and returns the figures of its window and of the window's
/// first second.
pub(crate) fn measure(
    frontend: &Path,
    case: &Case,
    seconds: f64,
) -> anyhow::Result<(Figures, Figures)> {
    let app = App {
        name: "app",
        objective: case.objective,
    };
    let served = Deployment {
        frontend: frontend.to_owned(),
        server: case.server(),
        max: case.policy.max(),
        policy: case.policy.flag(),
        apps: vec![app.clone()],
    }
    .start()?;
    let mut client = served.connect(case.protocol, &app, case.rate)?;
    let window = SETTLED..SETTLED + Duration::from_secs_f64(seconds);
    let load = Load {
        arrivals: Arrivals::poisson(case.rate),
        seed: 1,
        // The last queries of the window meet the load that the others meet.
        duration: window.end + case.objective,
        objective: case.objective,
        inputs: &inputs(),
    };
    let queries = offer(&mut *client, &load)?;
    let first = SETTLED..SETTLED + Duration::from_secs(1);
    Ok((
        Figures::of(&queries, case.objective, &window),
        Figures::of(&queries, case.objective, &first),
    ))
}

/// Four floats each, which a query takes in a few bytes.
pub(crate) fn inputs() -> Vec<Frame> {
    let input = |n: u8| {
        Frame::from(
            [f32::from(n), 0.5, 0.25, 2.0]
                .map(f32::to_le_bytes)
                .concat(),
        )
    };
    (0..8).map(input).collect()
}

/// Measures a case, adds its row, and checks its figures.
pub(crate) fn run(
    frontend: &Path,
    case: &Case,
    seconds: f64,
    rows: &mut Rows,
    required: &mut Required,
) -> anyhow::Result<()> {
    let (figures, first) = measure(frontend, case, seconds)?;
    let against = against(case, &figures, seconds);
    rows.add("", case, &figures, against);
    let row = words(case);
    check_figures(required, &row, &figures);
    required.at_least(&row, "goodput over the reference", against.reference, 0.95);
    let adaptive = case.policy.max().is_none();
    if case.load() > 1.05 && (!adaptive || case.objective >= case.law.mean(BATCH) * 5) {
        let least = if case.load() > 10.0 { 0.8 } else { 0.9 };
        required.at_least(&row, "goodput over the capacity", against.capacity, least);
    }
    if case.load() > 1.05 {
        let pace = first.per_second(first.in_time) / figures.per_second(figures.in_time);
        required.at_least(
            &row,
            "goodput in the fourth second over the rest",
            pace,
            0.9,
        );
    }
    Ok(())
}

pub(crate) fn against(case: &Case, figures: &Figures, seconds: f64) -> Against {
    let window = Duration::from_secs_f64(seconds);
    let share = case.share(figures.offered, figures.in_time, window);
    Against {
        reference: share / case.reference(window),
        capacity: share,
    }
}

/// Checks what holds of every load.
pub(crate) fn check_figures(required: &mut Required, row: &str, figures: &Figures) {
    let (late, too_late) = (figures.late_share(), figures.too_late_share());
    required.at_most(row, "share of late answers", late, 0.001);
    required.at_most(row, "share computed too late", too_late, 0.02);
    required.at_most(row, "number of errors", figures.errors as f64, 0.0);
    required.at_most(
        row,
        "p99 of the generator's lag, ms,",
        figures.lag_ms,
        LAG_MS,
    );
}
