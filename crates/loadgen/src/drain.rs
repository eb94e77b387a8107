//! Wait between an overloaded load and the next one, while the frontend still has cancelled queries
//! in its queue.

use std::{
    thread,
    time::{Duration, Instant},
};

use transport::Frame;

use crate::{
    arrivals::Arrivals,
    error::Error,
    load::{Load, LoadControl, Progress},
    run::run,
};

/// Pause between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Waits until the frontend has dropped the queries that earlier loads left in its queue, or until
/// `watch` stops it.
///
/// The frontend drops the queries of a disconnected client when it next answers one of them, and it
/// serves in order. So once it answers a query that was sent later, none is left. The arrivals and
/// duration of `load` are ignored, and this query is not counted.
///
/// # Errors
/// `NotDrained` if no query is answered within the load's answer timeout, or the error of a socket.
pub fn wait_until_drained(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> LoadControl,
) -> Result<(), Error> {
    let one = Load {
        arrivals: Arrivals::Closed { in_flight: 1 },
        send_once: true,
        precision: None,
        ..load.clone()
    };
    let began = Instant::now();
    while began.elapsed() < load.answer_timeout {
        let totals = run(&one, &inputs[..1], &mut watch)?.tally.totals;
        // A full queue refuses the query.
        if totals.error + totals.timeout == 0 {
            return Ok(());
        }
        thread::sleep(RETRY_AFTER);
    }
    Err(Error::NotDrained {
        seconds: load.answer_timeout.as_secs(),
    })
}
