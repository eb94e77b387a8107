//! All clients: how fast they can, and at a share of that.

use std::{
    thread,
    time::{Duration, Instant},
};

use deploy::BoundPorts;
use loadgen::{Arrivals, Client, NativeClient, RestClient, RestTarget, Target};
use model::DataType;

use crate::{
    asker::Asker,
    ledger::{Counts, Ledger},
    scene::Deployed,
    shared::Shared,
};

/// A query without an end after this time is lost. Far beyond any objective here: the frontend answers at that with the
/// default output, and only a machine that hardly moves takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Queries that a ZeroMQ client has open while the capacity is looked for.
const WINDOW: usize = 64;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// ZeroMQ, our own dialect.
    Native,
    /// REST.
    Rest,
}

/// One client.
struct Named {
    /// Who asks what over what, as in "digest over REST".
    name: String,
    asker: Asker,
}

/// Clients that are numbered as they are added.
pub struct Clients {
    context: zmq::Context,
    ports: BoundPorts,
    clients: Vec<Named>,
}

impl Clients {
    /// None yet.
    pub fn new(ports: BoundPorts) -> Clients {
        Clients {
            context: zmq::Context::new(),
            ports,
            clients: Vec::new(),
        }
    }

    /// Adds so many clients of one application.
    ///
    /// # Errors
    /// If their sockets cannot be made.
    pub fn add(&mut self, model: &Deployed, door: Door, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let number = u32::try_from(self.clients.len())?;
            let (over, most_open, client): (_, _, Box<dyn Client>) = match door {
                Door::Native => {
                    let target = native_target(model, self.ports);
                    let client = NativeClient::open(&self.context, &target)?;
                    ("ZeroMQ", usize::MAX, Box::new(client))
                }
                Door::Rest => {
                    let client = RestClient::new(rest_target(model, self.ports));
                    ("REST", 1, Box::new(client))
                }
            };
            let ledger = Ledger::new(model.objective, PATIENCE);
            let questions = model.questions.clone();
            self.clients.push(Named {
                name: format!("{} over {over}", model.name),
                asker: Asker::new(number, questions, ledger, client, most_open),
            });
        }
        Ok(())
    }

    /// Lets each ask as its queries arrive while `meanwhile` runs, then waits for what is open. Gives what each has
    /// counted.
    pub fn run(
        &mut self,
        arrivals: &[Arrivals],
        shared: &Shared,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<(String, Counts)>> {
        shared.stop(false);
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .clients
                .iter_mut()
                .zip(arrivals)
                .map(|(client, arrivals)| scope.spawn(move || client.run(arrivals, shared)))
                .collect();
            let done = meanwhile();
            shared.stop(true);
            let counts: anyhow::Result<Vec<_>> = threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(counts) => counts,
                    Err(_) => anyhow::bail!("a client panicked: see above"),
                })
                .collect();
            done.and(counts)
        })
    }

    /// How fast each can ask while all do, in queries a second: what it was answered within `time`, after a warm-up of
    /// half of that.
    pub fn capacity(&mut self, time: Duration, shared: &Shared) -> anyhow::Result<Vec<f64>> {
        let closed = Arrivals::Closed { in_flight: WINDOW };
        let closed = vec![closed; self.clients.len()];
        let wait = |time| {
            move || {
                thread::sleep(time);
                Ok(())
            }
        };
        self.run(&closed, shared, wait(time / 2))?;
        let began = Instant::now();
        let counts = self.run(&closed, shared, wait(time))?;
        let seconds = began.elapsed().as_secs_f64();
        let mut rates = Vec::new();
        for (name, counts) in counts {
            let violations = counts.violations();
            anyhow::ensure!(
                violations.is_empty(),
                "nothing works before there is any fault: {name}: {}",
                violations.join("; ")
            );
            let total = counts.total();
            let answered = total.in_time + total.late;
            anyhow::ensure!(
                answered > 0,
                "nothing works before there is any fault: {name} got no answer: {:?}",
                counts.reasons
            );
            rates.push(answered as f64 / seconds);
        }
        Ok(rates)
    }
}

impl Named {
    fn run(&mut self, arrivals: &Arrivals, shared: &Shared) -> anyhow::Result<(String, Counts)> {
        self.asker.run(arrivals, shared)?;
        let now = Instant::now();
        let ledger = self.asker.ledger();
        let counts = ledger.close(now, shared.weather.look(now));
        Ok((self.name.clone(), counts))
    }
}

/// Where a model's clients find the frontend over ZeroMQ.
pub(crate) fn native_target(model: &Deployed, ports: BoundPorts) -> Target<'static> {
    let at = |port| format!("tcp://127.0.0.1:{port}");
    Target {
        answers: at(ports.send_port),
        requests: at(ports.recv_port),
        app: model.name,
        input_type: model.questions.input_type(),
    }
}

/// Where they find it over REST. Ints are answered with ints, as the model server `digest` does, all else with floats.
fn rest_target(model: &Deployed, ports: BoundPorts) -> RestTarget {
    let input_type = model.questions.input_type();
    let (port, app) = (ports.query_port, model.name);
    RestTarget {
        url: format!("http://127.0.0.1:{port}/{app}/predict"),
        input_type,
        output_type: match input_type {
            DataType::Ints => DataType::Ints,
            _ => DataType::Floats,
        },
        patience: PATIENCE,
    }
}
