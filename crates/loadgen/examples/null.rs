//! Loads a server that only answers, at 500 queries a second: `cargo run --release -p loadgen --example null`.

use std::time::{Duration, Instant};

use loadgen::{Arrivals, Error, Go, Load, Opening, null_server::NullServer, run};
use model::DataType;
use transport::Frame;
use wire::query::Status;

fn main() -> Result<(), Error> {
    let server = NullServer::start(Box::new(|_| Some(Status::Ok)))?;
    let load = Load {
        target: server.target("app", DataType::Bytes),
        arrivals: Arrivals::poisson(500.0),
        once: false,
        seed: 1,
        cores: None,
        clients: 1,
        duration: Duration::from_secs(2),
        opening: Opening::After(Duration::from_millis(200)),
        until: None,
        patience: Duration::from_secs(5),
        objective: None,
        since: Instant::now(),
    };
    let measured = run(&load, &[Frame::from(vec![0; 8])], |_| Go::Warm)?;
    let (totals, latency) = (measured.tally.totals, measured.tally.latency);
    println!(
        "{} of {} answered, p99 {} us",
        totals.ok,
        totals.sent,
        latency.value_at_quantile(0.99)
    );
    server.stop()
}
