//! Delay, limits, replicas that hang, and what is left of queries whose client or model is gone.

use super::*;

fn actions(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<Action<u32>> {
    scheduler.dispatch(now);
    std::iter::from_fn(|| scheduler.next_action()).collect()
}

#[test]
fn an_idle_replica_waits_for_a_fuller_batch_as_long_as_it_is_told_and_not_for_a_full_one() {
    let batch_delay = ms(5);
    let rules = Rules {
        batch_delay,
        ..Rules::default()
    };
    let mut scheduler = serving_by(rules, Some(3));
    join(&mut scheduler, "1");
    query(&mut scheduler, 1, ms(0));
    assert_eq!(sent(&mut scheduler, ms(0)), []);
    assert_eq!(scheduler.next_wake(), Some(ms(5)));
    query(&mut scheduler, 2, ms(4));
    let batches = sent(&mut scheduler, ms(5));
    assert_eq!(batches[0].2, [1, 2]);

    join(&mut scheduler, "1");
    queries(&mut scheduler, 3..6, ms(6));
    assert_eq!(sent(&mut scheduler, ms(6))[0].2, [3, 4, 5]);
}

#[test]
fn a_replica_that_hangs_loses_its_batches_to_another_and_gets_work_again_when_it_answers() {
    let mut scheduler = serving(1);
    let hanging = join(&mut scheduler, "1");
    let mut now = ms(0);
    query(&mut scheduler, 0, now);
    let batch = sent(&mut scheduler, now)[0].1;
    now = ms(900);
    answer(&mut scheduler, hanging, batch, now);
    let endless = Query {
        deadline: Timestamp::MAX,
        ..asking(1, now)
    };
    scheduler.on_query(endless).unwrap();
    let stuck = sent(&mut scheduler, now)[0].1;
    // Its longest batch took 0.9 s: ten seconds are more than ten times that.
    let hangs_at = scheduler.next_wake().unwrap();
    assert_eq!(hangs_at, now + 10 * SECOND);
    let other = join(&mut scheduler, "1");
    let done = actions(&mut scheduler, hangs_at);
    assert_eq!(done[0], Action::Hung(hanging));
    let [_, Action::Send(retry)] = &done[..] else {
        panic!("{done:?}");
    };
    assert_eq!(retry.replica, other);
    assert_eq!(answer(&mut scheduler, other, retry.batch, hangs_at), [1]);
    // Both are idle, but only one may work.
    queries(&mut scheduler, 2..4, hangs_at);
    let to: Vec<_> = sent(&mut scheduler, hangs_at)
        .into_iter()
        .map(|s| s.0)
        .collect();
    assert_eq!(to, [other, other]);
    // The late answer goes nowhere, and says that the replica lives.
    assert_eq!(scheduler.on_answered(hanging, stuck, hangs_at), None);
    query(&mut scheduler, 4, hangs_at);
    assert_eq!(sent(&mut scheduler, hangs_at)[0].0, hanging);
}

#[test]
fn a_query_beyond_the_limits_is_refused_at_once_with_the_queues_length() {
    let rules = Rules {
        max_queries: 2,
        max_bytes: 100,
        ..Rules::default()
    };
    let mut scheduler = serving_by(rules, Some(1));
    let ask = |scheduler: &mut Scheduler<u32>, size| {
        let query = Query {
            size,
            ..asking(0, ms(0))
        };
        let refused = scheduler.on_query(query).err();
        refused.map(|refused| refused.to_string())
    };
    join(&mut scheduler, "1");
    assert_eq!(ask(&mut scheduler, 60), None);
    let full = "overloaded: 1 queries (60 bytes) wait for m:1";
    assert_eq!(ask(&mut scheduler, 60).as_deref(), Some(full));
    assert_eq!(ask(&mut scheduler, 40), None);
    let full = "overloaded: 2 queries (100 bytes) wait for m:1";
    assert_eq!(ask(&mut scheduler, 0).as_deref(), Some(full));
    // Work that goes to a replica makes room.
    sent(&mut scheduler, ms(0));
    assert_eq!(ask(&mut scheduler, 60), None);
}

#[test]
fn a_query_whose_client_is_gone_is_not_computed() {
    let mut scheduler = serving(4);
    join(&mut scheduler, "1");
    let keys = [0, 1, 2, 3].map(|n| query(&mut scheduler, n, ms(0)));
    for (key, payload) in [(keys[1], 1), (keys[3], 3)] {
        let taken = scheduler.take_back(key).unwrap();
        assert_eq!((taken.payload, taken.arrived), (payload, ms(0)));
        assert_eq!(scheduler.take_back(key), None);
    }
    assert_eq!(sent(&mut scheduler, ms(0))[0].2, [0, 2]);
}

#[test]
fn a_query_that_is_taken_back_makes_room_at_once() {
    let rules = Rules {
        max_queries: 2,
        max_bytes: 100,
        ..Rules::default()
    };
    let mut scheduler = serving_by(rules, Some(1));
    join(&mut scheduler, "1");
    let ask = |scheduler: &mut Scheduler<u32>, size| {
        let query = Query {
            size,
            ..asking(0, ms(0))
        };
        scheduler.on_query(query).ok().flatten()
    };
    let large = ask(&mut scheduler, 90).unwrap();
    let small = ask(&mut scheduler, 1).unwrap();
    assert_eq!(ask(&mut scheduler, 1), None);
    scheduler.take_back(small).unwrap();
    assert_eq!(ask(&mut scheduler, 50), None);
    scheduler.take_back(large).unwrap();
    assert!(ask(&mut scheduler, 50).is_some() && ask(&mut scheduler, 50).is_some());
    let (_, load) = scheduler.loads().next().unwrap();
    assert_eq!((load.queries, load.bytes), (2, 100));
}

#[test]
fn a_query_that_is_taken_back_from_a_replica_is_answered_to_nobody_and_not_tried_again() {
    let mut scheduler = serving(2);
    let replica = join(&mut scheduler, "1");
    let keys = [0, 1].map(|n| query(&mut scheduler, n, ms(0)));
    let batch = sent(&mut scheduler, ms(0))[0].1;
    assert_eq!(scheduler.take_back(keys[0]).unwrap().payload, 0);
    assert_eq!(answer(&mut scheduler, replica, batch, ms(1)), [1]);

    let keys = [2, 3].map(|n| query(&mut scheduler, n, ms(1)));
    sent(&mut scheduler, ms(1));
    scheduler.take_back(keys[0]).unwrap();
    assert_eq!(scheduler.waiting().count(), 1);
    scheduler.on_left(replica, Left::Died);
    join(&mut scheduler, "1");
    assert_eq!(sent(&mut scheduler, ms(2))[0].2, [3]);
}

#[test]
fn a_query_may_name_a_version_that_there_is() {
    let mut scheduler = serving(1);
    scheduler.set_model(version("2"), DataType::Floats, Some(1));
    join(&mut scheduler, "1");
    let other = join(&mut scheduler, "2");
    let to_second = Query {
        model: Some(Arc::new(version("2"))),
        ..asking(7, ms(0))
    };
    scheduler.on_query(to_second).unwrap();
    assert_eq!(sent(&mut scheduler, ms(0))[0].0, other);
}

#[test]
fn the_queries_of_a_model_version_that_is_deleted_get_the_default() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    sent(&mut scheduler, ms(0));
    assert_eq!(scheduler.remove_model(&version("1")), [replica]);
    let queued = defaults(&mut scheduler, ms(0));
    assert_eq!(queued, [(2, Reason::NoReplica), (3, Reason::NoReplica)]);
    scheduler.on_left(replica, Left::Died);
    let away = defaults(&mut scheduler, ms(0));
    assert_eq!(away, [(0, Reason::NoReplica), (1, Reason::NoReplica)]);
}

