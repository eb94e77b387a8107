//! Loads that are not steady or not of one application: bursts, and two objectives on one model.

use std::{path::Path, thread, time::Duration};

use loadgen::{Arrivals, Client};
use simulation::Random;

use crate::{
    case::{BATCH, Policy, SETTLED, capacity, law, paced},
    figures::Figures,
    offered::{Load, Sent, offer},
    required::Required,
    served::{App, Deployment, Protocol, Served},
    steady::{check_figures, inputs},
    table::table,
};

/// A burst begins at this time, and lasts for a second.
const BURST: Duration = Duration::from_secs(5);
const BURST_ENDS: Duration = Duration::from_secs(6);

/// Time before and after a burst in which the queries are counted.
const COUNTED: Duration = Duration::from_secs(2);

const OBJECTIVE: Duration = Duration::from_millis(90);
const LONG_OBJECTIVE: Duration = Duration::from_millis(900);

pub(crate) fn run(frontend: &Path, required: &mut Required) -> anyhow::Result<()> {
    let mut bursts = table(&[
        "10 times the load for 1 s",
        "batch",
        "in time before, %",
        "in the burst, /s",
        "after two objectives, %",
    ]);
    let mut pairs = table(&[
        "two objectives",
        "batch",
        "in time of 90 ms, %",
        "of 900 ms, %",
        "both, of capacity",
        "late, %",
    ]);
    for (policy, protocol) in [
        (Policy::Fixed(BATCH), Protocol::Rest),
        (Policy::Aimd, Protocol::Native),
        (Policy::Quantile, Protocol::Rest),
    ] {
        let row = format!("burst, {}, batch {}", protocol.name(), policy.name());
        eprintln!("{row}");
        let [before, during, after] = burst(frontend, policy, protocol)?;
        bursts.add_row([
            protocol.name().to_owned(),
            policy.name(),
            format!("{:.1}", 100.0 * before.in_time_share()),
            format!("{:.0}", during.per_second(during.in_time)),
            format!("{:.1}", 100.0 * after.in_time_share()),
        ]);
        let recovered = after.in_time_share() / before.in_time_share();
        required.at_least(
            &row,
            "goodput two objectives after over before",
            recovered,
            0.99,
        );
        check_figures(required, &format!("{row}, after it"), &after);

        let row = format!(
            "two objectives, {}, batch {}",
            protocol.name(),
            policy.name()
        );
        eprintln!("{row}");
        let shares = two_objectives(frontend, policy, protocol)?;
        let late = shares.iter().map(Figures::late_share).fold(0.0, f64::max);
        let [short, long] = shares.map(|figures| figures.in_time_share());
        pairs.add_row([
            protocol.name().to_owned(),
            policy.name(),
            format!("{:.1}", 100.0 * short),
            format!("{:.1}", 100.0 * long),
            format!("{:.3}", short + long),
            format!("{:.3}", 100.0 * late),
        ]);
        required.at_least(&row, "share in time of 90 ms", short, 0.3);
        required.at_least(&row, "share in time of 900 ms", long, 0.3);
        required.at_least(&row, "goodput of both over the capacity", short + long, 0.9);
        required.at_most(&row, "share of late answers", late, 0.001);
    }
    println!("\n{bursts}\n\n{pairs}");
    Ok(())
}

/// Figures before a burst, in it and after it, at half of the capacity apart from the burst.
fn burst(frontend: &Path, policy: Policy, protocol: Protocol) -> anyhow::Result<[Figures; 3]> {
    let app = App {
        name: "app",
        objective: OBJECTIVE,
    };
    let served = start(frontend, policy, vec![app.clone()])?;
    let usual = 0.5 * capacity(&law(0.2), policy, OBJECTIVE);
    let recovered = BURST_ENDS + 2 * OBJECTIVE;
    let ends = recovered + COUNTED;
    let mut random = Random(1);
    let mut times = Vec::new();
    let mut at = Duration::ZERO;
    while at < ends {
        let rate = match (BURST..BURST_ENDS).contains(&at) {
            true => 10.0 * usual,
            false => usual,
        };
        at += random.exponential(rate);
        times.push(at);
    }
    let mut client = served.connect(protocol, &app, 10.0 * usual)?;
    let load = Load {
        arrivals: Arrivals::at_times(times.into()),
        seed: 0,
        duration: ends,
        objective: OBJECTIVE,
        inputs: &inputs(),
    };
    let queries = offer(&mut *client, &load)?;
    let windows = [BURST - COUNTED..BURST, BURST..BURST_ENDS, recovered..ends];
    Ok(windows.map(|window| Figures::of(&queries, OBJECTIVE, &window)))
}

/// Figures of two applications on one model, each offered its capacity.
fn two_objectives(
    frontend: &Path,
    policy: Policy,
    protocol: Protocol,
) -> anyhow::Result<[Figures; 2]> {
    let apps = [("short", OBJECTIVE), ("long", LONG_OBJECTIVE)];
    let apps = apps.map(|(name, objective)| App { name, objective });
    let served = start(frontend, policy, apps.to_vec())?;
    let rate = law(0.2).capacity(BATCH);
    let window = SETTLED..SETTLED + Duration::from_secs(4);
    let one = |mut client: Box<dyn Client>, app: &App, seed: u64| -> anyhow::Result<Vec<Sent>> {
        let load = Load {
            arrivals: Arrivals::poisson(rate),
            seed,
            duration: window.end + LONG_OBJECTIVE,
            objective: app.objective,
            inputs: &inputs(),
        };
        offer(&mut *client, &load)
    };
    let [short, long] = &apps;
    // Both loads begin at the same time: connecting may take a second.
    let (of_short, of_long) = (
        served.connect(protocol, short, rate)?,
        served.connect(protocol, long, rate)?,
    );
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| one(of_short, short, 1));
        let second = one(of_long, long, 2);
        (first.join().expect("a client does not panic"), second)
    });
    Ok([
        Figures::of(&first?, short.objective, &window),
        Figures::of(&second?, long.objective, &window),
    ])
}

fn start(frontend: &Path, policy: Policy, apps: Vec<App>) -> anyhow::Result<Served> {
    Deployment {
        frontend: frontend.to_owned(),
        server: paced(&law(0.2), 4),
        max: policy.max(),
        policy: policy.flag(),
        apps,
    }
    .start()
}
