//! Behaviour of the scheduler towards clients, replicas and operators, one fact per test.
#![allow(clippy::unwrap_used, reason = "tests")]

mod failures;
mod limits;
mod shared;

use std::{ops::Range, sync::Arc, time::Duration};

use model::DataType;
use scheduler::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Timestamp {
    Duration::from_millis(milliseconds)
}

fn version(number: &str) -> ModelVersion {
    ModelVersion {
        name: "m".into(),
        version: number.into(),
    }
}

/// Returns a scheduler with version 1 of one model, which has this maximum batch size.
fn serving(max_batch: usize) -> Scheduler<u32> {
    serving_with(Rules::default(), Some(max_batch))
}

fn serving_with(rules: Rules, max_batch: Option<usize>) -> Scheduler<u32> {
    let mut scheduler = Scheduler::new(u32::MAX, rules);
    scheduler.set_model(version("1"), DataType::Floats, max_batch);
    scheduler
}

fn app() -> Arc<App> {
    Arc::new(App {
        name: "a".into(),
        input_type: DataType::Floats,
        default_output: "none".into(),
        objective: SECOND,
    })
}

fn join(scheduler: &mut Scheduler<u32>, number: &str) -> ReplicaKey {
    scheduler.on_joined(NewReplica {
        model: version(number),
        input_type: DataType::Floats,
        batches_in_flight: 2,
        max_batch: None,
    })
}

/// Returns a query to version 1, with the application's objective.
fn new_query(payload: u32, now: Timestamp) -> Query<u32> {
    Query {
        app: app(),
        model: Some(Arc::new(version("1"))),
        input_type: DataType::Floats,
        size: 1,
        fingerprint: None,
        arrived: now,
        deadline: now + SECOND,
        payload,
    }
}

fn query(scheduler: &mut Scheduler<u32>, payload: u32, now: Timestamp) -> QueryKey {
    scheduler
        .on_query(new_query(payload, now))
        .unwrap()
        .unwrap()
}

fn queries(scheduler: &mut Scheduler<u32>, payloads: Range<u32>, now: Timestamp) {
    for payload in payloads {
        query(scheduler, payload, now);
    }
}

/// Dispatches, and returns the replica, batch and payloads of each batch that is sent.
fn sent(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<(ReplicaKey, BatchId, Vec<u32>)> {
    scheduler.dispatch(now);
    let mut sent = Vec::new();
    while let Some(action) = scheduler.next_action() {
        let Action::SendBatch(batch) = action else {
            panic!("{action:?}");
        };
        let payloads = batch
            .queries
            .iter()
            .map(|key| *scheduler.payload(*key).unwrap());
        sent.push((batch.replica, batch.batch, payloads.collect()));
    }
    sent
}

/// Dispatches, and returns the payload and reason of each default output.
fn defaults(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<(u32, DefaultReason)> {
    scheduler.dispatch(now);
    let mut defaults = Vec::new();
    while let Some(action) = scheduler.next_action() {
        if let Action::AnswerDefault(query, reason) = action {
            assert_eq!(query.app.default_output, "none");
            defaults.push((query.payload, reason));
        }
    }
    defaults
}

fn answer(
    scheduler: &mut Scheduler<u32>,
    replica: ReplicaKey,
    batch: BatchId,
    now: Timestamp,
) -> Vec<u32> {
    let answered = scheduler.on_answered(replica, batch, now).unwrap();
    let queries = answered.queries.into_iter();
    queries.map(|(_, query)| query.payload).collect()
}

#[test]
fn a_batch_takes_queued_queries_up_to_the_maximum() {
    let mut scheduler = serving(4);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..6, ms(0));
    let first = sent(&mut scheduler, ms(0));
    assert_eq!(first, [(replica, u32::MAX, vec![0, 1, 2, 3])]);
    assert_eq!(
        answer(&mut scheduler, replica, u32::MAX, ms(10)),
        [0, 1, 2, 3]
    );
    assert_eq!(sent(&mut scheduler, ms(10)), [(replica, 0, vec![4, 5])]);
}

#[test]
fn at_most_one_full_batch_is_sent_ahead() {
    let mut scheduler = serving(2);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..7, ms(0));
    let batches: Vec<_> = sent(&mut scheduler, ms(0))
        .into_iter()
        .map(|s| s.2)
        .collect();
    assert_eq!(batches, [[0, 1], [2, 3]]);
    answer(&mut scheduler, replica, u32::MAX, ms(1));
    let batches: Vec<_> = sent(&mut scheduler, ms(1))
        .into_iter()
        .map(|s| s.2)
        .collect();
    assert_eq!(batches, [[4, 5]]);
}

