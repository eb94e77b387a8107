//! Detects dead replicas. A replica is dead:
//!
//! - in all dialects, if libzmq reports that its connection was closed, and a check confirms it;
//! - in version 4, if a probe finds no connection (every 100 ms), or after 5 s of silence;
//! - in versions 3 and 2017, if a probe finds no connection (every 8 s), or after 30 s of silence
//!   without a batch in flight;
//! - in the high-performance dialect, if a batch cannot be sent. There are no heartbeats, so
//!   silence means nothing, and every message to a replica is a batch.

use std::{os::fd::RawFd, time::Duration};

use scheduler::Timestamp;
use transport::Frame;
use wire::rpc::{FromFrontend, Version};

use super::{ConnectedReplica, LostReplica, Replicas};
use crate::container_sockets::{ContainerPort, ContainerSockets};

/// Period of the checks of all replicas, and of the probes of version-4 model servers. Sending is
/// the only way to find out whether a peer is connected.
const PROBE_V4: Duration = Duration::from_millis(100);

/// Period of the probes of version 3 and 2017. Clipper's containers send a heartbeat after 5 s
/// without a message: a shorter period would suppress the heartbeats, and the containers would seem
/// dead.
const PROBE_V3: Duration = Duration::from_secs(8);

/// Delay from the report of a closed connection to the first check. The next ones follow with the
/// period of all checks.
const FIRST_CHECK: Duration = Duration::from_millis(3);

/// Time of silence after which a version-4 model server counts as dead.
const SILENCE_V4: Duration = Duration::from_secs(5);

/// Time of silence after which a model server of version 3 or 2017 counts as dead, as in Clipper's
/// frontend. It does not hold during a batch, because these model servers are silent while they
/// predict.
const SILENCE_V3: Duration = Duration::from_secs(30);

/// Time of silence after which a hung high-performance model server counts as dead: it has no
/// heartbeats, and gets no further batch that could fail.
const SILENCE_HUNG: Duration = Duration::from_secs(600);

/// Delay of a probe that shows that this process was suspended, rather than that the replicas were
/// silent.
const SUSPENDED: Duration = Duration::from_secs(1);

impl Replicas {
    /// Handles the report that a connection of this port was closed: the replicas that may have had
    /// it are checked soon.
    pub(crate) fn on_connection_closed(&mut self, port: ContainerPort, fd: RawFd, now: Timestamp) {
        for replica in self.replicas.values_mut() {
            let same_port = ContainerPort::of(replica.version) == port;
            if same_port && replica.connection_check.on_closed(fd) {
                self.next_probe = self.next_probe.min(now + FIRST_CHECK);
            }
        }
    }

    /// Probes the connections and checks for silence, if a probe is due. Returns the replicas that
    /// are dead.
    pub(crate) fn probe(
        &mut self,
        sockets: &mut ContainerSockets,
        now: Timestamp,
    ) -> Vec<LostReplica> {
        let mut lost = Vec::new();
        if now < self.next_probe {
            return lost;
        }
        let suspended = now.saturating_sub(self.next_probe) > SUSPENDED;
        self.next_probe = now + PROBE_V4;
        for (key, replica) in &mut self.replicas {
            if suspended {
                replica.last_message = now;
            }
            let (probe, silence) = match replica.version {
                Version::V4 => (PROBE_V4, SILENCE_V4),
                Version::HighPerf if replica.hung => (Duration::MAX, SILENCE_HUNG),
                Version::HighPerf => (Duration::MAX, Duration::MAX),
                Version::V3 | Version::V2017 if replica.batches_in_flight > 0 => {
                    (PROBE_V3, Duration::MAX)
                }
                Version::V3 | Version::V2017 => (PROBE_V3, SILENCE_V3),
            };
            if now.saturating_sub(replica.last_message) > silence {
                lost.push(LostReplica::died(*key, "is silent"));
            } else if replica.connection_check.is_due()
                || now.saturating_sub(replica.last_probe) >= probe
            {
                replica.last_probe = now;
                if replica.is_disconnected(sockets, &mut self.out) {
                    lost.push(LostReplica::died(*key, "is disconnected"));
                }
            }
        }
        lost
    }

