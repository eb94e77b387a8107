//! `driver`: measures a model behind the query frontend, one point per combination of replicas, cores and batch size.

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
    cli::{self, Command, Compare, Other, SelfTest, Survey},
    describe::describe,
    prepare::Prepared,
    self_test::{self, Clients},
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
    let done = cli::parse(env::args_os()).and_then(|command| match command {
        Command::Sweep(settings) => measure(*settings),
        Command::Other(other) => do_other(other),
    });
    done.unwrap_or_else(|error| {
        note(&format!("driver: {error}"));
        ExitCode::from(error.exit_status())
    })
}

/// What the driver does besides measuring.
fn do_other(other: Other) -> Result<ExitCode, Error> {
    match other {
        Other::Survey(asked) => return survey(&asked),
        Other::SelfTest(asked) => self_test(&asked)?,
        Other::Report { dir } => report::regenerate(&dir)?,
        Other::Compare(asked) => return compare(&asked),
        Other::Import { files } => report::import(&files)?,
        Other::Clean { all } => report::print(&cleaned(&docker::clean(all)?))?,
        Other::Schema => report::print(&schema())?,
        Other::Completions { shell } => report::print(&cli::completions(shell))?,
        Other::Man => report::print(&cli::man())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was removed, a line each.
fn cleaned(names: &[String]) -> String {
    match names {
        [] => "nothing is left of other drivers\n".to_owned(),
        names => names
            .iter()
            .map(|name| format!("removed {name}\n"))
            .collect(),
    }
}

/// The exit status of something that can fail without an error.
fn passed(passed: bool) -> ExitCode {
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A sweep, or with `--dry_run` its plan.
fn measure(settings: Settings) -> Result<ExitCode, Error> {
    let interrupted = listen()?;
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let dry_run = settings.dry_run;
    let prepared = Prepared::new(settings)?;
    let planned = describe(&prepared);
    if dry_run {
        report::print(&format!("{planned}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    note(&planned);
    let started = start(prepared, &interrupted)?;
    for change in &started.changes {
        note(&format!(
            "driver: since the sweep began, something has changed: {change}"
        ));
    }
    let swept = sweep::run(started, report::view);
    let results = &swept.results;
    let printed = report::table(results, swept.target_qps);
    let folder = &swept.folder.path;
    match results.is_empty() {
        true => note(&format!("results: {}", folder.display())),
        false => note(&format!("report: {}", report::write_all(folder)?.display())),
    }
    swept.ended?;
    printed?;
    Ok(verdict(results))
}

/// All models, briefly.
fn survey(asked: &Survey) -> Result<ExitCode, Error> {
    let interrupted = listen()?;
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let surveyed = survey::run(asked, &interrupted)?;
    report::print(&report::survey(&surveyed))?;
    Ok(passed(surveyed.iter().all(|model| model.is_measured())))
}

/// What the load generator can do at most.
fn self_test(asked: &SelfTest) -> Result<(), Error> {
    let (threads, in_flight) = (asked.num_clients, asked.in_flight);
    let clients = Clients {
        threads,
        in_flight,
        cores: None,
    };
    let ceilings = self_test::measure(&asked.input_bytes, clients, asked.duration)?;
    Ok(report::print(&report::self_test(
        threads, in_flight, &ceilings,
    ))?)
}

/// Two sweeps against each other.
fn compare(asked: &Compare) -> Result<ExitCode, Error> {
    let compared = report::compare(&report::Compare {
        a: &asked.a,
        b: &asked.b,
        limits: Limits {
            below: asked.fail_below,
            above: asked.fail_above,
            allow_missing: asked.allow_missing,
        },
        junit: asked.junit.as_deref(),
    });
    let compared = compared?;
    let printed = report::print(&compared.text);
    compared.remarks.iter().for_each(|line| note(line));
    printed?;
    Ok(passed(compared.passed))
}

/// What Ctrl-C and SIGTERM set. The second one ends the driver at once, and with it its children, which hang on a pipe.
fn listen() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let failed = |error: io::Error| Error::Failed(format!("cannot listen for signals: {error}"));
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

/// Success if every number is of what was asked for.
fn verdict(results: &[Trial]) -> ExitCode {
    let failed = results.iter().filter(|result| !result.is_complete());
    match failed.count() {
        0 => ExitCode::SUCCESS,
        failed => {
            note(&format!(
                "driver: {failed} of {} measurements are not of what was asked for: see the notes under the table",
                results.len()
            ));
            ExitCode::FAILURE
        }
    }
}
