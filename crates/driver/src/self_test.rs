//! Measures the maximum rate of the load generator, against a server in this process that only answers. A measured
//! rate near this ceiling is limited by the generator, not by the model.

use std::time::{Duration, Instant};

use host::cores;
use loadgen::{Arrivals, Load, LoadControl, LoadResult, WindowOpening, null_server::NullServer};
use model::DataType;
use report::Ceiling;
use transport::Frame;
use wire::query::AnswerStatus;

use crate::error::Error;

/// Settings of the client threads.
#[derive(Clone, Copy, Debug)]
pub struct SelfTestClients<'a> {
    /// Number of client threads.
    pub threads: usize,
    /// Queries in flight, over all client threads.
    pub in_flight: usize,
    /// Cores of clients and server; `None` for those of the calling thread.
    pub cores: Option<&'a [usize]>,
}

/// Measures the generator with inputs of each size, for `duration` each.
///
/// # Errors
/// If the null server or a client fails.
pub fn measure(
    input_bytes: &[usize],
    clients: SelfTestClients<'_>,
    duration: Duration,
) -> Result<Vec<Ceiling>, Error> {
    let ceiling = |&input_bytes: &usize| {
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
    input_bytes.iter().map(ceiling).collect()
}

/// Loads the null server for `duration`, of which the first fifth is the warm-up.
///
/// # Errors
/// If the server or a client fails.
pub fn saturate(
    inputs: &[Frame],
    clients: SelfTestClients<'_>,
    duration: Duration,
) -> Result<LoadResult, Error> {
    let start = || NullServer::start(Box::new(|_| Some(AnswerStatus::Ok)));
    let server = cores::run_on(clients.cores, start)
        .map_err(|error| Error::Failed(format!("cannot pin the null server: {error}")))??;
    let load = Load {
        target: server.target("null", DataType::Bytes),
        arrivals: Arrivals::Closed {
            in_flight: clients.in_flight,
        },
        send_once: false,
        seed: 0,
        cores: clients.cores,
        clients: clients.threads,
        duration,
        opening: WindowOpening::After(duration / 5),
        precision: None,
        answer_timeout: Duration::from_secs(5),
        objective: None,
        trial_start: Instant::now(),
    };
    let measured = loadgen::run(&load, inputs, |_| LoadControl::Warm)?;
    server.stop()?;
    Ok(measured)
}

/// Returns the throughput, in answers per second.
pub fn rate(measured: &LoadResult) -> f64 {
    measured.tally.arrived.ok as f64 / measured.tally.totals.seconds
}
