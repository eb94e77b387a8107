//! Sends 500 queries a second to a null server: `cargo run --release -p loadgen --example null`.

use std::time::{Duration, Instant};

use loadgen::{Arrivals, Error, Load, LoadControl, WindowOpening, null_server::NullServer, run};
use model::DataType;
use transport::Frame;
use wire::query::AnswerStatus;

fn main() -> Result<(), Error> {
    let server = NullServer::start(Box::new(|_| Some(AnswerStatus::Ok)))?;
    let load = Load {
        target: server.target("app", DataType::Bytes),
        arrivals: Arrivals::poisson(500.0),
        send_once: false,
        seed: 1,
        cores: None,
        clients: 1,
        duration: Duration::from_secs(2),
        opening: WindowOpening::After(Duration::from_millis(200)),
        precision: None,
        answer_timeout: Duration::from_secs(5),
        objective: None,
        trial_start: Instant::now(),
    };
    let result = run(&load, &[Frame::from(vec![0; 8])], |_| LoadControl::Warm)?;
    let (totals, latency) = (result.tally.totals, result.tally.latency);
    println!(
        "{} of {} answered, p99 {} us",
        totals.ok,
        totals.sent,
        latency.value_at_quantile(0.99)
    );
    server.stop()
}
