//! How many connections each address has at the ZeroMQ ports. libzmq tells of each that comes and goes; those beyond are shut.

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
    complaints::Complaints,
    places::{Place, Places},
    worker::Worker,
};

/// How long closed sockets may take to say that there is no more to tell: longer than they linger.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Has a socket that is not bound yet tell of its connections.
pub(crate) fn monitor(
    context: &zmq::Context,
    socket: &zmq::Socket,
    name: &str,
) -> zmq::Result<zmq::Socket> {
    let endpoint = format!("inproc://turnstile{name}");
    let events = [ACCEPTED, DISCONNECTED, MONITOR_STOPPED];
    socket.monitor(
        &endpoint,
        events.map(|event| i32::from(event.to_raw())).iter().sum(),
    )?;
    let monitor = context.socket(zmq::PAIR)?;
    // One of libzmq's own threads would wait for a place.
    monitor.set_rcvhwm(0)?;
    monitor.set_linger(0)?;
    monitor.connect(&endpoint)?;
    Ok(monitor)
}

/// The thread that counts. Closing the stream, after the sockets, stops it.
pub(crate) type Turnstile = Worker<UnixStream>;

/// Starts to count the connections that these monitors report.
pub(crate) fn start(
    mut monitors: Vec<zmq::Socket>,
    places: Places,
    complaints: Complaints,
) -> io::Result<Turnstile> {
    let (stop, told) = UnixStream::pair()?;
    let mut connections = Connections {
        places,
        complaints,
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
    Worker::spawn("turnstile", stop, serve)
}

struct Connections {
    places: Places,
    complaints: Complaints,
    /// By their file descriptors.
    open: HashMap<RawFd, (SocketAddrV4, Place)>,
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
        let place = self.places.take((*address.ip()).into()).or_else(|| {
            // libzmq does not tell of every end.
            self.open
                .retain(|fd, (address, _)| peer(*fd) == Some(*address));
            self.places.take((*address.ip()).into())
        });
        if let Some(place) = place {
            self.open.insert(fd, (address, place));
            return;
        }
        let what = "a ZeroMQ connection, of which it has as many as one may (--max_connections)";
        self.complaints.add(address.ip(), &what);
        // An error says that it has gone by itself.
        let _ = shutdown(fd, Shutdown::Both);
    }
}

/// Who is at the other end.
fn peer(fd: RawFd) -> Option<SocketAddrV4> {
    getpeername::<SockaddrIn>(fd).ok().map(Into::into)
}
