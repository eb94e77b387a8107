//! Limits the connections of each address at the ZeroMQ ports. Socket monitors report each
//! connection, and those beyond the limit are shut down. The engine gets a report of each closed
//! connection of a model server: libzmq allows one monitor for each socket.

use std::{
    collections::HashMap,
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::sys::socket::{Shutdown, shutdown};
use transport::{Frame, recv};
use zmq::SocketEvent::{ACCEPTED, DISCONNECTED, MONITOR_STOPPED};

use crate::{
    command::Command,
    container_sockets::ContainerPort,
    drop_log::DropLog,
    handle::EngineHandle,
    permits::{Permit, Permits},
    tcp::TcpConnection,
    worker::WorkerThread,
};

/// Maximum time to wait for the monitors' last events after the stop signal; longer than the
/// sockets linger.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Reports the connections of a socket.
pub(crate) struct Monitor {
    pub(crate) socket: zmq::Socket,
    /// The port of the socket, if it is one for model servers.
    pub(crate) containers: Option<ContainerPort>,
}

/// Returns a monitor that reports the connections of a socket, which must not be bound yet.
pub(crate) fn monitor(
    context: &zmq::Context,
    socket: &zmq::Socket,
    name: &str,
) -> zmq::Result<zmq::Socket> {
    let endpoint = format!("inproc://connections{name}");
    let events = [ACCEPTED, DISCONNECTED, MONITOR_STOPPED];
    socket.monitor(
        &endpoint,
        events.map(|event| i32::from(event.to_raw())).iter().sum(),
    )?;
    let monitor = context.socket(zmq::PAIR)?;
    // A full queue would block one of libzmq's own threads.
    monitor.set_rcvhwm(0)?;
    monitor.set_linger(0)?;
    monitor.connect(&endpoint)?;
    Ok(monitor)
}

/// The thread that counts connections. Closing the stream stops it; close the sockets first.
pub(crate) type ConnectionLimiter = WorkerThread<UnixStream>;

/// Starts the thread that counts the connections which the monitors report.
pub(crate) fn start(
    mut monitors: Vec<Monitor>,
    permits: Permits,
    drop_log: DropLog,
    engine: EngineHandle,
) -> io::Result<ConnectionLimiter> {
    let (stop, stopped) = UnixStream::pair()?;
    let mut connections = OpenConnections {
        permits,
        drop_log,
        engine,
        open: HashMap::new(),
    };
    let serve = move || {
        let mut running = monitors.len();
        let mut deadline = None;
        let mut message = Vec::new();
        while running > 0 && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let sockets = monitors
                .iter()
                .map(|monitor| monitor.socket.as_poll_item(zmq::POLLIN));
            let mut items: Vec<_> = sockets.collect();
            let mut timeout = -1;
            match deadline {
                // Events are still read, because a socket that is being closed waits until its last
                // event is read.
                Some(_) => timeout = 10,
                None => items.push(zmq::PollItem::from_fd(stopped.as_raw_fd(), zmq::POLLIN)),
            }
            match zmq::poll(&mut items, timeout) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(_) => return,
            }
            let stop_item = items.get(monitors.len());
            if stop_item.is_some_and(|item| item.get_revents() != zmq::PollEvents::empty()) {
                deadline = Some(Instant::now() + STOP_TIME);
            }
            for monitor in &mut monitors {
                let containers = monitor.containers;
                while recv(&mut monitor.socket, &mut message).is_ok_and(|received| received) {
                    running -= usize::from(connections.on_event(containers, &message));
                }
            }
        }
    };
    WorkerThread::spawn("connection_limiter", stop, serve)
}

struct OpenConnections {
    permits: Permits,
    drop_log: DropLog,
    engine: EngineHandle,
    /// Each connection and its permit, by file descriptor.
    open: HashMap<RawFd, (TcpConnection, Permit)>,
}

impl OpenConnections {
    /// Handles an event of a monitor; returns true if it is the monitor's last one. `containers` is
    /// the monitor's port for model servers.
    ///
    /// The first frame is the event's number (2 bytes) and a file descriptor (4 bytes), in native
    /// byte order; the second frame is the endpoint.
    fn on_event(&mut self, containers: Option<ContainerPort>, message: &[Frame]) -> bool {
        let Some(&[low, high, ref fd @ ..]) = message.first().map(AsRef::as_ref) else {
            return false;
        };
        let Ok(fd) = <[u8; 4]>::try_from(fd) else {
            return false;
        };
        let fd = RawFd::from_ne_bytes(fd);
        match u16::from_ne_bytes([low, high]) {
            event if event == ACCEPTED.to_raw() => self.accept(fd),
            event if event == DISCONNECTED.to_raw() => {
                self.open.remove(&fd);
                if let Some(port) = containers {
                    self.engine.send(Command::ConnectionClosed { port, fd });
                }
            }
            event => return event == MONITOR_STOPPED.to_raw(),
        }
        false
    }

    fn accept(&mut self, fd: RawFd) {
        // A connection that had this file descriptor before is closed.
        self.open.remove(&fd);
        let Some(connection) = TcpConnection::of(fd) else {
            return;
        };
        let address = *connection.peer.ip();
        let permit = self.permits.take(address.into()).or_else(|| {
            // libzmq does not report every disconnect, so remove connections that are closed.
            self.open.retain(|_, (connection, _)| connection.is_open());
            self.permits.take(address.into())
        });
        if let Some(permit) = permit {
            self.open.insert(fd, (connection, permit));
            return;
        }
        let what = "a ZeroMQ connection beyond the limit for each address (--max_connections)";
        self.drop_log.add(&address, &what);
        // An error means that the connection has ended already.
        let _ = shutdown(fd, Shutdown::Both);
    }
}
