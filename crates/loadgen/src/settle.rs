//! The time between an overloaded load and the next one: the frontend still has a queue that nobody waits for.

use std::{
    thread,
    time::{Duration, Instant},
};

use transport::Frame;

use crate::{
    arrivals::Arrivals,
    error::Error,
    load::{Go, Load, Progress},
    run::run,
};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(20);

/// Waits until the frontend is rid of what earlier loads have left in its queue, or `watch` stops it. The frontend
/// drops the queries of a client that has disconnected when it next answers one of them, and serves in order: so once
/// it answers a query that was sent later, nothing is left. Of `load` the arrivals and duration do not count, nor is
/// that query counted.
///
/// # Errors
/// `Unsettled` if no query is answered within the load's patience, or the error of a socket.
pub fn settle(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> Go,
) -> Result<(), Error> {
    let one = Load {
        arrivals: Arrivals::Closed { in_flight: 1 },
        once: true,
        until: None,
        ..load.clone()
    };
    let began = Instant::now();
    while began.elapsed() < load.patience {
        let totals = run(&one, &inputs[..1], &mut watch)?.tally.totals;
        // While the queue is full, the query is refused.
        if totals.error + totals.timeout == 0 {
            return Ok(());
        }
        thread::sleep(AGAIN);
    }
    Err(Error::Unsettled {
        seconds: load.patience.as_secs(),
    })
}