#[test]
fn without_a_maximum_of_its_own_a_model_gets_batches_as_large_as_are_in_time() {
    let mut scheduler = serving_by(Rules::default(), None);
    let replica = join(&mut scheduler, "1");
    let mut now = ms(0);
    let mut sizes = Vec::new();
    for _ in 0..300 {
        queries(&mut scheduler, 0..64, now);
        for (_, batch, payloads) in sent(&mut scheduler, now) {
            sizes.push(payloads.len());
            now += ms(50 * payloads.len() as u64);
            answer(&mut scheduler, replica, batch, now);
        }
        defaults(&mut scheduler, now + SECOND);
        now += SECOND;
    }
    // Twenty take the second that the application allows.
    let settled = &sizes[sizes.len() - 100..];
    assert!(
        settled.iter().all(|size| (10..=21).contains(size)),
        "{settled:?}"
    );
}

#[test]
fn a_version_of_another_type_than_the_applications_gets_none_of_its_queries() {
    let mut scheduler = serving(1);
    scheduler.set_model(version("2"), DataType::Ints, Some(1));
    scheduler.on_joined(Joining {
        model: version("2"),
        input_type: DataType::Ints,
        batches_in_flight: 1,
        max_batch: None,
    });
    let query = Query {
        model: Some(Arc::new(version("2"))),
        ..asking(7, ms(0))
    };
    let refused = scheduler.on_query(query).unwrap_err();
    assert_eq!(refused.to_string(), "m:2 takes integers, not floats");
}
