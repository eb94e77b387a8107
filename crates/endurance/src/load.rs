//! The clients of a run: they measure the capacity, then send at a fraction of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use deploy::BoundPorts;
use loadgen::{Arrivals, Client, NativeClient, RestClient, RestTarget, Target};
use model::DataType;

use crate::{
    cluster::DeployedModel,
    ledger::{Ledger, LedgerCounts},
    run_state::RunState,
    verifying_client::VerifyingClient,
};

/// Time after which a query without an end counts as lost. It is far beyond every latency objective, at
/// which the frontend sends the default output.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Queries in flight of a ZeroMQ client during the capacity measurement.
const WINDOW: usize = 64;

/// Protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadProtocol {
    /// The native ZeroMQ protocol.
    Native,
    /// REST.
    Rest,
}

/// A client with its name.
struct NamedClient {
    /// Application and protocol, for instance "digest over REST".
    name: String,
    client: VerifyingClient,
}

/// All clients of a run, numbered in the order of their addition.
pub struct LoadClients {
    context: zmq::Context,
    ports: BoundPorts,
    clients: Vec<NamedClient>,
}

impl LoadClients {
    /// Creates an empty set of clients.
    pub fn new(ports: BoundPorts) -> LoadClients {
        LoadClients {
            context: zmq::Context::new(),
            ports,
            clients: Vec::new(),
        }
    }

    /// Adds `count` clients of one application.
    ///
    /// # Errors
    /// If a socket cannot be created.
    pub fn add(
        &mut self,
        model: &DeployedModel,
        protocol: LoadProtocol,
        count: usize,
    ) -> anyhow::Result<()> {
        for _ in 0..count {
            let number = u32::try_from(self.clients.len())?;
            let (over, max_in_flight, connection): (_, _, Box<dyn Client>) = match protocol {
                LoadProtocol::Native => {
                    let target = native_target(model, self.ports);
                    let connection = NativeClient::open(&self.context, &target)?;
                    ("ZeroMQ", usize::MAX, Box::new(connection))
                }
                LoadProtocol::Rest => {
                    let connection = RestClient::new(rest_target(model, self.ports));
                    ("REST", 1, Box::new(connection))
                }
            };
            let ledger = Ledger::new(model.objective, TIMEOUT);
            let workload = model.workload.clone();
            self.clients.push(NamedClient {
                name: format!("{} over {over}", model.name),
                client: VerifyingClient::new(number, workload, ledger, connection, max_in_flight),
            });
        }
        Ok(())
    }

    /// Runs each client with its arrivals while `meanwhile` runs, then waits for the queries in flight.
    /// Returns the name and counts of each client.
    pub fn run(
        &mut self,
        arrivals: &[Arrivals],
        state: &RunState,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<(String, LedgerCounts)>> {
        state.set_stopped(false);
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .clients
                .iter_mut()
                .zip(arrivals)
                .map(|(client, arrivals)| scope.spawn(move || client.run(arrivals, state)))
                .collect();
            let result = meanwhile();
            state.set_stopped(true);
            let counts: anyhow::Result<Vec<_>> = threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(counts) => counts,
                    Err(_) => anyhow::bail!("a client thread panicked: see its message above"),
                })
                .collect();
            result.and(counts)
        })
    }

    /// Measures the capacity of each client while all run, in answered queries per second. Runs for `time`
    /// after a warm-up of half of that.
    pub fn capacity(&mut self, time: Duration, state: &RunState) -> anyhow::Result<Vec<f64>> {
        let closed = Arrivals::Closed { in_flight: WINDOW };
        let closed = vec![closed; self.clients.len()];
        let wait = |time| {
            move || {
                thread::sleep(time);
                Ok(())
            }
        };
        self.run(&closed, state, wait(time / 2))?;
        let start = Instant::now();
        let counts = self.run(&closed, state, wait(time))?;
        let seconds = start.elapsed().as_secs_f64();
        let mut rates = Vec::new();
        for (name, counts) in counts {
            let violations = counts.violations();
            anyhow::ensure!(
                violations.is_empty(),
                "the capacity measurement, without faults, failed: {name}: {}",
                violations.join("; ")
            );
            let total = counts.total();
            let answered = total.in_time + total.late;
            anyhow::ensure!(
                answered > 0,
                "the capacity measurement, without faults, failed: {name} received no answer: {:?}",
                counts.reasons
            );
            rates.push(answered as f64 / seconds);
        }
        Ok(rates)
    }
}

impl NamedClient {
    fn run(
        &mut self,
        arrivals: &Arrivals,
        state: &RunState,
    ) -> anyhow::Result<(String, LedgerCounts)> {
        self.client.run(arrivals, state)?;
        let now = Instant::now();
        let ledger = self.client.ledger();
        let counts = ledger.close(now, state.faults.snapshot(now));
        Ok((self.name.clone(), counts))
    }
}

/// Addresses of the frontend for a model's ZeroMQ clients.
pub(crate) fn native_target(model: &DeployedModel, ports: BoundPorts) -> Target<'static> {
    let at = |port| format!("tcp://127.0.0.1:{port}");
    Target {
        answers: at(ports.send_port),
        requests: at(ports.recv_port),
        app: model.name,
        input_type: model.workload.input_type(),
    }
}

/// Address of the frontend for a model's REST clients. The answer to ints is ints, as `digest` returns
/// them; to all other types it is floats.
fn rest_target(model: &DeployedModel, ports: BoundPorts) -> RestTarget {
    let input_type = model.workload.input_type();
    let (port, app) = (ports.query_port, model.name);
    RestTarget {
        url: format!("http://127.0.0.1:{port}/{app}/predict"),
        input_type,
        output_type: match input_type {
            DataType::Ints => DataType::Ints,
            _ => DataType::Floats,
        },
        timeout: TIMEOUT,
    }
}
