//! Batch delay, queue limits, replicas that hang, cancelled queries and deleted model versions.

use super::*;

fn actions(scheduler: &mut Scheduler<u32>, now: Timestamp) -> Vec<Action<u32>> {
    scheduler.dispatch(now);
    std::iter::from_fn(|| scheduler.next_action()).collect()
}

#[test]
fn the_batch_delay_ends_with_a_full_batch() {
    let batch_delay = ms(5);
    let rules = Rules {
        batch_delay,
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(3));
    join(&mut scheduler, "1");
    query(&mut scheduler, 1, ms(0));
    assert_eq!(sent(&mut scheduler, ms(0)), []);
    assert_eq!(scheduler.next_deadline(), Some(ms(5)));
    query(&mut scheduler, 2, ms(4));
    let batches = sent(&mut scheduler, ms(5));
    assert_eq!(batches[0].2, [1, 2]);

    join(&mut scheduler, "1");
    queries(&mut scheduler, 3..6, ms(6));
    assert_eq!(sent(&mut scheduler, ms(6))[0].2, [3, 4, 5]);
}

#[test]
fn a_hung_replica_loses_its_batches_until_it_answers() {
    let mut scheduler = serving(1);
    let hanging = join(&mut scheduler, "1");
    let mut now = ms(0);
    query(&mut scheduler, 0, now);
    let batch = sent(&mut scheduler, now)[0].1;
    now = ms(900);
    answer(&mut scheduler, hanging, batch, now);
    let without_deadline = Query {
        deadline: Timestamp::MAX,
        ..new_query(1, now)
    };
    scheduler.on_query(without_deadline).unwrap();
    let stuck = sent(&mut scheduler, now)[0].1;
    // Its longest batch took 0.9 s; the minimum of 10 s is more than ten times that.
    let hangs_at = scheduler.next_deadline().unwrap();
    assert_eq!(hangs_at, now + 10 * SECOND);
    let other = join(&mut scheduler, "1");
    let done = actions(&mut scheduler, hangs_at);
    assert_eq!(done[0], Action::ReplicaHung(hanging));
    let [_, Action::SendBatch(retry)] = &done[..] else {
        panic!("{done:?}");
    };
    assert_eq!(retry.replica, other);
    let now = hangs_at + SECOND;
    assert_eq!(answer(&mut scheduler, other, retry.batch, now), [1]);
    let patient_query = |scheduler: &mut Scheduler<u32>, payload| {
        let query = Query {
            deadline: now + 60 * SECOND,
            ..new_query(payload, now)
        };
        scheduler.on_query(query).unwrap();
        sent(scheduler, now).into_iter().map(|s| s.0).collect()
    };
    // Both replicas are idle, but the hung one gets no batch.
    for payload in [2, 3] {
        let to: Vec<_> = patient_query(&mut scheduler, payload);
        assert_eq!(to, [other]);
    }
    // The late answer is discarded; it shows that the replica is alive.
    assert_eq!(scheduler.on_answered(hanging, stuck, now), None);
    assert_eq!(patient_query(&mut scheduler, 4), [hanging]);
}

#[test]
fn a_full_queue_refuses_queries_with_its_depth() {
    let rules = Rules {
        max_queries: 2,
        max_bytes: 100,
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(1));
    let submit = |scheduler: &mut Scheduler<u32>, size| {
        let query = Query {
            size,
            ..new_query(0, ms(0))
        };
        let refused = scheduler.on_query(query).err();
        refused.map(|refused| refused.to_string())
    };
    join(&mut scheduler, "1");
    assert_eq!(submit(&mut scheduler, 60), None);
    let full = "overloaded: 1 queries (60 bytes) wait for m:1";
    assert_eq!(submit(&mut scheduler, 60).as_deref(), Some(full));
    assert_eq!(submit(&mut scheduler, 40), None);
    let full = "overloaded: 2 queries (100 bytes) wait for m:1";
    assert_eq!(submit(&mut scheduler, 0).as_deref(), Some(full));
    // A batch that is sent makes room.
    sent(&mut scheduler, ms(0));
    assert_eq!(submit(&mut scheduler, 60), None);
}

#[test]
fn cancelled_queries_are_not_computed() {
    let mut scheduler = serving(4);
    join(&mut scheduler, "1");
    let keys = [0, 1, 2, 3].map(|n| query(&mut scheduler, n, ms(0)));
    for (key, payload) in [(keys[1], 1), (keys[3], 3)] {
        let cancelled = scheduler.cancel(key).unwrap();
        assert_eq!((cancelled.payload, cancelled.arrived), (payload, ms(0)));
        assert_eq!(scheduler.cancel(key), None);
    }
    assert_eq!(sent(&mut scheduler, ms(0))[0].2, [0, 2]);
}

