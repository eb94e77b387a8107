//! The program `frontend`: reads the flags, starts a [`Frontend`] and stops it on a signal.

use std::{
    io::{IsTerminal, Read, Write, stderr, stdin, stdout},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use frontend::{Frontend, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use transport::curve::KeyPair;
use ureq::tls::TlsConfig;

fn main() -> ExitCode {
    let settings = Settings::parse();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
    let result = match &settings.access.new_curve_key {
        Some(name) => write_curve_keys(name),
        None if settings.healthcheck => healthcheck(&settings),
        None => run(&settings),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frontend: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    transport::keep_freed_memory();
    let frontend = Frontend::start(settings)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, frontend.stopper()?)?;
    }
    if settings.exit_with_stdin {
        let mut stopper = frontend.stopper()?;
        thread::spawn(move || {
            let mut rest = Vec::new();
            // An error also means that the parent process has ended.
            let _ = stdin().read_to_end(&mut rest);
            let _ = stopper.write_all(&[0]);
        });
    }
    let ports =
        serde_json::to_string(&frontend.ports()).context("cannot write the ports as JSON")?;
    tracing::info!("listening on {}: {ports}", settings.bind);
    writeln!(stdout(), "{ports}").context("cannot print the ports on standard output")?;
    Ok(frontend.wait()?)
}

fn write_curve_keys(name: &Path) -> anyhow::Result<()> {
    let [public, secret] = KeyPair::new()?.write(name)?;
    println!(
        "wrote the public key {} (copy it to the peers) and the secret key {} (keep it private)",
        public.display(),
        secret.display()
    );
    Ok(())
}

/// Sends a ping over HTTP. A frontend that listens on 0.0.0.0 is reached on the loopback address.
fn healthcheck(settings: &Settings) -> anyhow::Result<()> {
    let host = match settings.bind.as_str() {
        "0.0.0.0" => "127.0.0.1",
        address => address,
    };
    let (scheme, tls) = match settings.access.tls_cert {
        // The check is about the process, so the name in the certificate does not matter.
        Some(_) => ("https", TlsConfig::builder().disable_verification(true)),
        None => ("http", TlsConfig::builder()),
    };
    let url = format!("{scheme}://{host}:{}/admin/ping", settings.ports.admin);
    let limit = Duration::from_secs(2);
    let request = ureq::get(&url).config().timeout_global(Some(limit));
    let answer = request.tls_config(tls.build()).build().call();
    answer.with_context(|| format!("health check failed: no answer from {url}"))?;
    Ok(())
}
