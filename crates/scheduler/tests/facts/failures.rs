//! Batches that fail as a whole, and the replicas that fail them.

use super::*;

fn fail(
    scheduler: &mut Scheduler<u32>,
    replica: ReplicaKey,
    batch: BatchId,
    now: Timestamp,
) -> Vec<u32> {
    fail_with(BatchFailure::Other, scheduler, (replica, batch), now)
}

fn out_of_memory(
    scheduler: &mut Scheduler<u32>,
    replica: ReplicaKey,
    batch: BatchId,
    now: Timestamp,
) -> Vec<u32> {
    fail_with(BatchFailure::OutOfMemory, scheduler, (replica, batch), now)
}

/// Fails a batch, and returns the payloads of the queries that end with it.
fn fail_with(
    failure: BatchFailure,
    scheduler: &mut Scheduler<u32>,
    (replica, batch): (ReplicaKey, BatchId),
    now: Timestamp,
) -> Vec<u32> {
    let failed = scheduler.on_failed(replica, batch, failure, now).unwrap();
    let queries = failed.queries.into_iter();
    queries.map(|(_, query)| query.payload).collect()
}

/// Takes the actions that are due without a dispatch.
fn actions(scheduler: &mut Scheduler<u32>) -> Vec<Action<u32>> {
    std::iter::from_fn(|| scheduler.next_action()).collect()
}

/// Joins a replica with one batch in flight.
fn join_single(scheduler: &mut Scheduler<u32>) -> ReplicaKey {
    scheduler.on_joined(NewReplica {
        model: version("1"),
        input_type: DataType::Floats,
        batches_in_flight: 1,
        max_batch: None,
    })
}

/// Sends one query, and returns the replica and the batch that it goes to.
fn send_one(scheduler: &mut Scheduler<u32>, now: Timestamp) -> (ReplicaKey, BatchId) {
    query(scheduler, 0, now);
    let batches = sent(scheduler, now);
    assert_eq!(batches.len(), 1);
    (batches[0].0, batches[0].1)
}

/// Has `bad` fail all its batches and `good` answer its own, until `bad` is ejected. Returns the
/// number of batches that `bad` has failed.
fn eject(
    scheduler: &mut Scheduler<u32>,
    bad: ReplicaKey,
    good: ReplicaKey,
    now: Timestamp,
) -> usize {
    let mut failed = 0;
    while scheduler.replica_state(bad) == Some(ReplicaStatus::Serving) {
        query(scheduler, 0, now);
        let (replica, batch, _) = sent(scheduler, now).remove(0);
        if replica == bad {
            assert_eq!(fail(scheduler, replica, batch, now), [0; 0]);
            failed += 1;
            let ejected = actions(scheduler);
            if scheduler.replica_state(bad) == Some(ReplicaStatus::Ejected) {
                assert_eq!(ejected, [Action::ReplicaEjected(bad)]);
            }
            let (retried_on, batch, _) = sent(scheduler, now).remove(0);
            assert_eq!(retried_on, good);
            answer(scheduler, good, batch, now + ms(1));
        } else {
            answer(scheduler, good, batch, now + ms(1));
        }
    }
    failed
}

#[test]
fn a_failed_query_is_retried_once_on_another_replica() {
    let mut scheduler = serving(2);
    let first = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..2, ms(0));
    let batch = sent(&mut scheduler, ms(0))[0].1;
    let second = join(&mut scheduler, "1");
    assert_eq!(fail(&mut scheduler, first, batch, ms(1)), [0; 0]);
    let retried = sent(&mut scheduler, ms(1));
    assert_eq!((retried[0].0, &retried[0].2[..]), (second, &[0, 1][..]));
    assert_eq!(fail(&mut scheduler, second, retried[0].1, ms(2)), [0, 1]);
    assert_eq!(sent(&mut scheduler, ms(2)), []);
}

#[test]
fn a_failed_query_ends_without_another_replica() {
    let mut scheduler = serving(2);
    let only = join(&mut scheduler, "1");
    let (_, batch) = send_one(&mut scheduler, ms(0));
    assert_eq!(fail(&mut scheduler, only, batch, ms(1)), [0]);
}