#[test]
fn a_cancelled_query_makes_room_at_once() {
    let rules = Rules {
        max_queries: 2,
        max_bytes: 100,
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(1));
    join(&mut scheduler, "1");
    let submit = |scheduler: &mut Scheduler<u32>, size| {
        let query = Query {
            size,
            ..new_query(0, ms(0))
        };
        scheduler.on_query(query).ok().flatten()
    };
    let large = submit(&mut scheduler, 90).unwrap();
    let small = submit(&mut scheduler, 1).unwrap();
    assert_eq!(submit(&mut scheduler, 1), None);
    scheduler.cancel(small).unwrap();
    assert_eq!(submit(&mut scheduler, 50), None);
    scheduler.cancel(large).unwrap();
    assert!(submit(&mut scheduler, 50).is_some() && submit(&mut scheduler, 50).is_some());
    let (_, load) = scheduler.loads().next().unwrap();
    assert_eq!((load.queries, load.bytes), (2, 100));
}

#[test]
fn a_query_cancelled_at_a_replica_is_not_retried() {
    let mut scheduler = serving(2);
    let replica = join(&mut scheduler, "1");
    let keys = [0, 1].map(|n| query(&mut scheduler, n, ms(0)));
    let batch = sent(&mut scheduler, ms(0))[0].1;
    assert_eq!(scheduler.cancel(keys[0]).unwrap().payload, 0);
    assert_eq!(answer(&mut scheduler, replica, batch, ms(1)), [1]);

    let keys = [2, 3].map(|n| query(&mut scheduler, n, ms(1)));
    sent(&mut scheduler, ms(1));
    scheduler.cancel(keys[0]).unwrap();
    assert_eq!(scheduler.unanswered().count(), 1);
    scheduler.on_left(replica, Departure::Died);
    join(&mut scheduler, "1");
    assert_eq!(sent(&mut scheduler, ms(2))[0].2, [3]);
}

#[test]
fn a_query_goes_to_the_version_that_it_names() {
    let mut scheduler = serving(1);
    scheduler.set_model(version("2"), DataType::Floats, Some(1));
    join(&mut scheduler, "1");
    let other = join(&mut scheduler, "2");
    let to_second = Query {
        model: Some(Arc::new(version("2"))),
        ..new_query(7, ms(0))
    };
    scheduler.on_query(to_second).unwrap();
    assert_eq!(sent(&mut scheduler, ms(0))[0].0, other);
}

#[test]
fn queries_of_a_deleted_version_get_the_default() {
    let mut scheduler = serving(1);
    let replica = join(&mut scheduler, "1");
    queries(&mut scheduler, 0..4, ms(0));
    sent(&mut scheduler, ms(0));
    assert_eq!(scheduler.remove_model(&version("1")), [replica]);
    let queued = defaults(&mut scheduler, ms(0));
    assert_eq!(
        queued,
        [(2, DefaultReason::NoReplica), (3, DefaultReason::NoReplica)]
    );
    scheduler.on_left(replica, Departure::Died);
    let at_replica = defaults(&mut scheduler, ms(0));
    assert_eq!(
        at_replica,
        [(0, DefaultReason::NoReplica), (1, DefaultReason::NoReplica)]
    );
}

#[test]
fn without_a_maximum_batches_grow_to_the_objective() {
    let mut scheduler = serving_with(Rules::default(), None);
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
    // A batch of twenty takes one second, the application's objective.
    let settled = &sizes[sizes.len() - 100..];
    assert!(
        settled.iter().all(|size| (9..=21).contains(size)),
        "{settled:?}"
    );
}

#[test]
fn a_version_of_another_type_gets_no_queries() {
    let mut scheduler = serving(1);
    scheduler.set_model(version("2"), DataType::Ints, Some(1));
    scheduler.on_joined(NewReplica {
        model: version("2"),
        input_type: DataType::Ints,
        batches_in_flight: 1,
        max_batch: None,
    });
    let query = Query {
        model: Some(Arc::new(version("2"))),
        ..new_query(7, ms(0))
    };
    let refused = scheduler.on_query(query).unwrap_err();
    assert_eq!(refused.to_string(), "m:2 takes integers, not floats");
}

#[test]
fn a_queue_that_takes_too_long_refuses_queries() {
    let rules = Rules {
        max_backlog: Some(SECOND),
        ..Rules::default()
    };
    let mut scheduler = serving_with(rules, Some(10));
    let replica = join(&mut scheduler, "1");
    let patient = |payload, now| Query {
        deadline: now + 60 * SECOND,
        ..new_query(payload, now)
    };
    // Without an estimate there is no limit. A batch of 10 queries takes 400 ms.
    for n in 0..20 {
        scheduler.on_query(patient(n, ms(0))).unwrap();
    }
    let batches = sent(&mut scheduler, ms(0));
    answer(&mut scheduler, replica, batches[0].1, ms(400));
    answer(&mut scheduler, replica, batches[1].1, ms(800));
    // One query computes, ten are ahead, and 26 in the queue take a little more than a second.
    let mut accepted = 0;
    let refused = loop {
        match scheduler.on_query(patient(0, SECOND)) {
            Ok(_) => accepted += 1,
            Err(refused) => break refused,
        }
        sent(&mut scheduler, SECOND);
        assert!(accepted < 1_000);
    };
    assert_eq!(accepted, 1 + 10 + 26);
    assert!(matches!(
        refused.refusal,
        Refusal::Overloaded { queries: 26, .. }
    ));
}
