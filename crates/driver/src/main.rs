//! `driver`: measures a model behind the query frontend, one iteration per combination of replicas, cores and batch size.

use std::{
    env,
    io::{Write, stderr},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use driver::{
    Error,
    cli::{self, Command, Other},
    cores,
    inputs::Inputs,
    launch::Programs,
    machine::{Machine, Versions},
    measure::Sweep,
    plan::{Pinning, Plan},
    report::{self, ProgressLine},
    results::{PointResult, Slot, schema},
    settings::Settings,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

fn main() -> ExitCode {
    let ended = cli::parse(env::args_os()).and_then(|command| match command {
        Command::Sweep(settings) => sweep(*settings),
        Command::Other(other) => do_other(other),
    });
    ended.unwrap_or_else(|error| {
        let _ = writeln!(stderr(), "driver: {error}");
        ExitCode::from(error.exit_status())
    })
}

/// The exit status of something that can fail without an error.
fn passed(passed: bool) -> ExitCode {
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Measures, and prints the table of what was measured even if the sweep ended early.
fn sweep(settings: Settings) -> Result<ExitCode, Error> {
    let mut results = Vec::new();
    let ended = prepare(settings).and_then(|sweep| run(&sweep, &mut results));
    report::table(&results);
    ended.map(|()| verdict(&results))
}

/// What the driver does besides measuring.
fn do_other(other: Other) -> Result<ExitCode, Error> {
    match other {
        Other::Report { dir } => report::report(&dir).map(|()| ExitCode::SUCCESS),
        Other::Compare(asked) => report::comparison(&asked).map(passed),
        Other::Import { files } => report::import(&files).map(|()| ExitCode::SUCCESS),
        Other::Schema => report::print(&schema()).map(|()| ExitCode::SUCCESS),
        other => Err(Error::Failed(format!("{other:?} is not there yet"))),
    }
}

/// What has to be said at the end, and the exit status: success if every iteration is of what was asked for.
fn verdict(results: &[PointResult]) -> ExitCode {
    // An unanswered query is a fault of its own.
    let mut answered = results
        .iter()
        .filter(|result| result.totals.ok == result.totals.sent);
    let differing = answered.find_map(|result| result.accuracy().filter(|run| run.differs()));
    if let Some(run) = differing {
        let _ = writeln!(
            stderr(),
            "driver: the served answers are not as right as the artifact's offline evaluation says: {run}; either these are \
             other inputs than that was made with, or serving changes answers"
        );
    }
    let failed = results
        .iter()
        .filter(|result| !result.is_complete())
        .count();
    if failed == 0 {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(
        stderr(),
        "driver: {failed} of {} iterations are not of what was asked for: see the notes under the table",
        results.len()
    );
    ExitCode::FAILURE
}

/// Everything that can be found wrong before a process is started. Prints the plan once it is sound.
fn prepare(settings: Settings) -> Result<Sweep, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one ends the driver at once, and with it its children, which hang on a pipe.
        flag::register_conditional_shutdown(signal, 130, interrupted.clone())
            .and_then(|_| flag::register(signal, interrupted.clone()))
            .map_err(|error| Error::Failed(format!("cannot listen for signals: {error}")))?;
    }
    cli::check_environment(env::vars_os().map(|(name, _)| name))?;
    let allowed = cores::allowed()?;
    let plan = Plan::new(&settings, &allowed)?;
    let inputs = Inputs::prepare(&settings)?;
    report::plan(&settings, &plan, &inputs);
    let programs = Programs::find(settings.model.name, settings.engine);
    if interrupted.load(Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok(Sweep {
        settings,
        plan,
        inputs,
        programs: programs?,
        machine: Machine::read(&allowed),
        versions: Versions::read(),
        interrupted,
    })
}

/// One iteration after the other, each on disk before the next.
fn run(sweep: &Sweep, results: &mut Vec<PointResult>) -> Result<(), Error> {
    if sweep.plan.pinning != Pinning::Shared {
        cores::confine(&sweep.plan.other_cores)
            .map_err(|error| Error::Failed(format!("cannot pin the driver: {error}")))?;
    }
    let mut progress = ProgressLine::new(&sweep.settings, &sweep.plan, &sweep.inputs);
    for point in &sweep.plan.points {
        progress.begin(point);
        let slot = Slot::take(&sweep.settings.results_dir)?;
        let measured = sweep.measure(point, &slot, |at| progress.look(point, at));
        let result = measured.inspect_err(|_| progress.finish())?;
        slot.write(&result)?;
        progress.end(&result, &slot.file);
        results.push(result);
    }
    progress.finish();
    Ok(())
}
