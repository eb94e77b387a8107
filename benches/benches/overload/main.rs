//! The frontend under overload: what it answers in time, beside the same scheduler on a virtual
//! clock.
//!
//! `cargo bench -p benches --bench overload [-- --full --seconds S --parent FILE --only SECTION]`;
//! `--full` measures the whole grid, `--parent` names an earlier build of the frontend for the
//! issue's table, `--only` one of the sections.

mod bursts;
mod case;
mod figures;
mod offered;
mod real;
mod registered;
mod required;
mod served;
mod steady;
mod table;

use std::path::PathBuf;

use clap::Parser;

use case::Case;
use required::Required;
use served::beside;
use table::Rows;

/// Sections of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// Loads that were measured before the frontend shed queries.
    Before,
    /// Policies, objectives and loads on a model server that sleeps.
    Grid,
    /// Bursts, and two applications on one model.
    Bursts,
    /// svm and inception.
    Real,
    /// A query's cost beside many models and replicas.
    Registered,
}

#[derive(Parser)]
#[command(rename_all = "snake_case")]
struct Arguments {
    /// Measure every combination of policy, objective, load, protocol, model server and service
    /// time
    #[arg(long)]
    full: bool,
    /// Length of the measured window, in seconds; it begins 3 s after the start
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    /// Earlier build of the frontend, for comparison
    #[arg(long)]
    parent: Option<PathBuf>,
    /// Measure only one section
    #[arg(long)]
    only: Option<Section>,
    /// Measure only the rows of the grid whose description contains this
    #[arg(long, default_value_t)]
    rows: String,
    /// Do not build the programs first
    #[arg(long)]
    no_build: bool,
    /// Ignored: cargo gives it to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        build()?;
    }
    let frontend = beside("frontend")?;
    let mut required = Required::default();
    let wanted = |section| arguments.only.is_none_or(|only| only == section);
    if wanted(Section::Before) {
        before(&arguments, &mut required)?;
    }
    if wanted(Section::Grid) {
        let mut cases = steady::grid(arguments.full);
        cases.retain(|case| table::words(case).contains(&arguments.rows));
        let mut rows = Rows::new();
        for (index, case) in cases.iter().enumerate() {
            eprintln!(
                "row {} of {}: {}",
                index + 1,
                cases.len(),
                table::words(case)
            );
            let seconds = arguments.seconds;
            steady::run(&frontend, case, seconds, &mut rows, &mut required)?;
        }
        println!(
            "\nSteady loads, windows of {} s:\n{}",
            arguments.seconds, rows.0
        );
    }
    if wanted(Section::Bursts) {
        bursts::run(&frontend, &mut required)?;
    }
    if wanted(Section::Real) {
        real::run(&frontend, arguments.seconds, &mut required)?;
    }
    if wanted(Section::Registered) {
        let parent = arguments.parent.as_deref();
        registered::run(&frontend, parent, &mut required)?;
    }
    println!("\n{}", required.verdict());
    Ok(())
}

/// Measures the issue's table, with an earlier build of the frontend if there is one, in turns.
fn before(arguments: &Arguments, required: &mut Required) -> anyhow::Result<()> {
    let frontend = beside("frontend")?;
    let mut rows = Rows::new();
    for case in steady::issue() {
        eprintln!("{}", table::words(&case));
        if let Some(parent) = &arguments.parent {
            let (figures, _) = steady::measure(parent, &case, arguments.seconds)?;
            let against = steady::against(&case, &figures, arguments.seconds);
            rows.add("before: ", &case, &figures, against);
        }
        let (figures, _) = steady::measure(&frontend, &case, arguments.seconds)?;
        let against = steady::against(&case, &figures, arguments.seconds);
        rows.add("", &case, &figures, against);
        let row = table::words(&case);
        steady::check_figures(required, &row, &figures);
        required.at_least(&row, "goodput over the reference", against.reference, 0.95);
        if overloaded(&case) {
            let in_time = figures.per_second(figures.in_time);
            required.at_least(&row, "answers in time per second", in_time, 700.0);
        }
    }
    println!(
        "\nREST, a version-3 container, objective 100 ms:\n{}",
        rows.0
    );
    Ok(())
}

fn overloaded(case: &Case) -> bool {
    case.load() > 1.05
}

fn build() -> anyhow::Result<()> {
    let mut cargo = host::machine::cargo(env!("CARGO"));
    // Of the whole workspace, so that its packages are built with the features that `make` builds
    // them with.
    cargo.args(["build", "--release", "--quiet", "--workspace"]);
    let programs = ["frontend", "paced", "noop", "svm", "inception"];
    cargo.args(programs.iter().flat_map(|program| ["--bin", program]));
    let built = cargo.status()?.success();
    anyhow::ensure!(built, "the programs to measure do not build");
    Ok(())
}
