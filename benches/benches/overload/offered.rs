//! An open loop on one thread, which records every query.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use anyhow::Context;
use loadgen::{
    Arrivals, Client,
    pacer::{Pacer, Partition},
};
use transport::Frame;
use wire::query::AnswerStatus;

/// Queries sent in a row before the client looks for answers.
const SENDS: usize = 16;

/// Answers received in a row before the client looks for queries that are due.
const ANSWERS: usize = 64;

/// The end of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The model answered.
    Model,
    /// The default output, because the query was not computed: it could not finish in time, or
    /// waited too long.
    Shed,
    /// The default output, although a replica has the query.
    LateAtReplica,
    /// Refused, or failed.
    Error,
    /// No answer before the client gave up.
    Missing,
}

/// A query. Times count from the start of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Time of its arrival in the arrival process.
    pub(crate) intended: Duration,
    pub(crate) sent: Duration,
    pub(crate) ended: Duration,
    pub(crate) ending: Ending,
}

/// A load on one application.
pub(crate) struct Load<'a> {
    pub(crate) arrivals: Arrivals,
    pub(crate) seed: u64,
    /// Sending time.
    pub(crate) duration: Duration,
    pub(crate) objective: Duration,
    pub(crate) inputs: &'a [Frame],
}

/// Sends the queries of a load at their times, and waits for the answers.
pub(crate) fn offer(client: &mut dyn Client, load: &Load<'_>) -> anyhow::Result<Vec<Sent>> {
    // The kernel wakes a waiting thread up to 50 us late unless this is set.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let alone = Partition {
        client: 0,
        clients: 1,
    };
    let mut pacer = Pacer::new(&load.arrivals, load.seed, alone);
    let mut queries: Vec<Sent> = Vec::new();
    let mut missing = 0_usize;
    let began = Instant::now();
    let gives_up = load.duration + load.objective + Duration::from_secs(2);
    loop {
        let mut due = None;
        for _ in 0..SENDS {
            let now = began.elapsed();
            due = pacer.next(now, 0).filter(|at| *at < load.duration);
            let Some(intended) = due.filter(|at| *at <= now) else {
                break;
            };
            pacer.on_sent();
            let id = queries.len();
            client.send(u32::try_from(id)?, &load.inputs[id % load.inputs.len()])?;
            missing += 1;
            queries.push(Sent {
                intended,
                sent: began.elapsed(),
                ended: Duration::MAX,
                ending: Ending::Missing,
            });
        }
        for _ in 0..ANSWERS {
            let Some(answer) = client.receive()? else {
                break;
            };
            let query = queries.get_mut(answer.request_id as usize);
            let query = query.context("an answer to a query that was not sent")?;
            query.ended = began.elapsed();
            query.ending = ending(answer.status, answer.reason);
            missing -= 1;
        }
        let now = began.elapsed();
        if due.is_none() && missing == 0 || now > gives_up {
            return Ok(queries);
        }
        client.wait(due.map(|at| at.saturating_sub(now)))?;
    }
}

fn ending(status: AnswerStatus, reason: &str) -> Ending {
    match (status, reason) {
        (AnswerStatus::Ok, _) => Ending::Model,
        (AnswerStatus::Default, "timed out at the replica") => Ending::LateAtReplica,
        (AnswerStatus::Default, _) => Ending::Shed,
        (AnswerStatus::Refused | AnswerStatus::Error, _) => Ending::Error,
    }
}
