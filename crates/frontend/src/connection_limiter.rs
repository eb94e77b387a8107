//! Limits the connections of each address at the ZeroMQ ports. Socket monitors report each
//! connection, and those beyond the limit are shut down.

use std::{
    collections::HashMap,
    io,
    net::SocketAddrV4,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::sys::socket::{Shutdown, SockaddrIn, getpeername, shutdown};
use transport::{Frame, recv};
use zmq::SocketEvent::{ACCEPTED, DISCONNECTED, MONITOR_STOPPED};

use crate::{
    drop_log::DropLog,
    permits::{Permit, Permits},
    worker::WorkerThread,
};

/// Maximum time to wait for the monitors' last events after the stop signal; longer than the
/// sockets linger.
const STOP_TIME: Duration = Duration::from_secs(1);

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
    mut monitors: Vec<zmq::Socket>,
    permits: Permits,
    drop_log: DropLog,
) -> io::Result<ConnectionLimiter> {
    let (stop, stopped) = UnixStream::pair()?;
    let mut connections = OpenConnections {
        permits,
        drop_log,
        open: HashMap::new(),
    };
    let serve = move || {
        let mut running = monitors.len();
        let mut deadline = None;
        let mut message = Vec::new();
        while running > 0 && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let sockets = monitors
                .iter()
                .map(|socket| socket.as_poll_item(zmq::POLLIN));
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
                while recv(monitor, &mut message).is_ok_and(|received| received) {
                    running -= usize::from(connections.on_event(&message));
                }
            }
        }
    };
    WorkerThread::spawn("connection_limiter", stop, serve)
}

struct OpenConnections {
    permits: Permits,
    drop_log: DropLog,
    /// Address and permit of each connection, by file descriptor.
    open: HashMap<RawFd, (SocketAddrV4, Permit)>,
}

impl OpenConnections {
    /// Handles an event of a monitor; returns true if it is the monitor's last one. The first frame
    /// is the event's number (2 bytes) and a file descriptor (4 bytes), in native byte order; the
    /// second frame is the endpoint.
    fn on_event(&mut self, message: &[Frame]) -> bool {
        let Some(&[low, high, ref fd @ ..]) = message.first().map(AsRef::as_ref) else {
            return false;
        };
        let Ok(fd) = <[u8; 4]>::try_from(fd) else {
            return false;
        };
        let fd = RawFd::from_ne_bytes(fd);
        match u16::from_ne_bytes([low, high]) {
            event if event == ACCEPTED.to_raw() => self.accept(fd),
            event if event == DISCONNECTED.to_raw() => drop(self.open.remove(&fd)),
            event => return event == MONITOR_STOPPED.to_raw(),
        }
        false
    }

    fn accept(&mut self, fd: RawFd) {
        // A connection that had this file descriptor before is closed.
        self.open.remove(&fd);
        let Some(address) = peer(fd) else {
            return;
        };
        let permit = self.permits.take((*address.ip()).into()).or_else(|| {
            // libzmq does not report every disconnect, so remove connections that are closed.
            self.open
                .retain(|fd, (address, _)| peer(*fd) == Some(*address));
            self.permits.take((*address.ip()).into())
        });
        if let Some(permit) = permit {
            self.open.insert(fd, (address, permit));
            return;
        }
        let what = "a ZeroMQ connection beyond the limit for each address (--max_connections)";
        self.drop_log.add(address.ip(), &what);
        // An error means that the connection has ended already.
        let _ = shutdown(fd, Shutdown::Both);
    }
}

/// Returns the address of the other end.
fn peer(fd: RawFd) -> Option<SocketAddrV4> {
    getpeername::<SockaddrIn>(fd).ok().map(Into::into)
}
