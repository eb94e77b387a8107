//! Arrivals, service times and outcomes on a virtual clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use model::DataType;
use scheduler::{
    Action, App, BatchId, DefaultReason, ModelVersion, NewReplica, Query, ReplicaKey, Rules,
    Scheduler,
};

use crate::Random;

/// Service time of a batch: `start + each * size`, spread evenly over `1 - spread ..= 1 + spread`
/// times that.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    /// Time of a batch, whatever its size.
    pub start: Duration,
    /// Additional time of each query in the batch.
    pub each: Duration,
    /// Largest deviation from the mean, as a share of it.
    pub spread: f64,
}

impl Law {
    /// Mean service time of a batch of `size` queries.
    pub fn mean(&self, size: usize) -> Duration {
        self.start + self.each * size as u32
    }

    /// Queries per second in batches of `size`.
    pub fn capacity(&self, size: usize) -> f64 {
        size as f64 / self.mean(size).as_secs_f64()
    }

    /// A random time of a batch of `size`.
    pub fn draw(&self, size: usize, random: &mut Random) -> Duration {
        self.mean(size)
            .mul_f64(1.0 + self.spread * (2.0 * random.uniform() - 1.0))
    }
}

/// A stream of queries of one application.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Latency objective of each query.
    pub objective: Duration,
    /// Arrivals per second from each of these times on.
    pub rates: Vec<(Duration, f64)>,
}

impl Stream {
    /// A stream with a constant arrival rate, in queries per second.
    pub fn steady(objective: Duration, rate: f64) -> Stream {
        let rates = vec![(Duration::ZERO, rate)];
        Stream { objective, rates }
    }

    fn rate(&self, at: Duration) -> f64 {
        let begun = self.rates.iter().rev().find(|(since, _)| *since <= at);
        begun.map_or(0.0, |(_, rate)| *rate)
    }
}

/// Counts of the queries of one stream that arrived in the measured time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Number of queries that arrived.
    pub offered: u64,
    /// Number of queries that were answered by a replica before their deadline.
    pub in_time: u64,
    /// Number of queries that were not computed because they could not have been in time.
    pub shed: u64,
    /// Number of queries that got the default output for any other reason.
    pub timed_out: u64,
    /// Number of queries that were computed, in time or not.
    pub computed: u64,
    /// Number of computed queries that were too late.
    pub late: u64,
}

#[derive(Debug)]
struct Server {
    law: Law,
    waiting: VecDeque<(BatchId, Vec<u64>)>,
    running: Option<(BatchId, Vec<u64>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    Done(usize),
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    stream: usize,
    deadline: Duration,
    measured: bool,
}

/// The scheduler, the replicas of one model version, and the streams of queries to it.
pub struct SimulatedCluster {
    scheduler: Scheduler<u64>,
    model: Arc<ModelVersion>,
    servers: Vec<Server>,
    keys: HashMap<ReplicaKey, usize>,
    replicas: Vec<ReplicaKey>,
    streams: Vec<Stream>,
    apps: Vec<Arc<App>>,
    queries: HashMap<u64, Asked>,
    outcomes: Vec<Outcome>,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    random: Random,
    now: Duration,
    next: u64,
}

impl SimulatedCluster {
    /// Creates a cluster with one replica for each law. `max` is the largest batch; `None` leaves
    /// it to the adaptive policy. Each replica takes one batch ahead of the running one.
    pub fn new(rules: Rules, max: Option<usize>, laws: &[Law], seed: u64) -> SimulatedCluster {
        SimulatedCluster::with_batches_in_flight(2, rules, max, laws, seed)
    }

    /// Creates a cluster as [`SimulatedCluster::new`] does, with another number of batches in
    /// flight at each replica.
    pub fn with_batches_in_flight(
        batches_in_flight: usize,
        rules: Rules,
        max: Option<usize>,
        laws: &[Law],
        seed: u64,
    ) -> SimulatedCluster {
        let mut scheduler = Scheduler::new(0, rules);
        let model = ModelVersion {
            name: "m".into(),
            version: "1".into(),
        };
        scheduler.set_model(model.clone(), DataType::Floats, max);
        let replicas: Vec<_> = laws
            .iter()
            .map(|_| {
                scheduler.on_joined(NewReplica {
                    model: model.clone(),
                    input_type: DataType::Floats,
                    batches_in_flight,
                    max_batch: None,
                })
            })
            .collect();
        let servers = laws.iter().map(|law| Server {
            law: *law,
            waiting: VecDeque::new(),
            running: None,
        });
        SimulatedCluster {
            scheduler,
            model: Arc::new(model),
            servers: servers.collect(),
            keys: replicas.iter().copied().zip(0..).collect(),
            replicas,
            streams: Vec::new(),
            apps: Vec::new(),
            queries: HashMap::new(),
            outcomes: Vec::new(),
            events: BinaryHeap::new(),
            random: Random(seed),
            now: Duration::ZERO,
            next: 0,
        }
    }

