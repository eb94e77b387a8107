//! All clients: how fast they can, and at a share of that.

use std::{
    thread,
    time::{Duration, Instant},
};

use deploy::Ports;

use crate::{
    ledger::{Counts, Ledger},
    native::Native,
    pace::{Pace, Shared},
    rest::Rest,
    scene::Deployed,
};

/// A query without an end after this time is lost. Far beyond any objective here: the frontend answers at that with the default
/// output, and only a machine that hardly moves takes longer.
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
pub struct Client {
    /// Who asks what over what, as in "digest over REST".
    pub name: String,
    speaks: Speaks,
}

enum Speaks {
    Native(Box<Native>),
    Rest(Box<Rest>),
}

/// Clients that are numbered as they are added.
pub struct Clients {
    context: zmq::Context,
    ports: Ports,
    clients: Vec<Client>,
}

impl Clients {
    /// None yet.
    pub fn new(ports: Ports) -> Clients {
        Clients {
            context: zmq::Context::new(),
            ports,
            clients: Vec::new(),
        }
    }

    /// Adds so many clients of one application.
    pub fn add(&mut self, model: &Deployed, door: Door, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let number = u32::try_from(self.clients.len())?;
            let ledger = Ledger::new(model.objective, PATIENCE);
            let asks = (model.name, model.questions.clone());
            let (over, speaks) = match door {
                Door::Native => {
                    let native = Native::new(number, asks, ledger, &self.context, self.ports)?;
                    ("ZeroMQ", Speaks::Native(Box::new(native)))
                }
                Door::Rest => {
                    let rest = Rest::new(number, asks, ledger, self.ports);
                    ("REST", Speaks::Rest(Box::new(rest)))
                }
            };
            let name = format!("{} over {over}", model.name);
            self.clients.push(Client { name, speaks });
        }
        Ok(())
    }

    /// Lets each ask at its pace while `meanwhile` runs, then waits for what is open. Gives what each has counted.
    pub fn run(
        &mut self,
        paces: &[Pace],
        shared: &Shared,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<(String, Counts)>> {
        shared.stop(false);
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .clients
                .iter_mut()
                .zip(paces)
                .map(|(client, &pace)| scope.spawn(move || client.run(pace, shared)))
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

    /// How fast each can ask while all do, in queries a second: what it was answered within `time`, after a warm-up of half of
    /// that.
    pub fn capacity(&mut self, time: Duration, shared: &Shared) -> anyhow::Result<Vec<f64>> {
        let paces = vec![Pace::Window(WINDOW); self.clients.len()];
        let wait = |time| {
            move || {
                thread::sleep(time);
                Ok(())
            }
        };
        self.run(&paces, shared, wait(time / 2))?;
        let began = Instant::now();
        let counts = self.run(&paces, shared, wait(time))?;
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

impl Client {
    fn run(&mut self, pace: Pace, shared: &Shared) -> anyhow::Result<(String, Counts)> {
        let ledger = match &mut self.speaks {
            Speaks::Native(native) => {
                native.run(pace, shared)?;
                native.ledger()
            }
            Speaks::Rest(rest) => {
                rest.run(pace, shared);
                rest.ledger()
            }
        };
        let now = Instant::now();
        let counts = ledger.close(now, shared.weather.look(now));
        Ok((self.name.clone(), counts))
    }
}
