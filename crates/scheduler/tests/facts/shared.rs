//! Queries with the same fingerprint: computed once, each answered.

use super::*;

fn query_same_input(
    scheduler: &mut Scheduler<u32>,
    payload: u32,
    within: Duration,
    now: Timestamp,
) -> QueryKey {
    let query = Query {
        deadline: now + within,
        fingerprint: Some(Fingerprint(7)),
        ..new_query(payload, now)
    };
    scheduler.on_query(query).unwrap().unwrap()
}

#[test]
fn all_get_the_answer_of_the_computed_query() {
    let mut scheduler = serving(4);
    let replica = join(&mut scheduler, "1");
    query(&mut scheduler, 0, ms(0));
    for n in 1..4 {
        query_same_input(&mut scheduler, n, SECOND, ms(0));
    }
    let (_, batch, payloads) = sent(&mut scheduler, ms(0)).remove(0);
    assert_eq!(payloads, [0, 1]);
    query_same_input(&mut scheduler, 4, SECOND, ms(1));
    assert_eq!(sent(&mut scheduler, ms(1)), []);
    let (_, load) = scheduler.loads().next().unwrap();
    assert_eq!((load.queries, load.bytes), (3, 3));
    let answered = scheduler.on_answered(replica, batch, ms(2)).unwrap();
    assert_eq!(
        (answered.size, &answered.fingerprints[..]),
        (2, &[(1, Fingerprint(7))][..])
    );
    let mut queries = answered
        .queries
        .iter()
        .map(|(index, query)| (*index, query.payload))
        .collect::<Vec<_>>();
    queries.sort_unstable();
    assert_eq!(queries, [(0, 0), (1, 1), (1, 2), (1, 3), (1, 4)]);
    let (_, load) = scheduler.loads().next().unwrap();
    assert_eq!((load.queries, load.bytes), (0, 0));
    // A later query is computed again: the scheduler caches no answers.
    query_same_input(&mut scheduler, 5, SECOND, ms(3));
    assert_eq!(sent(&mut scheduler, ms(3))[0].2, [5]);
}

#[test]
fn each_query_has_its_own_deadline() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    for (n, within) in [(0, 500), (1, 900), (2, 200)] {
        query_same_input(&mut scheduler, n, ms(within), ms(0));
    }
    // The query with the earliest deadline is computed.
    let (_, batch, payloads) = sent(&mut scheduler, ms(0)).remove(0);
    assert_eq!(payloads, [2]);
    for (n, at) in [(2, 200), (0, 500), (1, 900)] {
        assert_eq!(scheduler.next_deadline(), Some(ms(at)));
        let expected = [(n, DefaultReason::TimedOutAtReplica)];
        assert_eq!(defaults(&mut scheduler, ms(at)), expected);
    }
    let answered = scheduler.on_answered(replica, batch, ms(1_000)).unwrap();
    assert_eq!(answered.queries, []);
    assert_eq!(answered.fingerprints, [(0, Fingerprint(7))]);
}

#[test]
fn the_next_is_computed_when_the_leader_leaves_the_queue() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 10..12, ms(0));
    let busy = sent(&mut scheduler, ms(0));
    let first = query_same_input(&mut scheduler, 0, SECOND, ms(0));
    query_same_input(&mut scheduler, 1, ms(500), ms(1));
    query_same_input(&mut scheduler, 2, 3 * SECOND, ms(2));
    assert_eq!(
        defaults(&mut scheduler, ms(501)),
        [(1, DefaultReason::TimedOutInQueue)]
    );
    scheduler.cancel(first).unwrap();
    answer(&mut scheduler, replica, busy[0].1, ms(502));
    assert_eq!(sent(&mut scheduler, ms(502))[0].2, [2]);
}

#[test]
fn followers_of_a_cancelled_query_get_its_answer() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    let keys = [0, 1, 2].map(|n| query_same_input(&mut scheduler, n, SECOND, ms(0)));
    let batch = sent(&mut scheduler, ms(0))[0].1;
    scheduler.cancel(keys[0]).unwrap();
    scheduler.cancel(keys[1]).unwrap();
    assert_eq!(answer(&mut scheduler, replica, batch, ms(1)), [2]);
}

#[test]
fn followers_get_the_default_when_a_second_replica_dies() {
    let mut scheduler = serving(4);
    let first = join(&mut scheduler, "1");
    query_same_input(&mut scheduler, 0, ms(100), ms(0));
    query_same_input(&mut scheduler, 1, SECOND, ms(0));
    query_same_input(&mut scheduler, 2, SECOND, ms(0));
    query(&mut scheduler, 3, ms(0));
    assert_eq!(sent(&mut scheduler, ms(0))[0].2, [0, 3]);
    assert_eq!(
        defaults(&mut scheduler, ms(100)),
        [(0, DefaultReason::TimedOutAtReplica)]
    );
    let second = join(&mut scheduler, "1");
    scheduler.on_left(first, Departure::Died);
    let batches = sent(&mut scheduler, ms(101)).into_iter();
    let payloads: Vec<_> = batches.map(|(_, _, payloads)| payloads).collect();
    assert_eq!(payloads, [[1]]);
    join(&mut scheduler, "1");
    scheduler.on_left(second, Departure::Died);
    let expected = [1, 2].map(|n| (n, DefaultReason::ReplicaDied));
    assert_eq!(defaults(&mut scheduler, ms(102)), expected);
}

#[test]
fn followers_count_against_the_limits() {
    let rules = Rules {
        max_queries: 2,
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(1));
    join(&mut scheduler, "1");
    query_same_input(&mut scheduler, 0, SECOND, ms(0));
    sent(&mut scheduler, ms(0));
    for n in 1..3 {
        query_same_input(&mut scheduler, n, SECOND, ms(0));
    }
    let query = Query {
        fingerprint: Some(Fingerprint(7)),
        ..new_query(3, ms(0))
    };
    let refused = scheduler.on_query(query).unwrap_err();
    assert!(matches!(
        refused.refusal,
        Refusal::Overloaded { queries: 2, .. }
    ));
}

#[test]
fn followers_get_the_default_when_their_version_is_deleted() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    for n in 0..2 {
        query_same_input(&mut scheduler, n, SECOND, ms(0));
    }
    sent(&mut scheduler, ms(0));
    assert_eq!(scheduler.remove_model(&version("1")), [replica]);
    scheduler.on_left(replica, Departure::Died);
    let expected = [1, 0].map(|n| (n, DefaultReason::NoReplica));
    assert_eq!(defaults(&mut scheduler, ms(0)), expected);
}
