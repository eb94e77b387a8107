//! `make soak`: loads mixed models moderately for a long time, checks that no process grows, and accounts for
//! every query.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use endurance::{
    cluster::{Cluster, DeployedModel},
    ledger::LedgerCounts,
    load::{LoadClients, LoadProtocol},
    models,
    progress::RunProgress,
    report,
    run_state::RunState,
    samples::{GrowthMargin, ProcessSamples},
};
use loadgen::Arrivals;
use model::DataType;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Time between two samples of the processes.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

/// Loads mixed models behind one frontend for a long time. Fails if a process grows or a query is unaccounted for.
#[derive(Parser)]
#[command(name = "soak", version)]
struct Arguments {
    /// Duration of the load in seconds, after the capacity measurement
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(60..))]
    seconds: u64,
    /// Offered load as a fraction of the capacity; moderate, so that the machine stays usable
    #[arg(long, default_value_t = 0.3)]
    share: f64,
    /// Offered load of inception in queries per second, if its artifact exists
    #[arg(long, default_value_t = 0.2)]
    inception_rate: f64,
    /// Folder for logs and samples; emptied at the start
    #[arg(long, default_value = "target/soak")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    soak(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("soak: {error:#}");
        ExitCode::FAILURE
    })
}

fn soak(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let mut models = vec![
        models::digest(1),
        models::noop("noop", 1, DataType::Floats, &[10, 10, 10, 2_048]),
        models::noop("noop-bytes", 1, DataType::Bytes, &[16, 150_000]),
        models::noop("noop-doubles", 1, DataType::Doubles, &[10, 1_000]),
        models::noop("noop-strings", 1, DataType::Strings, &[5, 5_000]),
    ];
    for name in ["svm", "lgbm"] {
        models.extend(models::classifier(name, 1)?);
    }
    let inception = models::inception();
    models.extend(inception.clone());
    let mut cluster = Cluster::start(&arguments.dir, &models)?;
    let state = RunState::default();
    let (mut clients, arrivals) = clients(arguments, &models, &cluster, &state)?;
    let time = Duration::from_secs(arguments.seconds);
    let mut samples = ProcessSamples::default();
    let counts = clients.run(&arrivals, &state, || {
        let start = Instant::now();
        let mut progress = RunProgress::new(time, &state);
        while start.elapsed() < time && !interrupted.load(Relaxed) {
            samples.take(start.elapsed(), cluster.processes())?;
            let next = Instant::now() + SAMPLE_INTERVAL;
            while Instant::now() < next && start.elapsed() < time && !interrupted.load(Relaxed) {
                thread::sleep(Duration::from_millis(200));
                progress.update(&state, "");
            }
            cluster.check()?;
        }
        Ok(())
    })?;
    anyhow::ensure!(
        !interrupted.load(Relaxed),
        "interrupted before the end of the run: no verdict"
    );
    report_and_check(arguments, &cluster, &samples, &counts)
}

/// Creates all clients with their arrivals: a fraction of the capacity, and a low rate for inception.
fn clients(
    arguments: &Arguments,
    models: &[DeployedModel],
    cluster: &Cluster,
    state: &RunState,
) -> anyhow::Result<(LoadClients, Vec<Arrivals>)> {
    let mut clients = LoadClients::new(cluster.ports());
    let (slow, fast): (Vec<_>, Vec<_>) = models.iter().partition(|model| model.name == "inception");
    for model in &fast {
        clients.add(model, LoadProtocol::Native, 1)?;
        if ["digest", "noop"].contains(&model.name) {
            clients.add(model, LoadProtocol::Rest, 1)?;
        }
    }
    let capacity = clients.capacity(Duration::from_secs(10), state)?;
    let constant = |rate| Arrivals::Constant { rate };
    let mut arrivals: Vec<Arrivals> = capacity
        .iter()
        .map(|rate| constant(arguments.share * rate))
        .collect();
    for model in slow {
        clients.add(model, LoadProtocol::Native, 1)?;
        arrivals.push(constant(arguments.inception_rate));
    }
    println!(
        "capacity {:.0} queries/s; offered load {:.0} % of it for {} s; models: {}",
        capacity.iter().sum::<f64>(),
        100.0 * arguments.share,
        arguments.seconds,
        models
            .iter()
            .map(|model| model.name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok((clients, arrivals))
}

/// Writes and prints the results, and checks them.
fn report_and_check(
    arguments: &Arguments,
    cluster: &Cluster,
    samples: &ProcessSamples,
    counts: &[(String, LedgerCounts)],
) -> anyhow::Result<ExitCode> {
    let mut all = LedgerCounts::default();
    counts
        .iter()
        .for_each(|(_, counts)| all.add(counts.clone()));
    let margin = GrowthMargin::STEADY;
    let memory = report::memory(samples);
    samples.write(&arguments.dir.join("samples.csv"))?;
    let file = arguments.dir.join("memory.txt");
    std::fs::write(&file, format!("{memory}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}\n{}", report::by_client(counts), report::reasons(&all));
    println!("Medians of the second and the last quarter; allowed growth: {margin}\n\n{memory}\n");
    println!("samples and logs: {}", arguments.dir.display());
    let mut violations = all.violations();
    violations.extend(samples.growth());
    let depth = cluster.queue_depth()?;
    if depth > 0 {
        violations.push(format!(
            "{depth} queries are still queued in the frontend after the load"
        ));
    }
    Ok(report::verdict("soak", &violations))
}
