//! Clients under a load, on a clock that only this module moves, against a server that does one query after the other.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use loadgen::{
    Arrivals, Load, Measured, Opening, Target,
    flow::{Flow, Next},
    overload::{Counts, Overload},
    pacer::{Pacer, Part},
    stats::{Span, Tally},
};
use model::DataType;
use wire::query::{Answer, Lineage, Status, Timing};

/// A client looks around so often at least.
const LOOK: Duration = Duration::from_millis(20);

/// The watcher looks for an overload so often.
const TICK: Duration = Duration::from_millis(100);

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Simulation {
    arrivals: Arrivals,
    seed: u64,
    duration: Duration,
    warm_up: Duration,
    clients: usize,
    /// The clients do nothing between these times.
    asleep: (Duration, Duration),
    objective: Option<Duration>,
}

/// When queries were sent, and how long each took from then.
#[derive(Debug, Default)]
pub(crate) struct Sends(Vec<(Duration, Duration)>);

/// What happens to a client, and when: it looks around, or an answer comes that took so long to compute. The watcher is
/// the client after the last.
type Event = Reverse<(Instant, usize, Option<(u32, Duration)>)>;

impl Simulation {
    pub(crate) fn new(arrivals: Arrivals, duration: Duration) -> Simulation {
        Simulation {
            arrivals,
            seed: 11,
            duration,
            warm_up: Duration::ZERO,
            clients: 1,
            asleep: (Duration::MAX, Duration::MAX),
            objective: None,
        }
    }

    pub(crate) fn seed(self, seed: u64) -> Simulation {
        Simulation { seed, ..self }
    }

    pub(crate) fn objective(self, objective: Duration) -> Simulation {
        let objective = Some(objective);
        Simulation { objective, ..self }
    }

    pub(crate) fn warm_up(self, warm_up: Duration) -> Simulation {
        Simulation { warm_up, ..self }
    }

    pub(crate) fn clients(self, clients: usize) -> Simulation {
        Simulation { clients, ..self }
    }