#[test]
fn a_replica_is_ejected_after_three_failures_in_a_row() {
    let mut scheduler = serving(1);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    assert_eq!(eject(&mut scheduler, bad, good, ms(0)), 3);
    let (_, load) = scheduler.loads().next().unwrap();
    assert_eq!((load.replicas, load.ejected), (2, 1));
    // It gets nothing before its first probe.
    for _ in 0..5 {
        let (replica, batch) = send_one(&mut scheduler, ms(999));
        assert_eq!(replica, good);
        answer(&mut scheduler, good, batch, ms(999));
    }
}

#[test]
fn a_success_between_failures_starts_the_count_again() {
    let mut scheduler = serving(1);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    for n in 0..6 {
        let now = ms(n);
        queries(&mut scheduler, 0..2, now);
        let mut batches = sent(&mut scheduler, now);
        batches.sort_by_key(|(replica, ..)| *replica != bad);
        answer(&mut scheduler, good, batches[1].1, now);
        if n % 3 == 2 {
            answer(&mut scheduler, bad, batches[0].1, now);
        } else {
            fail(&mut scheduler, bad, batches[0].1, now);
            let retried = sent(&mut scheduler, now);
            answer(&mut scheduler, good, retried[0].1, now);
        }
    }
    let state = scheduler.replica_state(bad);
    assert_eq!(state, Some(ReplicaStatus::Serving));
}

#[test]
fn the_probe_interval_doubles_up_to_its_maximum() {
    let rules = Rules {
        last_probe: 4 * SECOND,
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(8));
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    eject(&mut scheduler, bad, good, ms(0));
    let mut probed = Vec::new();
    let mut now = ms(0);
    while probed.len() < 5 {
        now += ms(500);
        queries(&mut scheduler, 0..4, now);
        for (replica, batch, payloads) in sent(&mut scheduler, now) {
            if replica == bad {
                assert_eq!(payloads.len(), 1, "a probe is a single query");
                fail(&mut scheduler, bad, batch, now);
                probed.push(now.as_secs());
            } else {
                answer(&mut scheduler, good, batch, now);
            }
        }
        for (replica, batch, _) in sent(&mut scheduler, now) {
            answer(&mut scheduler, replica, batch, now);
        }
    }
    assert_eq!(probed, [1, 3, 7, 11, 15]);
}

#[test]
fn a_replica_is_readmitted_after_a_successful_probe() {
    let mut scheduler = serving(8);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    eject(&mut scheduler, bad, good, ms(0));
    let (replica, batch) = send_one(&mut scheduler, ms(1_000));
    assert_eq!(replica, bad);
    assert_eq!(answer(&mut scheduler, bad, batch, ms(1_001)), [0]);
    let readmitted = [Action::ReplicaReadmitted(bad)];
    assert_eq!(actions(&mut scheduler), readmitted);
    let state = scheduler.replica_state(bad);
    assert_eq!(state, Some(ReplicaStatus::Serving));
    // It gets whole batches again.
    queries(&mut scheduler, 0..16, ms(1_002));
    let batches = sent(&mut scheduler, ms(1_002));
    assert!(
        batches
            .iter()
            .any(|(to, _, all)| *to == bad && all.len() > 1)
    );
}

#[test]
fn an_answer_to_an_unknown_batch_readmits_no_replica() {
    let mut scheduler = serving(1);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    eject(&mut scheduler, bad, good, ms(0));
    assert_eq!(scheduler.on_answered(bad, 12_345, ms(1)), None);
    assert_eq!(actions(&mut scheduler), []);
    let state = scheduler.replica_state(bad);
    assert_eq!(state, Some(ReplicaStatus::Ejected));
}

