//! Thousands of random schedules: whatever replicas do, every query ends exactly once, and no limit is passed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use model::DataType;
use proptest::prelude::*;
use scheduler::*;

/// One step of a schedule; the numbers pick a replica and one of its batches.
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
    ClientLeaves(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..50, 0_u128..6).prop_map(|(within_ms, input)| Step::Query {
            within_ms,
            // Half of them stand for themselves.
            fingerprint: (input < 3).then_some(Fingerprint(input)),
        }),
        1 => Just(Step::Join),
        5 => (any::<usize>(), any::<usize>()).prop_map(|(r, b)| Step::Answer(r, b)),
        1 => any::<usize>().prop_map(Step::AnswerLate),
        1 => any::<usize>().prop_map(Step::Die),
        1 => (0_u32..200).prop_map(Step::ClientLeaves),
        3 => (0_u64..20).prop_map(Step::Wait),
    ]
}

/// What the world around the scheduler knows.
struct World {
    app: Arc<App>,
    model: Arc<ModelVersion>,
    scheduler: Scheduler<u32>,
    now: Timestamp,
    flying: BTreeMap<ReplicaKey, Vec<(BatchId, Vec<u32>)>>,
    /// Batches that were taken from replicas that hang.
    taken: Vec<(ReplicaKey, BatchId)>,
    hung: HashSet<ReplicaKey>,
    /// By what name each query can be taken back.
    keys: HashMap<u32, QueryKey>,
    fingerprints: HashMap<u32, Fingerprint>,
    gone: HashSet<u32>,
    ended: HashMap<u32, usize>,
    deaths: HashMap<u32, usize>,
    max: usize,
}

impl World {
    fn new(max: usize, rules: Rules) -> World {
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
        scheduler.set_model(model.clone(), DataType::Bytes, Some(max));
        World {
            app,
            model: Arc::new(model),
            scheduler,
            now: Timestamp::ZERO,
            flying: BTreeMap::new(),
            taken: Vec::new(),
            hung: HashSet::new(),
            keys: HashMap::new(),
            fingerprints: HashMap::new(),
            gone: HashSet::new(),
            ended: HashMap::new(),
            deaths: HashMap::new(),
            max,
        }
    }

    fn take(&mut self, step: Step, payload: u32) {
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
                let taken = self.scheduler.on_query(query);
                // Queries that come back from a replica may be beyond the limit.
                let refused = matches!(
                    taken,
                    Err(Refused {
                        refusal: Refusal::Overloaded {
                            queries: LIMIT..,
                            ..
                        },
                        ..
                    })
                );
                assert!(taken.is_ok() || refused);
                self.ended.insert(payload, usize::from(refused));
                let key = taken.ok().flatten();
                self.keys.extend(key.map(|key| (payload, key)));
                self.fingerprints
                    .extend(fingerprint.map(|same| (payload, same)));
            }
            Step::Join => {
                let key = self.scheduler.on_joined(Joining {
                    model: ModelVersion {
                        name: "m".into(),
                        version: "1".into(),
                    },
                    input_type: DataType::Bytes,
                    batches_in_flight: 2,
                    max_batch: None,
                });
                self.flying.insert(key, Vec::new());
            }
            Step::Answer(replica, batch) => self.answer(replica, batch),
            Step::AnswerLate(index) => {
                if let Some(index) = index.checked_rem(self.taken.len()) {
                    let (replica, batch) = self.taken.remove(index);
                    assert_eq!(self.scheduler.on_answered(replica, batch, self.now), None);
                    self.hung.remove(&replica);
                }
            }
            Step::ClientLeaves(payload) => self.client_leaves(payload),
            Step::Die(replica) => {
                if let Some(key) = self.pick(replica) {
                    let computing = self.flying.remove(&key).unwrap().into_iter().next();
                    for query in computing.into_iter().flat_map(|batch| batch.1) {
                        *self.deaths.entry(query).or_default() += 1;
                    }
                    self.scheduler.on_left(key, Left::Died);
                    self.taken.retain(|(replica, _)| *replica != key);
                    self.hung.remove(&key);
                }
            }
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
        }
        self.dispatch();
    }

    fn client_leaves(&mut self, payload: u32) {
        if self.ended.get(&payload) == Some(&0)
            && let Some(key) = self.keys.get(&payload)
        {
            let taken = self.scheduler.take_back(*key).unwrap();
            assert_eq!(taken.payload, payload);
            self.end(payload);
            self.gone.insert(payload);
        }
    }

    fn end(&mut self, payload: u32) {
        *self.ended.get_mut(&payload).unwrap() += 1;
    }

    fn pick(&self, replica: usize) -> Option<ReplicaKey> {
        let index = replica.checked_rem(self.flying.len())?;
        self.flying.keys().nth(index).copied()
    }

    fn answer(&mut self, replica: usize, batch: usize) {
        let Some(key) = self.pick(replica) else {
            return;
        };
        let batches = self.flying.get_mut(&key).unwrap();
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
                Action::Default(query, _) => self.end(query.payload),
                Action::Hung(key) => {
                    let batches = std::mem::take(self.flying.get_mut(&key).unwrap());
                    for query in &batches[0].1 {
                        *self.deaths.entry(*query).or_default() += 1;
                    }
                    self.taken
                        .extend(batches.iter().map(|(batch, _)| (key, *batch)));
                    self.hung.insert(key);
                }
                Action::Send(send) => self.on_sent(send),
            }
        }
        let wake = self.scheduler.next_wake();
        assert!(wake.is_none_or(|wake| wake > self.now));
    }

    fn on_sent(&mut self, send: Send) {
        let queries: Vec<u32> = send
            .queries
            .iter()
            .map(|key| *self.scheduler.payload(*key).unwrap())
            .collect();
        assert!((1..=self.max).contains(&queries.len()));
        assert!(!self.hung.contains(&send.replica));
        assert!(queries.iter().all(|query| !self.gone.contains(query)));
        let deaths = |query| self.deaths.get(query).copied().unwrap_or(0);
        assert!(queries.iter().all(|query| deaths(query) < 2));
        assert!(queries.len() == 1 || queries.iter().all(|query| deaths(query) == 0));
        let batches = self.flying.get_mut(&send.replica).unwrap();
        batches.push((send.batch, queries));
        assert!(batches.len() <= 2);
        self.assert_that_none_is_computed_twice();
    }

    fn assert_that_none_is_computed_twice(&self) {
        let flying = self.flying.values().flatten().flat_map(|batch| &batch.1);
        let mut seen = HashSet::new();
        let mut fingerprints = flying.filter_map(|query| self.fingerprints.get(query));
        assert!(fingerprints.all(|fingerprint| seen.insert(fingerprint)));
    }
}

/// Queries that may wait.
const LIMIT: usize = 12;

fn rules() -> impl Strategy<Value = Rules> {
    let adaptive = prop_oneof![Just(Adaptive::Aimd), Just(Adaptive::Quantile)];
    (adaptive, 0_u64..10).prop_map(|(adaptive, delay)| Rules {
        max_queries: LIMIT,
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
        max in 1_usize..6,
        rules in rules(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(max, rules);
        for (payload, step) in steps.into_iter().enumerate() {
            world.take(step, payload as u32);
            prop_assert!(world.ended.values().all(|times| *times <= 1));
        }
        world.now += Duration::from_secs(10);
        world.dispatch();
        prop_assert!(world.ended.values().all(|times| *times == 1));
    }
}