#[test]
fn sends_a_partial_batch_ahead_before_the_running_one_ends() {
    let mut scheduler = serving(2);
    let replica = join(&mut scheduler, "1");
    query(&mut scheduler, 0, ms(0));
    let (_, batch, _) = sent(&mut scheduler, ms(0)).remove(0);
    answer(&mut scheduler, replica, batch, ms(100));
    query(&mut scheduler, 1, ms(100));
    assert_eq!(sent(&mut scheduler, ms(100)).len(), 1);
    query(&mut scheduler, 2, ms(120));
    assert_eq!(sent(&mut scheduler, ms(198)), []);
    assert_eq!(scheduler.next_deadline(), Some(ms(199)));
    assert_eq!(sent(&mut scheduler, ms(199))[0].2, [2]);
}

#[test]
fn idle_replicas_come_first_and_share_the_load() {
    let mut scheduler = serving(1);
    let replicas = [join(&mut scheduler, "1"), join(&mut scheduler, "1")];
    queries(&mut scheduler, 0..2, ms(1));
    let first = sent(&mut scheduler, ms(1));
    assert_eq!([first[0].0, first[1].0], replicas);
    answer(&mut scheduler, replicas[1], first[1].1, ms(2));
    query(&mut scheduler, 2, ms(2));
    assert_eq!(sent(&mut scheduler, ms(2))[0].0, replicas[1]);
}

#[test]
fn the_earliest_deadline_goes_first() {
    let mut scheduler = serving(1);
    query_within(&mut scheduler, 0, None);
    let replica = join(&mut scheduler, "1");
    assert_eq!(
        defaults(&mut scheduler, ms(0)),
        [(0, DefaultReason::NoReplica)]
    );
    query_within(&mut scheduler, 1, Some(ms(900)));
    query_within(&mut scheduler, 2, Some(ms(500)));
    query_within(&mut scheduler, 3, Some(ms(700)));
    let order: Vec<_> = sent(&mut scheduler, ms(0))
        .into_iter()
        .map(|s| (s.0, s.2))
        .collect();
    assert_eq!(order, [(replica, vec![2]), (replica, vec![3])]);
}

fn query_within(scheduler: &mut Scheduler<u32>, payload: u32, within: Option<Duration>) {
    let mut query = new_query(payload, ms(0));
    query.deadline = within.unwrap_or(SECOND);
    scheduler.on_query(query).unwrap();
}

#[test]
fn queries_get_the_default_at_their_deadline() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..3, ms(0));
    let batches = sent(&mut scheduler, ms(0));
    assert_eq!(scheduler.next_deadline(), Some(SECOND));
    assert_eq!(defaults(&mut scheduler, ms(999)), []);
    let expected = [
        (2, DefaultReason::TimedOutInQueue),
        (0, DefaultReason::TimedOutAtReplica),
        (1, DefaultReason::TimedOutAtReplica),
    ];
    assert_eq!(defaults(&mut scheduler, SECOND), expected);
    // The only deadline left is the one at which the replica counts as hung.
    assert_eq!(scheduler.next_deadline(), Some(120 * SECOND));
    assert_eq!(answer(&mut scheduler, replica, batches[0].1, ms(1100)), []);
}

#[test]
fn suspect_queries_are_retried_once_and_one_by_one() {
    let mut scheduler = serving(2);
    let dying = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    sent(&mut scheduler, ms(0));
    let second = join(&mut scheduler, "1");
    scheduler.on_left(dying, Departure::Died);
    let batches = sent(&mut scheduler, ms(5));
    let payloads: Vec<_> = batches.iter().map(|s| (s.0, s.2.clone())).collect();
    assert_eq!(payloads, [(second, vec![0]), (second, vec![1])]);
    scheduler.on_left(second, Departure::Died);
    assert_eq!(
        defaults(&mut scheduler, ms(7)),
        [(0, DefaultReason::ReplicaDied)]
    );
    let third = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(8));
    let payloads: Vec<_> = batches.iter().map(|s| &s.2[..]).collect();
    assert_eq!(payloads, [&[1][..], &[2, 3]]);
    assert_eq!(answer(&mut scheduler, third, batches[0].1, ms(9)), [1]);
}

