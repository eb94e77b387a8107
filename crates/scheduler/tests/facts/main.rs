//! What a client, a replica or a user of the frontend would notice of the scheduler, one fact per test.
#![allow(clippy::unwrap_used, reason = "tests")]

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

/// Version 1 of one model with this maximum batch.
fn serving(max_batch: usize) -> Scheduler<u32> {
    serving_by(Rules::default(), Some(max_batch))
}

fn serving_by(rules: Rules, max_batch: Option<usize>) -> Scheduler<u32> {
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
    scheduler.on_joined(Joining {
        model: version(number),
        input_type: DataType::Floats,
        batches_in_flight: 2,
        max_batch: None,
    })
}

/// A query of a float to version 1, within the application's objective.
fn asking(payload: u32, now: Timestamp) -> Query<u32> {
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
    scheduler.on_query(asking(payload, now)).unwrap().unwrap()
}

fn queries(scheduler: &mut Scheduler<u32>, payloads: Range<u32>, now: Timestamp) {
    for payload in payloads {
        query(scheduler, payload, now);
    }
}

/// Dispatches, and lists what is sent: replica, batch, payloads.
fn sent(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<(ReplicaKey, BatchId, Vec<u32>)> {
    scheduler.dispatch(now);
    let mut sent = Vec::new();
    while let Some(action) = scheduler.next_action() {
        let Action::Send(send) = action else {
            panic!("{action:?}");
        };
        let payloads = send
            .queries
            .iter()
            .map(|key| *scheduler.payload(*key).unwrap());
        sent.push((send.replica, send.batch, payloads.collect()));
    }
    sent
}

/// Lists the default outputs that are given: payload and reason.
fn defaults(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<(u32, Reason)> {
    scheduler.dispatch(now);
    let mut defaults = Vec::new();
    while let Some(action) = scheduler.next_action() {
        if let Action::Default(query, reason) = action {
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
fn a_batch_takes_what_is_waiting_up_to_the_maximum() {
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
fn one_further_full_batch_goes_ahead_and_no_more() {
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
fn a_batch_that_is_not_full_goes_ahead_just_before_the_running_one_ends() {
    let mut scheduler = serving(2);
    let replica = join(&mut scheduler, "1");
    query(&mut scheduler, 0, ms(0));
    let (_, batch, _) = sent(&mut scheduler, ms(0)).remove(0);
    answer(&mut scheduler, replica, batch, ms(100));
    query(&mut scheduler, 1, ms(100));
    assert_eq!(sent(&mut scheduler, ms(100)).len(), 1);
    query(&mut scheduler, 2, ms(120));
    assert_eq!(sent(&mut scheduler, ms(198)), []);
    assert_eq!(scheduler.next_wake(), Some(ms(199)));
    assert_eq!(sent(&mut scheduler, ms(199))[0].2, [2]);
}

#[test]
fn idle_replicas_come_first_and_share_the_work() {
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
    assert_eq!(defaults(&mut scheduler, ms(0)), [(0, Reason::NoReplica)]);
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
    let mut query = asking(payload, ms(0));
    query.deadline = within.unwrap_or(SECOND);
    scheduler.on_query(query).unwrap();
}

#[test]
fn a_query_is_answered_with_the_default_when_its_time_has_passed_wherever_it_is() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..3, ms(0));
    let batches = sent(&mut scheduler, ms(0));
    assert_eq!(scheduler.next_wake(), Some(SECOND));
    assert_eq!(defaults(&mut scheduler, ms(999)), []);
    let expected = [
        (2, Reason::TimedOutInQueue),
        (0, Reason::TimedOutAtReplica),
        (1, Reason::TimedOutAtReplica),
    ];
    assert_eq!(defaults(&mut scheduler, SECOND), expected);
    // What is left is that the replica may hang.
    assert_eq!(scheduler.next_wake(), Some(120 * SECOND));
    assert_eq!(answer(&mut scheduler, replica, batches[0].1, ms(1100)), []);
}

#[test]
fn a_dead_replicas_queries_are_tried_once_more_and_those_it_was_computing_one_by_one() {
    let mut scheduler = serving(2);
    let dying = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    sent(&mut scheduler, ms(0));
    let second = join(&mut scheduler, "1");
    scheduler.on_left(dying, Left::Died);
    let batches = sent(&mut scheduler, ms(5));
    let payloads: Vec<_> = batches.iter().map(|s| (s.0, s.2.clone())).collect();
    assert_eq!(payloads, [(second, vec![0]), (second, vec![1])]);
    scheduler.on_left(second, Left::Died);
    assert_eq!(defaults(&mut scheduler, ms(7)), [(0, Reason::ReplicaDied)]);
    let third = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(8));
    let payloads: Vec<_> = batches.iter().map(|s| &s.2[..]).collect();
    assert_eq!(payloads, [&[1][..], &[2, 3]]);
    assert_eq!(answer(&mut scheduler, third, batches[0].1, ms(9)), [1]);
}

#[test]
fn an_answer_to_an_unknown_batch_is_none() {
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
    scheduler.on_left(replica, Left::Died);
    assert!(scheduler.on_answered(replica, batch, ms(1)).is_none());
}

#[test]
fn a_new_version_takes_new_queries_while_the_old_one_finishes_its_own() {
    let mut scheduler = serving(1);
    let old = join(&mut scheduler, "1");
    let new = join(&mut scheduler, "2");
    queries(&mut scheduler, 0..3, ms(0));
    let first = sent(&mut scheduler, ms(0));
    scheduler.set_model(version("2"), DataType::Floats, Some(1));
    let to_new = Query {
        model: Some(Arc::new(version("2"))),
        ..asking(3, ms(1))
    };
    scheduler.on_query(to_new).unwrap();
    assert_eq!(sent(&mut scheduler, ms(1))[0].0, new);
    answer(&mut scheduler, old, first[0].1, ms(2));
    let rest = sent(&mut scheduler, ms(2));
    assert_eq!((rest[0].0, &rest[0].2[..]), (old, &[2][..]));
}

#[test]
fn a_wrong_query_is_refused_and_handed_back() {
    let mut scheduler = serving(1);
    let integers = Query {
        input_type: DataType::Ints,
        ..asking(7, ms(0))
    };
    let refused = scheduler.on_query(integers).unwrap_err();
    assert_eq!(refused.query.payload, 7);
    assert_eq!(
        refused.to_string(),
        "the application takes floats, not integers"
    );
}

#[test]
fn a_replica_that_stops_in_good_order_makes_no_query_suspect() {
    let mut scheduler = serving(2);
    let stopping = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..2, ms(0));
    sent(&mut scheduler, ms(0));
    for _ in 0..2 {
        join(&mut scheduler, "1");
    }
    scheduler.on_left(stopping, Left::Stopped);
    assert_eq!(sent(&mut scheduler, ms(1))[0].2, [0, 1]);
}

#[test]
fn a_batch_that_could_not_be_sent_stays_together() {
    let mut scheduler = serving(2);
    let gone = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..2, ms(0));
    let batch = sent(&mut scheduler, ms(0)).remove(0).1;
    scheduler.on_unsent(gone, batch);
    scheduler.on_left(gone, Left::Died);
    let other = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(1));
    assert_eq!((batches[0].0, &batches[0].2[..]), (other, &[0, 1][..]));
}

#[test]
fn batches_that_were_to_follow_one_that_could_not_be_sent_count_as_no_try_either() {
    let mut scheduler = serving(2);
    let gone = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    let batches = sent(&mut scheduler, ms(0));
    scheduler.on_unsent(gone, batches[0].1);
    scheduler.on_left(gone, Left::Died);
    let other = join(&mut scheduler, "1");
    let batches = sent(&mut scheduler, ms(1)).into_iter();
    let batches: Vec<_> = batches.map(|(to, _, queries)| (to, queries)).collect();
    assert_eq!(batches, [(other, vec![0, 1]), (other, vec![2, 3])]);
}

#[test]
fn replicas_that_take_another_type_than_their_model_are_named() {
    let mut scheduler = serving(1);
    let fits = join(&mut scheduler, "1");
    let other = scheduler.set_model(version("1"), DataType::Strings, Some(1));
    assert_eq!(other, [fits]);
    let other = scheduler.set_model(version("1"), DataType::Floats, Some(1));
    assert_eq!(other, []);
}

#[test]
fn a_replicas_own_limit_holds() {
    let mut scheduler = serving(8);
    scheduler.on_joined(Joining {
        model: version("1"),
        input_type: DataType::Floats,
        batches_in_flight: 1,
        max_batch: Some(3),
    });
    queries(&mut scheduler, 0..8, ms(0));
    assert_eq!(sent(&mut scheduler, ms(0))[0].2, [0, 1, 2]);
}
