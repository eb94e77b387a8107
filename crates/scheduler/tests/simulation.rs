//! Random schedules: every query ends exactly once and no limit is exceeded, whatever the replicas
//! do.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use model::DataType;
use proptest::prelude::*;
use scheduler::*;

/// One step of a schedule. The numbers select a replica and one of its batches.
#[derive(Clone, Debug)]
enum Step {
    Query {
        within_ms: u64,
        fingerprint: Option<Fingerprint>,
    },
    Join,
    Answer(usize, usize),
    AnswerLate(usize),
    Die(usize),
    ClientDisconnects(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..50, 0_u128..6).prop_map(|(within_ms, input)| Step::Query {
            within_ms,
            // Half of the queries have no fingerprint.
            fingerprint: (input < 3).then_some(Fingerprint(input)),
        }),
        1 => Just(Step::Join),
        5 => (any::<usize>(), any::<usize>()).prop_map(|(r, b)| Step::Answer(r, b)),
        1 => any::<usize>().prop_map(Step::AnswerLate),
        1 => any::<usize>().prop_map(Step::Die),
        1 => (0_u32..200).prop_map(Step::ClientDisconnects),
        3 => (0_u64..20).prop_map(Step::Wait),
    ]
}

/// A model of everything around the scheduler: clients, replicas and the clock.
struct Simulation {
    app: Arc<App>,
    model: Arc<ModelVersion>,
    scheduler: Scheduler<u32>,
    now: Timestamp,
    in_flight: BTreeMap<ReplicaKey, Vec<(BatchId, Vec<u32>)>>,
    /// Batches that were taken from replicas that hang.
    ejected: Vec<(ReplicaKey, BatchId)>,
    hung: HashSet<ReplicaKey>,
    /// Key of each query, by payload.
    keys: HashMap<u32, QueryKey>,
    fingerprints: HashMap<u32, Fingerprint>,
    /// Payloads of cancelled queries.
    cancelled: HashSet<u32>,
    /// Number of times that each query ended.
    ended: HashMap<u32, usize>,
    /// Number of replicas that died or hung while computing each query.
    deaths: HashMap<u32, usize>,
    max_batch: usize,
}

impl Simulation {
    fn new(max_batch: usize, rules: Rules) -> Simulation {
        let mut scheduler = Scheduler::new(0, rules);
        let model = ModelVersion {
            name: "m".into(),
            version: "1".into(),
        };
        let app = Arc::new(App {
            name: "a".into(),
            input_type: DataType::Bytes,
            default_output: String::new(),
            objective: Duration::from_secs(1),
        });
        scheduler.set_model(model.clone(), DataType::Bytes, Some(max_batch));
        Simulation {
            app,
            model: Arc::new(model),
            scheduler,
            now: Timestamp::ZERO,
            in_flight: BTreeMap::new(),
            ejected: Vec::new(),
            hung: HashSet::new(),
            keys: HashMap::new(),
            fingerprints: HashMap::new(),
            cancelled: HashSet::new(),
            ended: HashMap::new(),
            deaths: HashMap::new(),
            max_batch,
        }
    }

    fn apply(&mut self, step: Step, payload: u32) {
        match step {
            Step::Query {
                within_ms,
                fingerprint,
            } => {
                let query = Query {
                    app: self.app.clone(),
                    model: Some(self.model.clone()),
                    input_type: DataType::Bytes,
                    size: 1,
                    fingerprint,
                    arrived: self.now,
                    deadline: self.now + Duration::from_millis(within_ms),
                    payload,
                };
                let accepted = self.scheduler.on_query(query);
                // Requeued queries may exceed the limit.
                let refused = matches!(
                    accepted,
                    Err(Refused {
                        refusal: Refusal::Overloaded {
                            queries: MAX_QUERIES..,
                            ..
                        },
                        ..
                    })
                );
                assert!(accepted.is_ok() || refused);
                self.ended.insert(payload, usize::from(refused));
                let key = accepted.ok().flatten();
                self.keys.extend(key.map(|key| (payload, key)));
                self.fingerprints
                    .extend(fingerprint.map(|same| (payload, same)));
            }
            Step::Join => {
                let key = self.scheduler.on_joined(NewReplica {
                    model: ModelVersion {
                        name: "m".into(),
                        version: "1".into(),
                    },
                    input_type: DataType::Bytes,
                    batches_in_flight: 2,
                    max_batch: None,
                });
                self.in_flight.insert(key, Vec::new());
            }
            Step::Answer(replica, batch) => self.answer(replica, batch),
            Step::AnswerLate(index) => {
                if let Some(index) = index.checked_rem(self.ejected.len()) {
                    let (replica, batch) = self.ejected.remove(index);
                    assert_eq!(self.scheduler.on_answered(replica, batch, self.now), None);
                    self.hung.remove(&replica);
                }
            }
            Step::ClientDisconnects(payload) => self.disconnect_client(payload),
            Step::Die(replica) => {
                if let Some(key) = self.select(replica) {
                    let computing = self.in_flight.remove(&key).unwrap().into_iter().next();
                    for query in computing.into_iter().flat_map(|batch| batch.1) {
                        *self.deaths.entry(query).or_default() += 1;
                    }
                    self.scheduler.on_left(key, Departure::Died);
                    self.ejected.retain(|(replica, _)| *replica != key);
                    self.hung.remove(&key);
                }
            }
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
        }
        self.dispatch();
    }