#[test]
fn an_answer_to_an_unknown_batch_is_ignored() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    query(&mut scheduler, 0, ms(0));
    let batch = sent(&mut scheduler, ms(0))[0].1;
    assert!(
        scheduler
            .on_answered(replica, batch.wrapping_add(1), ms(1))
            .is_none()
    );
    assert_eq!(answer(&mut scheduler, replica, batch, ms(1)), [0]);
    assert!(scheduler.on_answered(replica, batch, ms(1)).is_none());
    scheduler.on_left(replica, Departure::Died);
    assert!(scheduler.on_answered(replica, batch, ms(1)).is_none());
}

#[test]
fn an_old_version_finishes_its_queries_beside_a_new_one() {
    let mut scheduler = serving(1);
    let old = join(&mut scheduler, "1");
    let new = join(&mut scheduler, "2");
    queries(&mut scheduler, 0..3, ms(0));
    let first = sent(&mut scheduler, ms(0));
    scheduler.set_model(version("2"), DataType::Floats, Some(1));
    let to_new = Query {
        model: Some(Arc::new(version("2"))),
        ..new_query(3, ms(1))
    };
    scheduler.on_query(to_new).unwrap();
    assert_eq!(sent(&mut scheduler, ms(1))[0].0, new);
    answer(&mut scheduler, old, first[0].1, ms(2));
    let rest = sent(&mut scheduler, ms(2));
    assert_eq!((rest[0].0, &rest[0].2[..]), (old, &[2][..]));
}

#[test]
fn a_query_of_the_wrong_type_is_refused_and_returned() {
    let mut scheduler = serving(1);
    let integers = Query {
        input_type: DataType::Ints,
        ..new_query(7, ms(0))
    };
    let refused = scheduler.on_query(integers).unwrap_err();
    assert_eq!(refused.query.payload, 7);
    assert_eq!(
        refused.to_string(),
        "the application takes floats, not integers"
    );
}

#[test]
fn an_orderly_shutdown_makes_no_query_suspect() {
    let mut scheduler = serving(2);
    let stopping = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..2, ms(0));
    sent(&mut scheduler, ms(0));
    for _ in 0..2 {
        join(&mut scheduler, "1");
    }
    scheduler.on_left(stopping, Departure::Stopped);
    assert_eq!(sent(&mut scheduler, ms(1))[0].2, [0, 1]);
}

#[test]
fn queries_of_an_unsent_batch_stay_together() {
    let mut scheduler = serving(2);
    let dead = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..2, ms(0));
    let batch = sent(&mut scheduler, ms(0)).remove(0).1;
    scheduler.on_send_failed(dead, batch);
    scheduler.on_left(dead, Departure::Died);
    let other = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(1));
    assert_eq!((batches[0].0, &batches[0].2[..]), (other, &[0, 1][..]));
}

#[test]
fn batches_after_an_unsent_one_do_not_become_suspect() {
    let mut scheduler = serving(2);
    let dead = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    let batches = sent(&mut scheduler, ms(0));
    scheduler.on_send_failed(dead, batches[0].1);
    scheduler.on_left(dead, Departure::Died);
    let other = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(1)).into_iter();
    let batches: Vec<_> = batches.map(|(to, _, queries)| (to, queries)).collect();
    assert_eq!(batches, [(other, vec![0, 1]), (other, vec![2, 3])]);
}

#[test]
fn set_model_returns_replicas_of_another_type() {
    let mut scheduler = serving(1);
    let fits = join(&mut scheduler, "1");
    let other = scheduler.set_model(version("1"), DataType::Strings, Some(1));
    assert_eq!(other, [fits]);
    let other = scheduler.set_model(version("1"), DataType::Floats, Some(1));
    assert_eq!(other, []);
}

#[test]
fn a_replicas_own_batch_limit_holds() {
    let mut scheduler = serving(8);
    scheduler.on_joined(NewReplica {
        model: version("1"),
        input_type: DataType::Floats,
        batches_in_flight: 1,
        max_batch: Some(3),
    });
    queries(&mut scheduler, 0..8, ms(0));
    assert_eq!(sent(&mut scheduler, ms(0))[0].2, [0, 1, 2]);
}