#[test]
fn the_last_serving_replica_is_not_ejected() {
    let mut scheduler = serving(1);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    eject(&mut scheduler, bad, good, ms(0));
    for _ in 0..5 {
        let (replica, batch) = send_one(&mut scheduler, ms(1));
        assert_eq!(replica, good);
        assert_eq!(fail(&mut scheduler, good, batch, ms(1)), [0]);
        assert_eq!(actions(&mut scheduler), []);
    }
    let state = scheduler.replica_state(good);
    assert_eq!(state, Some(ReplicaStatus::Serving));
}

#[test]
fn a_batch_out_of_memory_is_halved_and_split() {
    let mut scheduler = serving(8);
    let replica = join_single(&mut scheduler);
    queries(&mut scheduler, 0..8, ms(0));
    let (_, mut batch, _) = sent(&mut scheduler, ms(0)).remove(0);
    for expected in [4, 2] {
        assert_eq!(out_of_memory(&mut scheduler, replica, batch, ms(1)), [0; 0]);
        let (_, next, payloads) = sent(&mut scheduler, ms(1)).remove(0);
        assert_eq!(payloads.len(), expected);
        batch = next;
    }
    let mut answered = Vec::new();
    loop {
        answered.extend(answer(&mut scheduler, replica, batch, ms(2)));
        let Some((_, next, payloads)) = sent(&mut scheduler, ms(2)).pop() else {
            break;
        };
        assert_eq!(payloads.len(), 2);
        batch = next;
    }
    assert_eq!(answered, [0, 1, 2, 3, 4, 5, 6, 7]);
    let state = scheduler.replica_state(replica);
    assert_eq!(state, Some(ReplicaStatus::Serving));
}

#[test]
fn a_single_query_out_of_memory_fails() {
    let mut scheduler = serving(8);
    let replica = join_single(&mut scheduler);
    let (_, batch) = send_one(&mut scheduler, ms(0));
    assert_eq!(out_of_memory(&mut scheduler, replica, batch, ms(1)), [0]);
}

#[test]
fn failed_batches_leave_the_estimate_as_it_was() {
    let mut scheduler = serving(1);
    let (bad, good) = (join_single(&mut scheduler), join_single(&mut scheduler));
    // Both take 400 ms for a query.
    for begins in [ms(0), ms(400)] {
        queries(&mut scheduler, 0..2, begins);
        for (replica, batch, _) in sent(&mut scheduler, begins) {
            answer(&mut scheduler, replica, batch, begins + ms(400));
        }
    }
    queries(&mut scheduler, 0..2, ms(900));
    let batches = sent(&mut scheduler, ms(900));
    let batch = |of| batches.iter().find(|sent| sent.0 == of).unwrap().1;
    fail(&mut scheduler, bad, batch(bad), ms(901));
    answer(&mut scheduler, good, batch(good), ms(1_300));
    // The query that failed is computed within its deadline; one with 380 ms is shed at once.
    let retried = sent(&mut scheduler, ms(1_300));
    answer(&mut scheduler, good, retried[0].1, ms(1_700));
    let short = Query {
        deadline: ms(2_080),
        ..new_query(7, ms(1_700))
    };
    scheduler.on_query(short).unwrap();
    let shed = [(7, DefaultReason::Shed)];
    assert_eq!(defaults(&mut scheduler, ms(1_700)), shed);
}

/// Sends a batch of queries without a deadline that matters.
fn send_patient(scheduler: &mut Scheduler<u32>, count: u32, now: Timestamp) -> BatchId {
    for payload in 0..count {
        let patient = Query {
            deadline: now + 3_600 * SECOND,
            ..new_query(payload, now)
        };
        scheduler.on_query(patient).unwrap();
    }
    sent(scheduler, now)[0].1
}

#[test]
fn a_full_batch_after_a_single_query_has_time() {
    let mut scheduler = serving(32);
    let replica = join_single(&mut scheduler);
    let batch = send_patient(&mut scheduler, 1, ms(0));
    answer(&mut scheduler, replica, batch, SECOND);
    let batch = send_patient(&mut scheduler, 32, SECOND);
    scheduler.dispatch(12 * SECOND);
    assert_eq!(actions(&mut scheduler), []);
    assert_eq!(
        answer(&mut scheduler, replica, batch, 12 * SECOND).len(),
        32
    );
}

