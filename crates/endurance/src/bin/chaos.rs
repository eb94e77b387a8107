//! `make chaos`: kills, stops and slows processes and disconnects clients under load, and accounts for every
//! query.

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
    active_faults::Fault,
    cluster::{Cluster, DeployedModel},
    fault_injector::FaultInjector,
    ledger::LedgerCounts,
    load::{LoadClients, LoadProtocol},
    models,
    progress::{RunProgress, percent},
    report,
    run_state::RunState,
    samples::{GrowthMargin, Mib, ProcessUsage},
    schedule::FaultSchedule,
};
use loadgen::Arrivals;
use model::DataType;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Duration of the capacity measurement.
const CAPACITY_TIME: Duration = Duration::from_secs(5);

/// Duration of the load after the last fault.
const RECOVERY_TIME: Duration = Duration::from_secs(5);

/// Time after the end of the load within which memory must return to its baseline.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(60);

/// Injects faults under load. Fails if a query is unaccounted for, an answer is wrong, or the system does not recover.
#[derive(Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    /// Duration of the faults in seconds
    #[arg(long, env = "CHAOS_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(30..))]
    seconds: u64,
    /// Seed of the fault schedule [default: the current time]
    #[arg(long)]
    seed: Option<u64>,
    /// Offered load as a fraction of the capacity
    #[arg(long, default_value_t = 0.7)]
    share: f64,
    /// Folder for state and logs; emptied at the start
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
    let mut cluster = Cluster::start(&arguments.dir, &models)?;
    let schedule = schedule(arguments, &models);
    let state = RunState::default();
    let mut clients = clients(&models, &cluster)?;
    let capacity = clients.capacity(CAPACITY_TIME, &state)?;
    let baseline = usage(&cluster)?;
    let arrivals = |rate: &f64| Arrivals::Constant {
        rate: arguments.share * rate,
    };
    let arrivals: Vec<Arrivals> = capacity.iter().map(arrivals).collect();
    let total: f64 = capacity.iter().sum();
    println!(
        "capacity {total:.0} queries/s; offered load {:.0} queries/s",
        arguments.share * total
    );

    let mut violations = Vec::new();
    let counts = clients.run(&arrivals, &state, || {
        let time = Duration::from_secs(arguments.seconds);
        let mut progress = RunProgress::new(time, &state);
        let injector = FaultInjector::new(&mut cluster, &state, &models[0])?;
        violations = injector.run(&schedule, &mut progress, &interrupted)?;
        Ok(())
    })?;
    let after = clients.run(&arrivals, &state, || {
        thread::sleep(RECOVERY_TIME);
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
    violations.extend(check_recovery(&after));
    violations.extend(check_resources(&baseline, &mut cluster)?);
    Ok(report::verdict("chaos", &violations))
}

/// Generates the fault schedule and prints its seed and numbers of faults.
fn schedule(arguments: &Arguments, models: &[DeployedModel]) -> FaultSchedule {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = arguments
        .seed
        .unwrap_or(clock.unwrap_or_default().as_secs());
    let replicas = models.iter().map(|model| model.replicas).sum();
    let schedule = FaultSchedule::new(seed, Duration::from_secs(arguments.seconds), replicas);
    let count = |fault: Fault| format!("{} {}", fault.name(), schedule.count(fault));
    println!(
        "seed {seed} (--seed {seed} repeats it): {}",
        Fault::ALL.map(count).join(", ")
    );
    schedule
}

/// Creates the clients of all models.
fn clients(models: &[DeployedModel], cluster: &Cluster) -> anyhow::Result<LoadClients> {
    let mut clients = LoadClients::new(cluster.ports());
    for model in models {
        clients.add(model, LoadProtocol::Native, 1)?;
        if model.name != "lgbm" {
            clients.add(model, LoadProtocol::Rest, 2)?;
        }
    }
    Ok(clients)
}

/// Usage of the frontend, and the maximum of each model's replicas.
fn usage(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, ProcessUsage>> {
    let mut usage: BTreeMap<String, ProcessUsage> = BTreeMap::new();
    for (name, pid) in cluster.processes() {
        let role = name.rsplit_once('-').map_or(name, |(model, _)| model);
        let max = usage.entry(role.to_owned()).or_default();
        *max = max.max(&ProcessUsage::read(pid)?);
    }
    Ok(usage)
}

/// Checks the load after the faults: every client must receive answers in time.
fn check_recovery(clients: &[(String, LedgerCounts)]) -> Vec<String> {
    let all = sum(clients);
    let total = all.total();
    let share = percent(total.in_time, total.ended());
    println!(
        "after the faults, for {} s: {share} of {} queries in time",
        RECOVERY_TIME.as_secs(),
        all.sent
    );
    let silent = clients
        .iter()
        .filter(|(_, counts)| counts.total().in_time == 0);
    let silent =
        silent.map(|(name, _)| format!("after the faults, {name} received no answer in time"));
    let violations = all.violations();
    let violations = violations
        .iter()
        .map(|violation| format!("after the faults, {violation}"));
    violations.chain(silent).collect()
}

/// Checks the idle system: queues must be empty, and no process may hold more than before the faults. Waits
/// for that up to [`MEMORY_TIMEOUT`].
fn check_resources(
    baseline: &BTreeMap<String, ProcessUsage>,
    cluster: &mut Cluster,
) -> anyhow::Result<Vec<String>> {
    let margin = GrowthMargin::PEAKS;
    let limit = Instant::now() + MEMORY_TIMEOUT;
    loop {
        let now = usage(cluster)?;
        let mut violations = Vec::new();
        for (role, now) in &now {
            let excess = now.excess(&baseline[role], margin).into_iter();
            violations.extend(
                excess.map(|excess| {
                    format!("after the load, {role} holds more than before: {excess}")
                }),
            );
        }
        let depth = cluster.queue_depth()?;
        if depth > 0 {
            violations.push(format!(
                "{depth} queries are still queued in the frontend after the load"
            ));
        }
        if violations.is_empty() || Instant::now() > limit {
            let show = |(role, now): (&String, &ProcessUsage)| {
                format!("{role} {} ({})", Mib(now.rss), Mib(baseline[role].rss))
            };
            let shown: Vec<_> = now.iter().map(show).collect();
            println!(
                "memory after the load (in parentheses: before the faults; allowed growth: {margin}): {}",
                shown.join(", ")
            );
            return Ok(violations);
        }
        cluster.check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

/// Adds the counts of all clients.
fn sum(clients: &[(String, LedgerCounts)]) -> LedgerCounts {
    let mut all = LedgerCounts::default();
    clients
        .iter()
        .for_each(|(_, counts)| all.add(counts.clone()));
    all
}
