//! What the high-performance dialect has beside the socket for batches: one for responses, and a connection id.
//!
//! Its frontend says nothing but batches and takes no heartbeats, so only libzmq can tell that it is gone. A response that
//! names a connection of an earlier frontend would end Clipper's: it must not be sent.

use std::time::{Duration, Instant, SystemTime};

use transport::{Frame, recv, send};
use wire::rpc::{Reply, Times};

pub(crate) struct HighPerf {
    responses: zmq::Socket,
    /// Hears of it when the connection that batches come by breaks.
    monitor: zmq::Socket,
    connection: Option<u32>,
    lost: bool,
}

impl HighPerf {
    /// `batches` is the socket for batches, not connected yet; `responses` is connected.
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

    /// Whether the frontend that gave the connection is gone.
    pub(crate) fn lost(&mut self) -> bool {
        let mut event = Vec::new();
        self.lost |= recv(&mut self.monitor, &mut event).is_ok_and(|came| came);
        self.lost
    }

    /// Sends a response, unless its frontend is gone. Its times count from `clock`'s start.
    pub(crate) fn reply(&mut self, mut reply: Reply, clock: Instant) -> zmq::Result<()> {
        let Some(connection) = self.connection.filter(|_| !self.lost()) else {
            return Ok(());
        };
        let started = started(clock);
        let since_epoch = |micros: u64| micros.saturating_add(started);
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

/// When the clock started, in microseconds since the Unix epoch.
fn started(clock: Instant) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let started: Duration = now.unwrap_or_default().saturating_sub(clock.elapsed());
    u64::try_from(started.as_micros()).unwrap_or(u64::MAX)
}
