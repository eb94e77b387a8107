//! `make chaos`: processes die, stop and crawl, clients vanish, and every query is accounted for.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use endurance::{
    faults::FaultInjector,
    ledger::Counts,
    load::{Clients, Door},
    models,
    progress::{Progress, percent},
    report,
    samples::{Held, Margin, Mib},
    scene::{Deployed, Scene},
    schedule::Schedule,
    shared::Shared,
    weather::Fault,
};
use loadgen::Arrivals;
use model::DataType;
use signal_hook::consts::{SIGINT, SIGTERM};

/// How long the capacity is looked for, and how long clients ask after the last fault.
const CAPACITY: Duration = Duration::from_secs(5);
const AFTERWARDS: Duration = Duration::from_secs(5);

/// So soon after the load has gone, memory must be back.
const BACK: Duration = Duration::from_secs(60);

/// Makes faults under load and fails if a query is not accounted for, an answer is wrong, or anything is not as it was.
#[derive(Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    /// Seconds of faults
    #[arg(long, env = "CHAOS_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(30..))]
    seconds: u64,
    /// What the faults are drawn from [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// The share of the capacity to ask
    #[arg(long, default_value_t = 0.7)]
    share: f64,
    /// The folder for state and logs, which is emptied before
    #[arg(long, default_value = "target/chaos")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    chaos(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("chaos: {error:#}");
        ExitCode::FAILURE
    })
}

fn chaos(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let mut models = vec![
        models::digest(2),
        models::noop("noop", 2, DataType::Floats, &[10, 10, 10, 2_048]),
    ];
    models.extend(models::classifier("lgbm", 2)?);
    let mut scene = Scene::start(&arguments.dir, &models)?;
    let schedule = plan(arguments, &models);
    let shared = Shared::default();
    let mut clients = clients(&models, &scene)?;
    let capacity = clients.capacity(CAPACITY, &shared)?;
    let level = held(&scene)?;
    let arrivals = |rate: &f64| Arrivals::Constant {
        rate: arguments.share * rate,
    };
    let arrivals: Vec<Arrivals> = capacity.iter().map(arrivals).collect();
    let (all, share) = (capacity.iter().sum::<f64>(), arguments.share);
    println!(
        "capacity {all:.0} queries/s; load {:.0} queries/s",
        share * all
    );

    let mut violations = Vec::new();
    let counts = clients.run(&arrivals, &shared, || {
        let time = Duration::from_secs(arguments.seconds);
        let mut progress = Progress::new(time, &shared);
        let conductor = FaultInjector::new(&mut scene, &shared, &models[0])?;
        violations = conductor.conduct(&schedule, &mut progress, &interrupted)?;
        Ok(())
    })?;
    let afterwards = clients.run(&arrivals, &shared, || {
        thread::sleep(AFTERWARDS);
        Ok(())
    })?;
    let during = sum(&counts);
    println!(
        "\n{}\n\n{}\n\n{}",
        report::by_fault(&during),
        report::by_client(&counts),
        report::reasons(&during)
    );
    violations.extend(during.violations());
    violations.extend(restored(&afterwards));
    violations.extend(back_to(&level, &mut scene)?);
    Ok(report::verdict("chaos", &violations))
}

/// Draws the faults and says what they are.
fn plan(arguments: &Arguments, models: &[Deployed]) -> Schedule {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = arguments
        .seed
        .unwrap_or(clock.unwrap_or_default().as_secs());
    let replicas = models.iter().map(|model| model.replicas).sum();
    let schedule = Schedule::new(seed, Duration::from_secs(arguments.seconds), replicas);
    let count = |fault: Fault| format!("{} {}", fault.name(), schedule.count(fault));
    println!(
        "seed {seed} (--seed {seed} repeats it): {}",
        Fault::ALL.map(count).join(", ")
    );
    schedule
}

fn clients(models: &[Deployed], scene: &Scene) -> anyhow::Result<Clients> {
    let mut clients = Clients::new(scene.ports());
    for model in models {
        clients.add(model, Door::Native, 1)?;
        if model.name != "lgbm" {
            clients.add(model, Door::Rest, 2)?;
        }
    }
    Ok(clients)
}

/// What each process holds; of the replicas of a model, the most.
fn held(scene: &Scene) -> anyhow::Result<BTreeMap<String, Held>> {
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    for (name, pid) in scene.processes() {
        let role = name.rsplit_once('-').map_or(name, |(model, _)| model);
        let most = held.entry(role.to_owned()).or_default();
        *most = most.most(&Held::of(pid)?);
    }
    Ok(held)
}

/// After the faults: every client is answered as if there had been none.
fn restored(clients: &[(String, Counts)]) -> Vec<String> {
    let all = sum(clients);
    let total = all.total();
    let share = percent(total.in_time, total.ended());
    println!(
        "afterwards, for {} s: {share} in time of {}",
        AFTERWARDS.as_secs(),
        all.asked
    );
    let silent = clients
        .iter()
        .filter(|(_, counts)| counts.total().in_time == 0);
    let silent = silent.map(|(name, _)| format!("afterwards, {name} got no answer in time"));
    let violations = all.violations();
    let violations = violations.iter().map(|what| format!("afterwards, {what}"));
    violations.chain(silent).collect()
}

/// After the load: nothing waits, and nobody holds more than before the faults. Waits for that, but not for long.
fn back_to(level: &BTreeMap<String, Held>, scene: &mut Scene) -> anyhow::Result<Vec<String>> {
    let margin = Margin::PEAKS;
    let limit = Instant::now() + BACK;
    loop {
        let now = held(scene)?;
        let mut violations = Vec::new();
        for (role, now) in &now {
            let beyond = now.beyond(&level[role], margin).into_iter();
            violations.extend(
                beyond.map(|what| format!("without load, {role} holds more than before: {what}")),
            );
        }
        let waiting = scene.waiting()?;
        if waiting > 0 {
            violations.push(format!(
                "{waiting} queries wait in the frontend, and nobody asks"
            ));
        }
        if violations.is_empty() || Instant::now() > limit {
            let show = |(role, now): (&String, &Held)| {
                format!("{role} {} ({})", Mib(now.rss), Mib(level[role].rss))
            };
            let shown: Vec<_> = now.iter().map(show).collect();
            println!(
                "memory after the load (before the faults; allowed are {margin} more): {}",
                shown.join(", ")
            );
            return Ok(violations);
        }
        scene.check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

fn sum(clients: &[(String, Counts)]) -> Counts {
    let mut all = Counts::default();
    clients
        .iter()
        .for_each(|(_, counts)| all.add(counts.clone()));
    all
}
