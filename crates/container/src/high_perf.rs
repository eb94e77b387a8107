//! The response socket and the connection id of the high-performance dialect.
//!
//! This dialect has no heartbeats, so only libzmq's monitor detects a lost frontend. A response
//! with the connection id of an earlier frontend would terminate Clipper's frontend, so it is never
//! sent.

use std::time::{Duration, Instant, SystemTime};

use transport::{Frame, recv, send};
use wire::rpc::{Reply, Times};

/// State of a connection in the high-performance dialect.
pub(crate) struct HighPerf {
    responses: zmq::Socket,
    /// Receives an event when the batch socket's connection breaks.
    monitor: zmq::Socket,
    connection: Option<u32>,
    lost: bool,
}

impl HighPerf {
    /// Monitors `batches`, which must not be connected yet; `responses` must be connected.
    /// `number` makes the monitor's endpoint unique in the process.
    pub(crate) fn open(
        context: &zmq::Context,
        batches: &zmq::Socket,
        responses: zmq::Socket,
        number: u64,
    ) -> zmq::Result<HighPerf> {
        let endpoint = format!("inproc://batches-{number}");
        batches.monitor(&endpoint, zmq::SocketEvent::DISCONNECTED.to_raw().into())?;
        let monitor = context.socket(zmq::PAIR)?;
        monitor.connect(&endpoint)?;
        Ok(HighPerf {
            responses,
            monitor,
            connection: None,
            lost: false,
        })
    }

    pub(crate) fn registered(&mut self, connection: u32) {
        self.connection = Some(connection);
    }

    /// Returns whether the frontend that assigned the connection id has disconnected.
    pub(crate) fn lost(&mut self) -> bool {
        let mut event = Vec::new();
        self.lost |= recv(&mut self.monitor, &mut event).is_ok_and(|received| received);
        self.lost
    }

    /// Sends a response, unless the frontend has disconnected. The reply's times are relative to
    /// `clock`; the message has them relative to the Unix epoch.
    pub(crate) fn reply(&mut self, mut reply: Reply, clock: Instant) -> zmq::Result<()> {
        let Some(connection) = self.connection.filter(|_| !self.lost()) else {
            return Ok(());
        };
        let start = start_since_epoch(clock);
        let since_epoch = |micros: u64| micros.saturating_add(start);
        reply.times = Times {
            received: since_epoch(reply.times.received),
            sent: since_epoch(reply.times.sent),
            ..reply.times
        };
        let mut message: Vec<Frame> = Vec::new();
        reply.encode_high_perf(connection, &mut message);
        send(&mut self.responses, &mut message)
    }
}

/// Returns the start of the clock in microseconds since the Unix epoch.
fn start_since_epoch(clock: Instant) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let start: Duration = now.unwrap_or_default().saturating_sub(clock.elapsed());
    u64::try_from(start.as_micros()).unwrap_or(u64::MAX)
}
