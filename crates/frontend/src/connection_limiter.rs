//! Limits the connections of each address at the ZeroMQ ports: socket monitors report each one, and those beyond the
//! limit are shut down.

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
    worker::Worker,
};

/// Limit on waiting for the monitors' last events once the sockets are closed: longer than the sockets linger.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Monitors the connections of a socket that is not bound yet.
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

/// The thread that counts connections. Closing the stream, after the sockets, stops it.
pub(crate) type ConnectionLimiter = Worker<UnixStream>;

/// Starts to count the connections that these monitors report.
pub(crate) fn start(
    mut monitors: Vec<zmq::Socket>,
    permits: Permits,
    drop_log: DropLog,
) -> io::Result<ConnectionLimiter> {
    let (stop, told) = UnixStream::pair()?;
    let mut connections = Connections {
        permits,
        drop_log,
        open: HashMap::new(),
    };
    let serve = move || {
        let mut running = monitors.len();
        let mut end = None;
        let mut message = Vec::new();
        while running > 0 && end.is_none_or(|end| Instant::now() < end) {
            let sockets = monitors
                .iter()
                .map(|socket| socket.as_poll_item(zmq::POLLIN));
            let mut items: Vec<_> = sockets.collect();
            let mut timeout = -1;
            match end {
                // It goes on reading: a socket that is being closed waits until it is heard.
                Some(_) => timeout = 10,
                None => items.push(zmq::PollItem::from_fd(told.as_raw_fd(), zmq::POLLIN)),
            }
            match zmq::poll(&mut items, timeout) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(_) => return,
            }
            let stopped = items.get(monitors.len());
            if stopped.is_some_and(|item| item.get_revents() != zmq::PollEvents::empty()) {
                end = Some(Instant::now() + LAST_WORDS);
            }
            for monitor in &mut monitors {
                while recv(monitor, &mut message).is_ok_and(|came| came) {
                    running -= usize::from(connections.on_event(&message));
                }
            }
        }
    };
    Worker::spawn("connection_limiter", stop, serve)
}

struct Connections {
    permits: Permits,
    drop_log: DropLog,
    /// By their file descriptors.
    open: HashMap<RawFd, (SocketAddrV4, Permit)>,
}

impl Connections {
    /// An event is its number, two bytes, and a file descriptor, four; another frame names the port. Whether it was the last.
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
        // Whoever had this number before has gone.
        self.open.remove(&fd);
        let Some(address) = peer(fd) else {
            return;
        };
        let permit = self.permits.take((*address.ip()).into()).or_else(|| {
            // libzmq does not tell of every end.
            self.open
                .retain(|fd, (address, _)| peer(*fd) == Some(*address));
            self.permits.take((*address.ip()).into())
        });
        if let Some(permit) = permit {
            self.open.insert(fd, (address, permit));
            return;
        }
        let what = "a ZeroMQ connection, of which it has as many as one may (--max_connections)";
        self.drop_log.add(address.ip(), &what);
        // An error says that it has gone by itself.
        let _ = shutdown(fd, Shutdown::Both);
    }
}

/// Who is at the other end.
fn peer(fd: RawFd) -> Option<SocketAddrV4> {
    getpeername::<SockaddrIn>(fd).ok().map(Into::into)
}
