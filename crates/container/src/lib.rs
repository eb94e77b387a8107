//! The runtime of a model server: it makes a [`Model`] into a replica behind a query frontend.
//!
//! [`main`] is all that a model server's `main.rs` calls. The model runs on the main thread, where it was loaded; a second
//! thread keeps the socket, so heartbeats go on while a long batch computes, and the next batch is here already.
//!
//! | `--rpc_version` | runs under                          | a batch that fails | an input that fails             | the frontend is gone   |
//! |-----------------|-------------------------------------|--------------------|---------------------------------|------------------------|
//! | 4               | ours                                | is an error        | is an error                     | after 5 s of silence   |
//! | 3               | ours, Clipper's final release       | ends the server    | is answered with the reason     | after 30 s             |
//! | 2017            | ours (its port 7002), Clipper of 2017 | ends the server  | the reason, or an empty output  | after 30 s             |
//! | highperf        | ours, Clipper's high-performance one | ends the server   | the reason, or an empty output  | when it disconnects    |
//!
//! The two older dialects have typed outputs, but no doubles, which go as text. A reason takes the output's place where
//! outputs are text; where they are numbers, nothing can be said but that there are none.

mod artifact;
mod error;
mod health;
mod high_perf;
mod job;
mod serve;
mod session;
mod settings;
mod stop;

use std::{
    io::{IsTerminal, Read, stderr, stdin},
    process::ExitCode,
    thread,
};

pub use artifact::artifact_beside;
pub use error::Error;
use model::Model;
pub use serve::serve;
pub use settings::{Curve, Server, Settings};
pub use stop::Stop;

/// Runs a model server: reads flags and environment, loads the model, serves it until the process is told to stop.
/// `Own` are the flags that it has beside those of every model server; `()` if it has none.
///
/// Exits with status 0 after SIGTERM or SIGINT, with 1 and a line on standard error if it cannot serve.
pub fn main<Own: clap::Args, M: Model>(
    server: Server,
    load: impl FnOnce(&Settings, Own) -> anyhow::Result<M>,
) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
    let run = || -> anyhow::Result<()> {
        let (settings, own) = Settings::from_args(&server, std::env::args_os())?;
        if let Some(pid) = settings.healthcheck {
            return Ok(health::check(pid)?);
        }
        if settings.exit_with_stdin {
            thread::spawn(exit_with_stdin);
        }
        let loading = Stop::at_once()?;
        tracing::info!("loading {}", settings.describe());
        let model = load(&settings, own)?;
        transport::keep_memory();
        Ok(serve(model, &settings, Stop::on_signals(&loading)?)?)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", server.name);
            ExitCode::FAILURE
        }
    }
}

/// Ends the process when whoever started it is gone, whatever it does at that moment.
fn exit_with_stdin() {
    let mut rest = Vec::new();
    // An error means the same as the end: nobody is there any more.
    let _ = stdin().read_to_end(&mut rest);
    // Not `std::process::exit`: it would run an engine's destructors under its running threads. Nor a signal: a container's first
    // process does not get its own.
    signal_hook::low_level::exit(1);
}
