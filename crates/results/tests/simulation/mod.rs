//! LoadSimulation of clients under load on a simulated clock, against a server that computes one query
//! at a time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use loadgen::{
    Arrivals, Load, LoadResult, Target, WindowOpening,
    client_state::{ClientState, NextAction},
    overload::{OverloadCounts, OverloadDetector},
    pacer::{Pacer, Partition},
    stats::{Span, Tally},
};
use model::DataType;
use wire::query::{Answer, AnswerStatus, Lineage, Timing};

/// Longest interval between two steps of a client.
const STEP: Duration = Duration::from_millis(20);

/// Interval between two checks for an overload.
const TICK: Duration = Duration::from_millis(100);

/// Settings of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct LoadSimulation {
    arrivals: Arrivals,
    seed: u64,
    duration: Duration,
    warm_up: Duration,
    clients: usize,
    /// The clients stand still between these times.
    asleep: (Duration, Duration),
    objective: Option<Duration>,
}

/// Send time of each query, and its latency from the send.
#[derive(Debug, Default)]
pub(crate) struct Sends(Vec<(Duration, Duration)>);

/// Time, client, and the answer with its service time; `None` for a step without an answer. The
/// overload detector has the number after that of the last client.
type SimulatedEvent = Reverse<(Instant, usize, Option<(u32, Duration)>)>;

impl LoadSimulation {
    pub(crate) fn new(arrivals: Arrivals, duration: Duration) -> LoadSimulation {
        LoadSimulation {
            arrivals,
            seed: 11,
            duration,
            warm_up: Duration::ZERO,
            clients: 1,
            asleep: (Duration::MAX, Duration::MAX),
            objective: None,
        }
    }

    pub(crate) fn seed(self, seed: u64) -> LoadSimulation {
        LoadSimulation { seed, ..self }
    }

    pub(crate) fn objective(self, objective: Duration) -> LoadSimulation {
        let objective = Some(objective);
        LoadSimulation { objective, ..self }
    }

    pub(crate) fn warm_up(self, warm_up: Duration) -> LoadSimulation {
        LoadSimulation { warm_up, ..self }
    }

    pub(crate) fn clients(self, clients: usize) -> LoadSimulation {
        LoadSimulation { clients, ..self }
    }

