//! Runtime of a model server: makes a [`Model`] a replica behind a query frontend.
//!
//! A model server's `main.rs` calls only [`main`]. The model runs on the main thread, where it was
//! loaded. A second thread owns the socket: heartbeats continue while a long batch computes, and
//! the next batch is received ahead of time.
//!
//! `--rpc_version` selects the protocol. For each version, the table shows the frontends that speak
//! it, the effect of a failed batch, the answer to a failed input, and when the frontend counts as
//! lost.
//!
//! | `--rpc_version` | frontends                     | failed batch    | failed input | frontend lost   |
//! |-----------------|-------------------------------|-----------------|--------------|-----------------|
//! | 4               | ours                          | error message   | error        | 5 s of silence  |
//! | 3               | ours, Clipper's final release | ends the server | reason       | 30 s of silence |
//! | 2017            | ours, Clipper of 2017         | ends the server | see below    | 30 s of silence |
//! | highperf        | ours, Clipper's branch        | ends the server | see below    | on disconnect   |
//!
//! `highperf` is the protocol of Clipper's high-performance branch. Our frontend listens on port
//! 7002 for `2017`, and on 7010 and 7011 for `highperf`. Outputs of these two versions have a type,
//! but not double: doubles are sent as text. A failed input is answered with the reason if the
//! outputs are text, and with an empty output if they are numbers.

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
pub use settings::{CurveKeys, ServerSettings, Settings};
pub use stop::Stop;

/// Runs a model server: reads flags and environment, loads the model, and serves it until a signal.
/// `Own` contains the flags that only this server has; `()` if there are none.
///
/// Exits with status 0 after SIGTERM or SIGINT, and with 1 and a line on standard error if it
/// cannot serve.
pub fn main<Own: clap::Args, M: Model>(
    server: ServerSettings,
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
        let loading = Stop::exit_immediately()?;
        tracing::info!("loading {}", settings.describe());
        let model = load(&settings, own)?;
        transport::keep_freed_memory();
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

/// Ends the process when its standard input ends, that is, when its parent process has ended.
fn exit_with_stdin() {
    let mut rest = Vec::new();
    // An error means the same as the end: the parent is gone.
    let _ = stdin().read_to_end(&mut rest);
    // `std::process::exit` would run an engine's destructors while its threads run. A signal is no
    // alternative: the first process of a container ignores those that it sends to itself.
    signal_hook::low_level::exit(1);
}