    pub(crate) fn asleep(self, from: Duration, to: Duration) -> Simulation {
        let asleep = (from, to);
        Simulation { asleep, ..self }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// The times at which queries are intended in an open loop.
    pub(crate) fn intended(&self) -> Option<Vec<Duration>> {
        let mut pacer = Pacer::new(
            &self.arrivals,
            self.seed,
            Part {
                client: 0,
                clients: 1,
            },
        );
        let next = || {
            let at = pacer.next(Duration::ZERO, 0)?;
            pacer.sent();
            (at < self.duration).then_some(at)
        };
        let open = self.arrivals.in_flight().is_none();
        open.then(|| std::iter::from_fn(next).collect())
    }

    /// Runs until the clients end. `serve` is told when a query's turn comes, and its number; it says how long the
    /// query takes, or that no answer comes.
    pub(crate) fn run(&self, serve: impl FnMut(Duration, u32) -> Option<Duration>) -> Measured {
        self.watched(&mut Sends::default(), serve)
    }

    /// The same, with an eye on the sends.
    pub(crate) fn watched(
        &self,
        sends: &mut Sends,
        mut serve: impl FnMut(Duration, u32) -> Option<Duration>,
    ) -> Measured {
        let began = Instant::now();
        let closes = began + self.duration;
        let window = Span::new(began + self.warm_up, closes);
        let mut flows: Vec<_> = (0..self.clients)
            .map(|client| Some(self.flow(client, began)))
            .collect();
        let mut events: BinaryHeap<Event> = (0..=self.clients)
            .map(|client| Reverse((began, client, None)))
            .collect();
        let mut all = Tally::new(self.objective);
        let mut counts = Counts::default();
        let open = self.arrivals.in_flight().is_none();
        let mut overload = open.then(|| Overload::new(began, self.objective));
        let mut wakes = vec![began; self.clients];
        let mut idle_from = began;
        while let Some(Reverse((at, client, answer))) = events.pop() {
            if client == self.clients {
                if overload
                    .as_mut()
                    .is_some_and(|o| o.tell(at, &window, counts))
                {
                    let left = flows.iter_mut().filter_map(Option::take);
                    left.for_each(|flow| all.merge(flow.end(at, &window, true)));
                }
                let goes_on = flows.iter().any(Option::is_some);
                events.extend(goes_on.then_some(Reverse((at + TICK, client, None))));
                continue;
            }
            let is_stale = answer.is_none() && wakes[client] != at;
            let Some(flow) = flows[client].as_mut().filter(|_| !is_stale) else {
                continue;
            };
            let now = self.awake(at, began);
            // As under load, the window is told a moment before it opens.
            let told = now + Duration::from_millis(1) >= window.opens;
            let span = if told { window } else { Span::unopened(closes) };
            if let Some((id, service)) = answer {
                let answer = ok(id, service);
                assert!(flow.answered(now, &span, &answer));
                counts.answered(&answer);
            }
            loop {
                match flow.next(now, &span) {
                    Next::Send(id) => {
                        counts.sent += 1;
                        let turn = idle_from.max(now);
                        let service = serve(turn - began, id);
                        idle_from = turn + service.unwrap_or_default();
                        sends.0.push((now - began, idle_from - now));
                        if let Some(service) = service {
                            events.push(Reverse((idle_from, client, Some((id, service)))));
                        }
                    }
                    Next::Wait(until) => {
                        let look = now + LOOK;
                        wakes[client] = until.map_or(look, |at| at.min(look));
                        events.push(Reverse((wakes[client], client, None)));
                        break;
                    }
                    Next::End => {
                        let flow = flows[client].take().unwrap();
                        all.merge(flow.end(now, &window, false));
                        break;
                    }
                }
            }
        }
        let overloaded = overload.is_some_and(|overload| overload.is_found(counts));
        self.measured(all, window, overloaded)
    }

    fn measured(&self, mut tally: Tally, span: Span, overloaded: bool) -> Measured {
        tally.totals.seconds = span.length().as_secs_f64();
        tally.warm_up.seconds = self.warm_up.as_secs_f64();
        Measured {
            tally,
            span,
            steady: true,
            overloaded,
            busiest_thread: 0.0,
        }
    }

    fn flow(&self, client: usize, began: Instant) -> Flow {
        let clients = self.clients;
        let pacer = Pacer::new(&self.arrivals, self.seed, Part { client, clients });
        let tally = Tally::new(self.objective);
        Flow::new(began, pacer, Duration::from_secs(30), tally)
    }

    /// When a client gets to what happens at `at`.
    fn awake(&self, at: Instant, began: Instant) -> Instant {
        let (from, to) = self.asleep;
        match at - began {
            since if from <= since && since < to => began + to,
            _ => at,
        }
    }
}

impl Sends {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// When they were sent, ascending.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let mut times: Vec<_> = self.0.iter().map(|(at, _)| *at).collect();
        times.sort();
        times
    }

    /// The 99th percentile of what they took from then.
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut took: Vec<_> = self.0.iter().map(|(_, took)| *took).collect();
        took.sort();
        took[took.len() * 99 / 100].as_secs_f64() * 1e3
    }
}

/// The load that a simulation stands for, as a result is read with.
pub(crate) fn load(simulation: &Simulation) -> Load<'static> {
    Load {
        target: Target {
            answers: String::new(),
            requests: String::new(),
            app: "app",
            input_type: DataType::Bytes,
        },
        arrivals: simulation.arrivals.clone(),
        once: false,
        seed: simulation.seed,
        cores: None,
        clients: simulation.clients,
        duration: simulation.duration,
        opening: Opening::After(simulation.warm_up),
        until: None,
        patience: Duration::ZERO,
        objective: None,
        since: Instant::now(),
    }
}

fn ok(request_id: u32, service: Duration) -> Answer<'static> {
    Answer {
        session: 0,
        request_id,
        status: Status::Ok,
        reason: "",
        output_type: DataType::Bytes,
        output: &[],
        timing: Timing {
            away: service.as_micros() as u64,
            ..Timing::default()
        },
        lineage: Lineage::default(),
    }
}
