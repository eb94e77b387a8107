//! The query frontend.

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
    let outcome = match &settings.access.new_curve_key {
        Some(name) => draw_keys(name),
        None if settings.healthcheck => healthcheck(&settings),
        None => run(&settings),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frontend: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    transport::keep_memory();
    let frontend = Frontend::start(settings)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, frontend.stopper()?)?;
    }
    if settings.exit_with_stdin {
        let mut stopper = frontend.stopper()?;
        thread::spawn(move || {
            let mut rest = Vec::new();
            // An error means the same as the end: whoever started this is gone.
            let _ = stdin().read_to_end(&mut rest);
            let _ = stopper.write_all(&[0]);
        });
    }
    let ports = serde_json::to_string(&frontend.ports()).context("ports are numbers")?;
    tracing::info!("listening on {}: {ports}", settings.bind);
    writeln!(stdout(), "{ports}").context("nobody reads the ports on standard output")?;
    Ok(frontend.wait()?)
}

fn draw_keys(name: &Path) -> anyhow::Result<()> {
    let [public, secret] = KeyPair::new()?.write(name)?;
    println!(
        "{} may go to whom it is to meet; {} stays where it is used",
        public.display(),
        secret.display()
    );
    Ok(())
}

/// Asks as any client would. A frontend that listens on all addresses is asked on this machine's own.
fn healthcheck(settings: &Settings) -> anyhow::Result<()> {
    let host = match settings.bind.as_str() {
        "0.0.0.0" => "127.0.0.1",
        address => address,
    };
    let (scheme, tls) = match settings.access.tls_cert {
        // Whom the certificate names is not the question here.
        Some(_) => ("https", TlsConfig::builder().disable_verification(true)),
        None => ("http", TlsConfig::builder()),
    };
    let url = format!("{scheme}://{host}:{}/admin/ping", settings.ports.admin);
    let patience = Duration::from_secs(2);
    let request = ureq::get(&url).config().timeout_global(Some(patience));
    let answer = request.tls_config(tls.build()).build().call();
    answer.with_context(|| format!("no frontend answers at {url}"))?;
    Ok(())
}
