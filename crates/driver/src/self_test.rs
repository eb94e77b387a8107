//! What the load generator can do at most: the same load against a server in this process that only answers. A number near
//! it is one of the generator, not of what was to be measured.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use host::cores;
use loadgen::{Arrivals, Go, Load, Measured, Opening, null_server::NullServer};
use model::DataType;
use transport::Frame;
use wire::query::Status;

use crate::{Error, cli::SelfTest};

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

/// Measures the generator with inputs of each size, and shows what it came to as a table.
pub fn table(asked: &SelfTest) -> Result<String, Error> {
    let usage = |what: &str| Err(Error::Usage(what.to_owned()));
    let duration = match Duration::try_from_secs_f64(asked.duration_seconds) {
        Ok(duration) if !duration.is_zero() => duration,
        _ => return usage("--duration_seconds takes a number above zero"),
    };
    if asked.num_clients == 0 || asked.in_flight == 0 {
        return usage("--num_clients and --in_flight take numbers from 1 up");
    }
    let clients = Clients {
        threads: asked.num_clients,
        in_flight: asked.in_flight,
        cores: None,
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "input bytes",
        "queries/s",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "busiest thread",
    ]);
    for &bytes in &asked.input_bytes {
        let inputs = vec![Frame::from(vec![0; bytes])];
        let measured = saturate(&inputs, clients, duration)?;
        table.add_row(row(bytes, &measured));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok(format!(
        "what the load generator can do at most: {} in flight from {} client threads, against a server in this process that \
         only answers, on the same cores\n{table}",
        asked.in_flight, asked.num_clients
    ))
}

fn row(bytes: usize, measured: &Measured) -> [String; 6] {
    let tally = &measured.tally;
    let rate = rate(measured);
    let ms = |quantile| {
        format!(
            "{:.3}",
            tally.latency.value_at_quantile(quantile) as f64 / 1e3
        )
    };
    [
        bytes.to_string(),
        format!("{rate:.0}"),
        format!("{:.0}", rate * bytes as f64 / 1e6),
        ms(0.5),
        ms(0.99),
        format!("{:.0} %", 100.0 * measured.busiest_thread),
    ]
}

/// Loads the server for so long; the first fifth is the warm-up.
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
