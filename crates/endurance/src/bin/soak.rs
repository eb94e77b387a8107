//! `make soak`: mixed models under moderate load for a long time. What must not grow, does not; and every query is
//! accounted for.

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
    ledger::Counts,
    load::{Clients, Door},
    models,
    progress::Progress,
    report,
    samples::{Margin, Samples},
    scene::{Deployed, Scene},
    shared::Shared,
};
use loadgen::Arrivals;
use model::DataType;
use signal_hook::consts::{SIGINT, SIGTERM};

/// How often to look at the processes.
const SAMPLE: Duration = Duration::from_secs(10);

/// Loads mixed models behind one frontend for a long time, and fails if a process grows or a query is not accounted
/// for.
#[derive(Parser)]
#[command(name = "soak", version)]
struct Arguments {
    /// Seconds under load, after the capacity has been found
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(60..))]
    seconds: u64,
    /// The share of the capacity to use, so that the machine can do something else beside
    #[arg(long, default_value_t = 0.3)]
    share: f64,
    /// Inception's queries a second, if its artifact is there
    #[arg(long, default_value_t = 0.2)]
    inception_rate: f64,
    /// The folder for logs and curves, which is emptied before
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
    let mut scene = Scene::start(&arguments.dir, &models)?;
    let shared = Shared::default();
    let (mut clients, arrivals) = clients(arguments, &models, &scene, &shared)?;
    let time = Duration::from_secs(arguments.seconds);
    let mut samples = Samples::default();
    let counts = clients.run(&arrivals, &shared, || {
        let began = Instant::now();
        let mut progress = Progress::new(time, &shared);
        while began.elapsed() < time && !interrupted.load(Relaxed) {
            samples.take(began.elapsed(), scene.processes())?;
            let next = Instant::now() + SAMPLE;
            while Instant::now() < next && began.elapsed() < time && !interrupted.load(Relaxed) {
                thread::sleep(Duration::from_millis(200));
                progress.tell(&shared, "");
            }
            scene.check()?;
        }
        Ok(())
    })?;
    anyhow::ensure!(
        !interrupted.load(Relaxed),
        "stopped before it could tell anything"
    );
    conclude(arguments, &scene, &samples, &counts)
}

/// All clients, and how fast each asks: its share of the capacity, inception at a low rate.
fn clients(
    arguments: &Arguments,
    models: &[Deployed],
    scene: &Scene,
    shared: &Shared,
) -> anyhow::Result<(Clients, Vec<Arrivals>)> {
    let mut clients = Clients::new(scene.ports());
    let (slow, fast): (Vec<_>, Vec<_>) = models.iter().partition(|model| model.name == "inception");
    for model in &fast {
        clients.add(model, Door::Native, 1)?;
        if ["digest", "noop"].contains(&model.name) {
            clients.add(model, Door::Rest, 1)?;
        }
    }
    let capacity = clients.capacity(Duration::from_secs(10), shared)?;
    let constant = |rate| Arrivals::Constant { rate };
    let mut arrivals: Vec<Arrivals> = capacity
        .iter()
        .map(|rate| constant(arguments.share * rate))
        .collect();
    for model in slow {
        clients.add(model, Door::Native, 1)?;
        arrivals.push(constant(arguments.inception_rate));
    }
    println!(
        "capacity {:.0} queries/s; load: {:.0} % of it, for {} s, on {}",
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

fn conclude(
    arguments: &Arguments,
    scene: &Scene,
    samples: &Samples,
    counts: &[(String, Counts)],
) -> anyhow::Result<ExitCode> {
    let mut all = Counts::default();
    counts
        .iter()
        .for_each(|(_, counts)| all.add(counts.clone()));
    let margin = Margin::STEADY;
    let curves = report::memory(samples);
    samples.write(&arguments.dir.join("samples.csv"))?;
    let file = arguments.dir.join("memory.txt");
    std::fs::write(&file, format!("{curves}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}\n{}", report::by_client(counts), report::reasons(&all));
    println!(
        "Medians of the second and of the last quarter; beyond {margin} it grows:\n\n{curves}\n"
    );
    println!("samples and logs: {}", arguments.dir.display());
    let mut violations = all.violations();
    violations.extend(samples.growth());
    let waiting = scene.waiting()?;
    if waiting > 0 {
        violations.push(format!(
            "{waiting} queries still wait in the frontend, and nobody asks"
        ));
    }
    Ok(report::verdict("soak", &violations))
}