    pub(crate) fn asleep(self, from: Duration, to: Duration) -> LoadSimulation {
        let asleep = (from, to);
        LoadSimulation { asleep, ..self }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the intended send times; `None` in a closed loop.
    pub(crate) fn intended(&self) -> Option<Vec<Duration>> {
        let mut pacer = Pacer::new(
            &self.arrivals,
            self.seed,
            Partition {
                client: 0,
                clients: 1,
            },
        );
        let next = || {
            let at = pacer.next(Duration::ZERO, 0)?;
            pacer.on_sent();
            (at < self.duration).then_some(at)
        };
        let open = self.arrivals.in_flight().is_none();
        open.then(|| std::iter::from_fn(next).collect())
    }

    /// Runs until the clients end. `serve` takes the time when a query is computed, and its number;
    /// it returns the service time, or `None` for no answer.
    pub(crate) fn run(&self, serve: impl FnMut(Duration, u32) -> Option<Duration>) -> LoadResult {
        self.watched(&mut Sends::default(), serve)
    }

    /// The same, and records the sends.
    pub(crate) fn watched(
        &self,
        sends: &mut Sends,
        mut serve: impl FnMut(Duration, u32) -> Option<Duration>,
    ) -> LoadResult {
        let began = Instant::now();
        let closes = began + self.duration;
        let window = Span::new(began + self.warm_up, closes);
        let mut states: Vec<_> = (0..self.clients)
            .map(|client| Some(self.state(client, began)))
            .collect();
        let mut events: BinaryHeap<SimulatedEvent> = (0..=self.clients)
            .map(|client| Reverse((began, client, None)))
            .collect();
        let mut all = Tally::new(self.objective);
        let mut counts = OverloadCounts::default();
        let open = self.arrivals.in_flight().is_none();
        let mut overload = open.then(|| OverloadDetector::new(began, self.objective));
        let mut wakes = vec![began; self.clients];
        let mut idle_from = began;
        while let Some(Reverse((at, client, answer))) = events.pop() {
            if client == self.clients {
                if overload
                    .as_mut()
                    .is_some_and(|o| o.update(at, &window, counts))
                {
                    let left = states.iter_mut().filter_map(Option::take);
                    left.for_each(|state| all.merge(state.finish(at, &window, true)));
                }
                let goes_on = states.iter().any(Option::is_some);
                events.extend(goes_on.then_some(Reverse((at + TICK, client, None))));
                continue;
            }
            let is_stale = answer.is_none() && wakes[client] != at;
            let Some(state) = states[client].as_mut().filter(|_| !is_stale) else {
                continue;
            };
            let now = self.awake(at, began);
            // As under load, the window is announced 1 ms before it opens.
            let is_announced = now + Duration::from_millis(1) >= window.opens;
            let span = if is_announced {
                window
            } else {
                Span::unopened(closes)
            };
            if let Some((id, service)) = answer {
                let answer = ok(id, service);
                assert!(state.on_answer(now, &span, &answer));
                counts.record(&answer);
            }
            loop {
                match state.next_action(now, &span) {
                    NextAction::Send(id) => {
                        counts.sent += 1;
                        let turn = idle_from.max(now);
                        let service = serve(turn - began, id);
                        idle_from = turn + service.unwrap_or_default();
                        sends.0.push((now - began, idle_from - now));
                        if let Some(service) = service {
                            events.push(Reverse((idle_from, client, Some((id, service)))));
                        }
                    }
                    NextAction::Wait(until) => {
                        let step = now + STEP;
                        wakes[client] = until.map_or(step, |at| at.min(step));
                        events.push(Reverse((wakes[client], client, None)));
                        break;
                    }
                    NextAction::End => {
                        let state = states[client].take().unwrap();
                        all.merge(state.finish(now, &window, false));
                        break;
                    }
                }
            }
        }
        let overloaded = overload.is_some_and(|overload| overload.is_overloaded(counts));
        self.measured(all, window, overloaded)
    }

    fn measured(&self, mut tally: Tally, span: Span, overloaded: bool) -> LoadResult {
        tally.totals.seconds = span.length().as_secs_f64();
        tally.warm_up.seconds = self.warm_up.as_secs_f64();
        LoadResult {
            tally,
            span,
            steady: true,
            overloaded,
            busiest_thread: 0.0,
        }
    }

    fn state(&self, client: usize, began: Instant) -> ClientState {
        let clients = self.clients;
        let pacer = Pacer::new(&self.arrivals, self.seed, Partition { client, clients });
        let tally = Tally::new(self.objective);
        ClientState::new(began, pacer, Duration::from_secs(30), tally)
    }

    /// Returns the time at which a client handles an event of time `at`.
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

    /// Returns the send times, ascending.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let mut times: Vec<_> = self.0.iter().map(|(at, _)| *at).collect();
        times.sort();
        times
    }

    /// Returns the 99th percentile of the latency from the send, in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut took: Vec<_> = self.0.iter().map(|(_, took)| *took).collect();
        took.sort();
        took[took.len() * 99 / 100].as_secs_f64() * 1e3
    }
}

/// Returns the load that the simulation stands for, to read a result with.
pub(crate) fn load(simulation: &LoadSimulation) -> Load<'static> {
    Load {
        target: Target {
            answers: String::new(),
            requests: String::new(),
            app: "app",
            input_type: DataType::Bytes,
        },
        arrivals: simulation.arrivals.clone(),
        send_once: false,
        seed: simulation.seed,
        cores: None,
        clients: simulation.clients,
        duration: simulation.duration,
        opening: WindowOpening::After(simulation.warm_up),
        precision: None,
        answer_timeout: Duration::ZERO,
        objective: None,
        trial_start: Instant::now(),
    }
}

fn ok(request_id: u32, service: Duration) -> Answer<'static> {
    Answer {
        session: 0,
        request_id,
        status: AnswerStatus::Ok,
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
