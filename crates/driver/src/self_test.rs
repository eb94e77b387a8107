//! What the load generator can do at most: the same load against a server in this process that only answers. A number
//! near it is one of the generator, not of what was to be measured.

use std::time::{Duration, Instant};

use host::cores;
use loadgen::{Arrivals, Go, Load, Measured, Opening, null_server::NullServer};
use model::DataType;
use report::Ceiling;
use transport::Frame;
use wire::query::Status;

use crate::error::Error;

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// Client threads.
    pub threads: usize,
    /// Queries in flight, over all of them.
    pub in_flight: usize,
    /// Their cores, and the server's; `None`: those of the calling thread.
    pub cores: Option<&'a [usize]>,
}

/// Measures the generator with inputs of each of these sizes, for so long each.
///
/// # Errors
/// If the null server or a client fails.
pub fn measure(
    input_bytes: &[usize],
    clients: Clients<'_>,
    duration: Duration,
) -> Result<Vec<Ceiling>, Error> {
    let of = |&input_bytes: &usize| {
        let inputs = vec![Frame::from(vec![0; input_bytes])];
        let measured = saturate(&inputs, clients, duration)?;
        let latency = &measured.tally.latency;
        let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Ceiling {
            input_bytes,
            qps: rate(&measured),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            busiest_thread: measured.busiest_thread,
        })
    };
    input_bytes.iter().map(of).collect()
}

/// Loads the server for so long; the first fifth is the warm-up.
///
/// # Errors
/// If the server or a client fails.
pub fn saturate(
    inputs: &[Frame],
    clients: Clients<'_>,
    duration: Duration,
) -> Result<Measured, Error> {
    let start = || NullServer::start(Box::new(|_| Some(Status::Ok)));
    let server = cores::on(clients.cores, start)
        .map_err(|error| Error::Failed(format!("cannot pin the null server: {error}")))??;
    let load = Load {
        target: server.target("null", DataType::Bytes),
        arrivals: Arrivals::Closed {
            in_flight: clients.in_flight,
        },
        once: false,
        seed: 0,
        cores: clients.cores,
        clients: clients.threads,
        duration,
        opening: Opening::After(duration / 5),
        until: None,
        patience: Duration::from_secs(5),
        objective: None,
        since: Instant::now(),
    };
    let measured = loadgen::run(&load, inputs, |_| Go::Warm)?;
    server.stop()?;
    Ok(measured)
}

/// Answers a second.
pub fn rate(measured: &Measured) -> f64 {
    measured.tally.arrived.ok as f64 / measured.tally.totals.seconds
}