    fn disconnect_client(&mut self, payload: u32) {
        if self.ended.get(&payload) == Some(&0)
            && let Some(key) = self.keys.get(&payload)
        {
            let cancelled = self.scheduler.cancel(*key).unwrap();
            assert_eq!(cancelled.payload, payload);
            self.end(payload);
            self.cancelled.insert(payload);
        }
    }

    fn end(&mut self, payload: u32) {
        *self.ended.get_mut(&payload).unwrap() += 1;
    }

    fn select(&self, replica: usize) -> Option<ReplicaKey> {
        let index = replica.checked_rem(self.in_flight.len())?;
        self.in_flight.keys().nth(index).copied()
    }

    fn answer(&mut self, replica: usize, batch: usize) {
        let Some(key) = self.select(replica) else {
            return;
        };
        let batches = self.in_flight.get_mut(&key).unwrap();
        let Some(index) = batch.checked_rem(batches.len()) else {
            return;
        };
        let (id, _) = batches.remove(index);
        let answered = self.scheduler.on_answered(key, id, self.now).unwrap();
        for (_, query) in answered.queries {
            self.end(query.payload);
        }
    }

    fn dispatch(&mut self) {
        self.scheduler.dispatch(self.now);
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::AnswerDefault(query, _) => self.end(query.payload),
                Action::ReplicaHung(key) => {
                    let batches = std::mem::take(self.in_flight.get_mut(&key).unwrap());
                    for query in &batches[0].1 {
                        *self.deaths.entry(*query).or_default() += 1;
                    }
                    self.ejected
                        .extend(batches.iter().map(|(batch, _)| (key, *batch)));
                    self.hung.insert(key);
                }
                Action::SendBatch(batch) => self.on_sent(batch),
                Action::ReplicaEjected(_) | Action::ReplicaReadmitted(_) => panic!("{action:?}"),
            }
        }
        let deadline = self.scheduler.next_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now));
    }

    fn on_sent(&mut self, sent: OutgoingBatch) {
        let queries: Vec<u32> = sent
            .queries
            .iter()
            .map(|key| *self.scheduler.payload(*key).unwrap())
            .collect();
        assert!((1..=self.max_batch).contains(&queries.len()));
        assert!(!self.hung.contains(&sent.replica));
        assert!(queries.iter().all(|query| !self.cancelled.contains(query)));
        let deaths = |query| self.deaths.get(query).copied().unwrap_or(0);
        assert!(queries.iter().all(|query| deaths(query) < 2));
        assert!(queries.len() == 1 || queries.iter().all(|query| deaths(query) == 0));
        let batches = self.in_flight.get_mut(&sent.replica).unwrap();
        batches.push((sent.batch, queries));
        assert!(batches.len() <= 2);
        self.assert_no_fingerprint_is_computed_twice();
    }

    fn assert_no_fingerprint_is_computed_twice(&self) {
        let in_flight = self.in_flight.values().flatten().flat_map(|batch| &batch.1);
        let mut seen = HashSet::new();
        let mut fingerprints = in_flight.filter_map(|query| self.fingerprints.get(query));
        assert!(fingerprints.all(|fingerprint| seen.insert(fingerprint)));
    }
}

/// Maximum number of queries in the queue.
const MAX_QUERIES: usize = 12;

fn rules() -> impl Strategy<Value = Rules> {
    let adaptive = prop_oneof![Just(AdaptivePolicy::Aimd), Just(AdaptivePolicy::Quantile)];
    (adaptive, 0_u64..10).prop_map(|(adaptive, delay)| Rules {
        max_queries: MAX_QUERIES,
        adaptive,
        batch_delay: Duration::from_millis(delay),
        hang_floor: Duration::from_millis(30),
        first_batch: Duration::from_millis(60),
        ..Rules::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_query_ends_exactly_once(
        max_batch in 1_usize..6,
        rules in rules(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut simulation = Simulation::new(max_batch, rules);
        for (payload, step) in steps.into_iter().enumerate() {
            simulation.apply(step, payload as u32);
            prop_assert!(simulation.ended.values().all(|times| *times <= 1));
        }
        simulation.now += Duration::from_secs(10);
        simulation.dispatch();
        prop_assert!(simulation.ended.values().all(|times| *times == 1));
    }
}