    /// Returns the time of the next probe; `None` without replicas.
    pub(crate) fn next_probe(&self) -> Option<Timestamp> {
        (!self.replicas.is_empty()).then_some(self.next_probe)
    }
}

impl ConnectedReplica {
    /// Returns true if the replica is disconnected. Sending a heartbeat shows that, except in the
    /// high-performance dialect, which has none.
    fn is_disconnected(&self, sockets: &mut ContainerSockets, out: &mut Vec<Frame>) -> bool {
        if self.version == Version::HighPerf {
            return self.connection_check.is_lost();
        }
        out.push(self.identity.clone());
        FromFrontend::KeepAlive.encode(self.version, out);
        sockets.send(self.version, out).is_err()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use model::DataType;
    use scheduler::Scheduler;
    use wire::rpc::NewContainer;

    use super::*;
    use crate::{
        container_sockets::RouterSocket, declarations::Declarations, replicas::ContainerPeer,
        tcp::TcpConnection,
    };

    /// A table of replicas with real sockets. The tests report closed connections themselves.
    struct Bench {
        context: zmq::Context,
        sockets: ContainerSockets,
        endpoints: Vec<String>,
        replicas: Replicas,
        now: Timestamp,
    }

    impl Bench {
        fn new() -> Bench {
            let context = zmq::Context::new();
            let mut endpoints = Vec::new();
            let sockets = ContainerPort::ALL.map(|_| {
                let socket = context.socket(zmq::ROUTER).unwrap();
                socket.set_router_mandatory(true).unwrap();
                socket.bind("tcp://127.0.0.1:*").unwrap();
                endpoints.push(socket.get_last_endpoint().unwrap().unwrap());
                RouterSocket::new(socket).unwrap()
            });
            Bench {
                context,
                sockets: ContainerSockets::new(sockets),
                endpoints,
                replicas: Replicas::new(1, Declarations::default()),
                now: Timestamp::from_secs(1),
            }
        }

        fn connect(&self, port: ContainerPort, identity: &[u8]) -> zmq::Socket {
            let socket = self.context.socket(zmq::DEALER).unwrap();
            socket.set_linger(0).unwrap();
            if !identity.is_empty() {
                socket.set_identity(identity).unwrap();
            }
            socket.connect(&self.endpoints[port as usize]).unwrap();
            socket
        }

        /// Receives a message at this port, as the engine does.
        fn recv(&mut self, port: ContainerPort) -> Option<Vec<Frame>> {
            let mut message = Vec::new();
            self.sockets.iter_mut().for_each(RouterSocket::wake);
            let received = self.sockets.recv(port, &mut message).unwrap();
            received.then_some(message)
        }

        /// Sends any message to this port; returns the identity that it arrives with.
        fn send(&mut self, port: ContainerPort, container: &zmq::Socket) -> Frame {
            container.send("", 0).unwrap();
            let mut message = None;
            self.until(|bench| {
                message = bench.recv(port);
                message.is_some()
            });
            message.unwrap().swap_remove(0)
        }

        fn register(&mut self, port: ContainerPort, container: &zmq::Socket) -> RawFd {
            let identity = self.send(port, container);
            let new = NewContainer {
                name: "m".into(),
                version: "1".into(),
                input_type: DataType::Floats,
                metadata: None,
            };
            let mut scheduler: Scheduler<()> = Scheduler::new(1, scheduler::Rules::default());
            let sender = ContainerPeer {
                port,
                identity: &identity,
            };
            let registered = self
                .replicas
                .register(&mut scheduler, sender, new, self.now);
            registered.1.unwrap();
            identity.source_fd().unwrap()
        }

        /// Returns true if no model server on the port of version 3 has this identity.
        fn send_fails(&mut self, identity: &[u8]) -> bool {
            // A closed connection keeps its identity until the socket is read.
            assert!(self.recv(ContainerPort::Rpc).is_none());
            let mut message = vec![Frame::from(identity), Frame::from(&b""[..])];
            self.sockets.send(Version::V3, &mut message).is_err()
        }

        /// Waits until something holds.
        fn until(&mut self, mut holds: impl FnMut(&mut Bench) -> bool) {
            let began = std::time::Instant::now();
            while !holds(self) {
                assert!(began.elapsed() < Duration::from_secs(10), "never happens");
                std::thread::yield_now();
            }
        }

        /// Makes all checks that a report causes; returns the number of replicas that they remove.
        fn lost(&mut self) -> usize {
            self.lost_in(9)
        }

        /// Makes some checks; returns the number of replicas that they remove.
        fn lost_in(&mut self, checks: usize) -> usize {
            let mut count = 0;
            for _ in 0..checks {
                self.now += PROBE_V4;
                for lost in self.replicas.probe(&mut self.sockets, self.now) {
                    count += usize::from(self.replicas.remove(&lost).is_some());
                }
            }
            count
        }
    }

    #[test]
    fn a_report_about_an_open_connection_removes_no_replica() {
        for port in [
            ContainerPort::Rpc,
            ContainerPort::Rpc2017,
            ContainerPort::RpcSend,
        ] {
            for identity in [&b""[..], b"fixed"] {
                let mut bench = Bench::new();
                let container = bench.connect(port, identity);
                let fd = bench.register(port, &container);
                bench.replicas.on_connection_closed(port, fd, bench.now);
                assert_eq!(bench.lost(), 0, "{port:?}");
            }
        }
    }

    #[test]
    fn a_replica_that_reconnects_stays_and_its_next_end_counts() {
        let port = ContainerPort::Rpc;
        for (reported_before, message_during_checks) in
            [(true, true), (false, true), (false, false)]
        {
            let mut bench = Bench::new();
            let container = bench.connect(port, b"fixed");
            let first = bench.register(port, &container);
            drop(container);
            bench.until(|bench| bench.send_fails(b"fixed"));
            if reported_before {
                bench.replicas.on_connection_closed(port, first, bench.now);
                assert_eq!(bench.lost_in(5), 0, "it may connect again");
            }
            // Its next connection gets another descriptor, unless another test takes this one.
            let _taken = std::fs::File::open("/dev/null").unwrap();
            let container = bench.connect(port, b"fixed");
            let identity = bench.send(port, &container);
            let sender = ContainerPeer {
                port,
                identity: &identity,
            };
            if !reported_before {
                bench.replicas.on_connection_closed(port, first, bench.now);
            }
            if message_during_checks {
                bench.replicas.on_message(sender, bench.now);
            }
            assert_eq!(bench.lost(), 0);
            bench.replicas.on_message(sender, bench.now);
            drop(container);
            bench.until(|bench| bench.send_fails(b"fixed"));
            let second = identity.source_fd().unwrap();
            bench.replicas.on_connection_closed(port, second, bench.now);
            assert_eq!(bench.lost(), 1);
        }
    }

    #[test]
    fn a_closed_high_performance_connection_removes_its_replica() {
        // A replica that chose its identity may have connected again.
        for (identity, expected) in [(&b""[..], 1), (b"fixed", 0)] {
            let mut bench = Bench::new();
            let port = ContainerPort::RpcSend;
            let container = bench.connect(port, identity);
            let fd = bench.register(port, &container);
            let connection = TcpConnection::of(fd).unwrap();
            drop(container);
            bench.until(|_| !connection.is_open());
            assert_eq!(bench.lost(), 0, "no report");
            bench.replicas.on_connection_closed(port, fd, bench.now);
            assert_eq!(bench.lost(), expected);
        }
    }
}
