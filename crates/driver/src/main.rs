//! `driver`: measures how fast a model serves predictions behind the query frontend.

use std::{
    env, io,
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use deploy::docker;
use driver::{
    Error,
    cli::{self, Command, CompareArgs, SelfTestArgs, Subcommand, SurveyArgs},
    describe::describe,
    prepare::PreparedSweep,
    self_test::{self, SelfTestClients},
    settings::Settings,
    start::start,
    survey, sweep,
};
use report::{Limits, live, note};
use results::{Trial, schema};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    let status = cli::parse(env::args_os()).and_then(|command| match command {
        Command::Sweep(settings) => measure(*settings),
        Command::Subcommand(subcommand) => run_subcommand(subcommand),
    });
    status.unwrap_or_else(|error| {
        note(&format!("driver: {error}"));
        ExitCode::from(error.exit_status())
    })
}

fn run_subcommand(subcommand: Subcommand) -> Result<ExitCode, Error> {
    match subcommand {
        Subcommand::Survey(args) => return survey(&args),
        Subcommand::SelfTest(args) => self_test(&args)?,
        Subcommand::Report { dir } => report::regenerate(&dir)?,
        Subcommand::Compare(args) => return compare(&args),
        Subcommand::Import { files } => report::import(&files)?,
        Subcommand::Clean { all } => report::print(&removed(&docker::clean(all)?))?,
        Subcommand::Schema => report::print(&schema())?,
        Subcommand::Completions { shell } => report::print(&cli::completions(shell))?,
        Subcommand::Man => report::print(&cli::man())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists what was removed, one line each.
fn removed(names: &[String]) -> String {
    match names {
        [] => "no containers or networks of other drivers found\n".to_owned(),
        names => names
            .iter()
            .map(|name| format!("removed {name}\n"))
            .collect(),
    }
}

/// Returns the exit status of a check that can fail without an error.
fn exit_code(passed: bool) -> ExitCode {
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs a sweep, or prints its plan with `--dry_run`.
fn measure(settings: Settings) -> Result<ExitCode, Error> {
    let interrupted = handle_signals()?;
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let dry_run = settings.dry_run;
    let prepared = PreparedSweep::new(settings)?;
    let plan = describe(&prepared);
    if dry_run {
        report::print(&format!("{plan}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    note(&plan);
    let started = start(prepared, &interrupted)?;
    for change in &started.changes {
        note(&format!("driver: changed since the sweep began: {change}"));
    }
    let finished = sweep::run(started, report::view);
    let results = &finished.results;
    let printed = report::print_summary(results, finished.target_qps);
    let folder = &finished.folder.path;
    match results.is_empty() {
        true => note(&format!("results: {}", folder.display())),
        false => note(&format!("report: {}", report::write_all(folder)?.display())),
    }
    finished.end?;
    printed?;
    Ok(exit_code_of(results))
}

/// Measures several models and prints a table of them.
fn survey(args: &SurveyArgs) -> Result<ExitCode, Error> {
    let interrupted = handle_signals()?;
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let surveyed = survey::run(args, &interrupted)?;
    report::print(&report::survey(&surveyed))?;
    Ok(exit_code(surveyed.iter().all(|model| model.is_measured())))
}

/// Prints the maximum rate of the load generator.
fn self_test(args: &SelfTestArgs) -> Result<(), Error> {
    let (threads, in_flight) = (args.num_clients, args.in_flight);
    let clients = SelfTestClients {
        threads,
        in_flight,
        cores: None,
    };
    let ceilings = self_test::measure(&args.input_bytes, clients, args.duration)?;
    Ok(report::print(&report::self_test(
        threads, in_flight, &ceilings,
    ))?)
}

/// Prints the comparison of two sweeps.
fn compare(args: &CompareArgs) -> Result<ExitCode, Error> {
    let compared = report::compare(&report::Compare {
        a: &args.a,
        b: &args.b,
        limits: Limits {
            below: args.fail_below,
            above: args.fail_above,
            allow_missing: args.allow_missing,
        },
        junit: args.junit.as_deref(),
    });
    let compared = compared?;
    let printed = report::print(&compared.text);
    compared.remarks.iter().for_each(|line| note(line));
    printed?;
    Ok(exit_code(compared.passed))
}

/// Returns a flag that the first Ctrl-C or SIGTERM sets. The second one ends the driver at once; its children end
/// with their standard input.
fn handle_signals() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let failed = |error: io::Error| Error::Failed(format!("cannot handle signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let set = interrupted.clone();
    thread::spawn(move || {
        for _ in signals.forever() {
            if set.swap(true, Relaxed) {
                live::restore();
                process::exit(130);
            }
        }
    });
    Ok(interrupted)
}

/// Returns success if no trial is INVALID or NOT RUN.
fn exit_code_of(results: &[Trial]) -> ExitCode {
    let failed = results.iter().filter(|result| !result.is_complete());
    match failed.count() {
        0 => ExitCode::SUCCESS,
        failed => {
            let has_rounds = results.iter().any(|result| result.round > 1);
            let unit = if has_rounds { "measurements" } else { "points" };
            note(&format!(
                "driver: {failed} of {} {unit} are INVALID or did not run; see the reasons under the table",
                results.len()
            ));
            ExitCode::FAILURE
        }
    }
}
