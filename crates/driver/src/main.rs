//! `driver`: measures a model behind the query frontend, one point per combination of replicas, cores and batch size.

use std::{
    env,
    io::{self, Write, stderr},
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
    cli::{self, Command, Other, Survey},
    report::{self, live},
    self_test,
    session::Prepared,
    settings::Settings,
    survey,
};
use results::{PointResult, schema};
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
        say(&format!("driver: {error}"));
        ExitCode::from(error.exit_status())
    })
}

/// What the driver does besides measuring.
fn do_other(other: Other) -> Result<ExitCode, Error> {
    match other {
        Other::Survey(asked) => return survey(&asked),
        Other::SelfTest(asked) => report::print(&self_test::table(&asked)?)?,
        Other::Report { dir } => report::report(&dir)?,
        Other::Compare(asked) => return report::comparison(&asked).map(passed),
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
    let planned = prepared.describe();
    if dry_run {
        return report::print(&format!("{planned}\n")).map(|()| ExitCode::SUCCESS);
    }
    say(&planned);
    let started = prepared.start(&interrupted)?;
    for change in &started.changes {
        say(&format!(
            "driver: since the sweep began, something has changed: {change}"
        ));
    }
    let measured = started.measure(report::view);
    let results = &measured.results;
    let printed = report::table(results, measured.target_qps);
    let folder = &measured.folder.path;
    match results.is_empty() {
        true => say(&format!("results: {}", folder.display())),
        false => say(&format!("report: {}", report::write_all(folder)?.display())),
    }
    measured.ended.and(printed).map(|()| verdict(results))
}

/// All models, briefly.
fn survey(asked: &Survey) -> Result<ExitCode, Error> {
    let interrupted = listen()?;
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let surveyed = survey::run(asked, &interrupted)?;
    report::print(&report::survey(&surveyed))?;
    Ok(passed(surveyed.iter().all(|model| model.is_measured())))
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
fn verdict(results: &[PointResult]) -> ExitCode {
    let failed = results.iter().filter(|result| !result.is_complete());
    match failed.count() {
        0 => ExitCode::SUCCESS,
        failed => {
            say(&format!(
                "driver: {failed} of {} measurements are not of what was asked for: see the notes under the table",
                results.len()
            ));
            ExitCode::FAILURE
        }
    }
}

/// A line on standard error; nothing can be done if that is closed.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