#[test]
fn the_late_answer_of_a_withdrawn_batch_prolongs_the_patience() {
    let mut scheduler = serving(1);
    let replica = join_single(&mut scheduler);
    let batch = send_patient(&mut scheduler, 1, ms(0));
    answer(&mut scheduler, replica, batch, ms(100));
    // The floor of 10 s holds: the batch is withdrawn, and answered after 11 s.
    let batch = send_patient(&mut scheduler, 1, SECOND);
    scheduler.dispatch(11 * SECOND);
    assert_eq!(actions(&mut scheduler), [Action::ReplicaHung(replica)]);
    assert_eq!(scheduler.batch_size(replica, batch), Some(1));
    assert_eq!(scheduler.on_answered(replica, batch, 12 * SECOND), None);
    let batch = sent(&mut scheduler, 12 * SECOND)[0].1;
    scheduler.dispatch(23 * SECOND);
    assert_eq!(actions(&mut scheduler), []);
    assert_eq!(answer(&mut scheduler, replica, batch, 23 * SECOND), [0]);
}

#[test]
fn a_slow_first_batch_does_not_starve_later_queries() {
    let mut scheduler = serving(1);
    let replica = join_single(&mut scheduler);
    let (_, batch) = send_one(&mut scheduler, ms(0));
    assert_eq!(defaults(&mut scheduler, SECOND).len(), 1);
    answer(&mut scheduler, replica, batch, 2 * SECOND);
    // By the estimate of 2 s no query is in time. One is sent, the others are shed.
    queries(&mut scheduler, 1..3, 2 * SECOND);
    scheduler.dispatch(2 * SECOND);
    let taken = actions(&mut scheduler);
    assert!(matches!(
        &taken[..],
        [
            Action::AnswerDefault(Query { payload: 2, .. }, DefaultReason::Shed),
            Action::SendBatch(_)
        ]
    ));
    let Action::SendBatch(batch) = &taken[1] else {
        unreachable!()
    };
    assert_eq!(answer(&mut scheduler, replica, batch.batch, ms(2_010)), [1]);
    for n in 0..5 {
        let (_, batch) = send_one(&mut scheduler, ms(2_010 + 10 * n));
        answer(&mut scheduler, replica, batch, ms(2_020 + 10 * n));
    }
}

#[test]
fn one_stall_does_not_shed_later_queries() {
    let mut scheduler = serving(1);
    let replica = join_single(&mut scheduler);
    let mut now = ms(0);
    for _ in 0..20 {
        let (_, batch) = send_one(&mut scheduler, now);
        now += ms(10);
        answer(&mut scheduler, replica, batch, now);
    }
    let stalled = send_patient(&mut scheduler, 1, now);
    now += 9 * SECOND;
    answer(&mut scheduler, replica, stalled, now);
    for _ in 0..5 {
        let (_, batch) = send_one(&mut scheduler, now);
        now += ms(10);
        answer(&mut scheduler, replica, batch, now);
    }
}

#[test]
fn a_replica_that_is_always_late_gets_single_queries() {
    let mut scheduler = serving(4);
    let replica = join_single(&mut scheduler);
    let mut computed = Vec::new();
    for tenth in 0..500 {
        let now = ms(100 * tenth);
        queries(&mut scheduler, 0..2, now);
        scheduler.dispatch(now);
        for action in actions(&mut scheduler) {
            if let Action::SendBatch(batch) = action {
                computed.push((100 * tenth, batch.queries.len()));
                // The batch takes 2 s, twice the objective.
                defaults(&mut scheduler, now + ms(1_999));
                answer(&mut scheduler, replica, batch.batch, now + 2 * SECOND);
            }
        }
    }
    // The first batch is checked at once, later ones after ten times their 2 s.
    assert_eq!(computed, [(0, 2), (2_000, 1), (24_000, 1), (46_000, 1)]);
}