    /// Adds a stream of queries, which begins now.
    pub fn offer(&mut self, stream: Stream) {
        self.apps.push(Arc::new(App {
            name: format!("app{}", self.apps.len()),
            input_type: DataType::Floats,
            default_output: String::new(),
            objective: stream.objective,
        }));
        let index = self.streams.len();
        let first = self.random.exponential(stream.rate(self.now));
        self.events
            .push(Reverse((self.now + first, Event::Arrival(index))));
        self.streams.push(stream);
        self.outcomes.push(Outcome::default());
    }

    /// Runs until every query has ended that arrives in the time `measured`, and returns how they
    /// ended, for each stream.
    pub fn run(&mut self, measured: Range<Duration>) -> Vec<Outcome> {
        let longest = self.streams.iter().map(|stream| stream.objective).max();
        let until = measured.end + longest.unwrap_or_default();
        loop {
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            let wake = self.scheduler.next_deadline();
            let Some(at) = [event, wake].into_iter().flatten().min() else {
                break;
            };
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            while let Some(Reverse((at, event))) = self.events.peek().copied() {
                if at > self.now {
                    break;
                }
                self.events.pop();
                match event {
                    Event::Arrival(stream) => self.arrive(stream, &measured),
                    Event::Done(server) => self.done(server),
                }
            }
            self.dispatch();
        }
        self.outcomes.clone()
    }

    fn arrive(&mut self, index: usize, measured: &Range<Duration>) {
        let stream = &self.streams[index];
        let id = self.next;
        self.next += 1;
        let asked = Asked {
            stream: index,
            deadline: self.now + stream.objective,
            measured: measured.contains(&self.now),
        };
        let rate = stream.rate(self.now);
        let query = Query {
            app: self.apps[index].clone(),
            model: Some(self.model.clone()),
            input_type: DataType::Floats,
            size: 1,
            fingerprint: None,
            arrived: self.now,
            deadline: asked.deadline,
            payload: id,
        };
        if asked.measured {
            self.outcomes[index].offered += 1;
        }
        if self.scheduler.on_query(query).is_ok() {
            self.queries.insert(id, asked);
        }
        let next = self.now + self.random.exponential(rate);
        self.events.push(Reverse((next, Event::Arrival(index))));
    }

    fn done(&mut self, server: usize) {
        let running = self.servers[server].running.take();
        let (batch, ids) = running.expect("a batch that ends was running");
        let key = self.replicas[server];
        for id in &ids {
            // A query that got the default output before has no entry; it counts as late.
            let Some(asked) = self.queries.get(id) else {
                continue;
            };
            if asked.measured {
                let outcome = &mut self.outcomes[asked.stream];
                outcome.computed += 1;
                if self.now > asked.deadline {
                    outcome.late += 1;
                }
            }
        }
        if let Some(answered) = self.scheduler.on_answered(key, batch, self.now) {
            for (_, query) in answered.queries {
                let asked = self.queries.remove(&query.payload);
                let asked = asked.expect("a query is answered once");
                if asked.measured {
                    self.outcomes[asked.stream].in_time += 1;
                }
            }
        }
        for id in ids {
            self.queries.remove(&id);
        }
        self.start(server);
    }

    fn start(&mut self, index: usize) {
        let server = &mut self.servers[index];
        if server.running.is_none()
            && let Some(batch) = server.waiting.pop_front()
        {
            let takes = server.law.draw(batch.1.len(), &mut self.random);
            server.running = Some(batch);
            self.events
                .push(Reverse((self.now + takes, Event::Done(index))));
        }
    }

    fn dispatch(&mut self) {
        self.scheduler.dispatch(self.now);
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::SendBatch(send) => {
                    let ids = send.queries.iter();
                    let ids = ids.filter_map(|key| self.scheduler.payload(*key).copied());
                    let ids: Vec<u64> = ids.collect();
                    let server = self.keys[&send.replica];
                    self.servers[server].waiting.push_back((send.batch, ids));
                    self.start(server);
                }
                Action::AnswerDefault(query, reason) => self.default(query.payload, reason),
                Action::ReplicaHung(_)
                | Action::ReplicaEjected(_)
                | Action::ReplicaReadmitted(_) => {
                    unreachable!("simulated replicas neither hang nor fail")
                }
            }
        }
    }

    fn default(&mut self, id: u64, reason: DefaultReason) {
        let asked = self.queries[&id];
        if reason != DefaultReason::TimedOutAtReplica {
            self.queries.remove(&id);
        }
        if asked.measured {
            let outcome = &mut self.outcomes[asked.stream];
            match reason {
                DefaultReason::Shed => outcome.shed += 1,
                _ => outcome.timed_out += 1,
            }
        }
    }
}
