//! Who may connect to the ZeroMQ ports: the ZAP handler (RFC 27), which libzmq asks once for each connection.

use std::{
    collections::HashSet,
    fs,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::PathBuf,
    time::SystemTime,
};

use transport::{Frame, curve::PublicKey, recv, send};

use crate::{
    access::{AccessError, Curve, known_keys},
    drop_log::DropLog,
    error::Error,
    worker::Worker,
};

/// Where libzmq looks for the handler.
const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// The ports of model servers.
pub(crate) const CONTAINERS: &str = "containers";
/// The ports of clients.
pub(crate) const CLIENTS: &str = "clients";

/// The handler's thread. Closing the stream stops it.
pub(crate) type ZapHandler = Worker<UnixStream>;

/// Starts the handler; to be called before sockets are bound.
pub(crate) fn start(
    context: &zmq::Context,
    curve: &Curve,
    drop_log: DropLog,
) -> Result<ZapHandler, Error> {
    let mut socket = context.socket(zmq::REP)?;
    socket.set_linger(0)?;
    socket.bind(ENDPOINT)?;
    let mut lists = [&curve.containers, &curve.clients].map(|folder| List::of(folder.clone()));
    for list in &mut lists {
        list.read()?;
    }
    let (stop, told) = UnixStream::pair()?;
    let serve = move || loop {
        let mut items = [
            socket.as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(told.as_raw_fd(), zmq::POLLIN),
        ];
        match zmq::poll(&mut items, -1) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(_) => return,
        }
        if items[1].get_revents() != zmq::PollEvents::empty() {
            return;
        }
        let mut message = Vec::new();
        while recv(&mut socket, &mut message).is_ok_and(|came| came) {
            answer(&mut message, &mut lists, &drop_log);
            // libzmq itself asks; an answer that it does not take has nobody to go to.
            let _ = send(&mut socket, &mut message);
        }
    };
    Ok(Worker::spawn("zap", stop, serve)?)
}

/// The question is: version, request id, domain, address, identity, mechanism, and with CURVE the key. It becomes the answer:
/// version, request id, status, text, user, metadata.
fn answer(message: &mut Vec<Frame>, lists: &mut [List; 2], drop_log: &DropLog) {
    let text = |place: usize| message.get(place).map_or(&b""[..], |frame| frame.as_ref());
    let key = message
        .get(6)
        .and_then(|frame| PublicKey::from_bytes(frame.as_ref()));
    let list = match text(2) {
        domain if domain == CONTAINERS.as_bytes() => &mut lists[0],
        _ => &mut lists[1],
    };
    let known = text(5) == b"CURVE" && key.is_some_and(|key| list.knows(key));
    if !known {
        let address = String::from_utf8_lossy(text(3)).into_owned();
        let key = key.map_or("no key".to_owned(), |key| format!("the key {key}"));
        let what = format!(
            "a connection with {key}, which is not in {}",
            list.folder.display()
        );
        drop_log.add(&address, &what);
    }
    let (status, why) = match known {
        true => ("200", "OK"),
        false => ("400", "unknown key"),
    };
    message.truncate(2);
    let rest = [status, why, "", ""];
    message.extend(rest.map(|text| Frame::from(text.as_bytes())));
}

/// Public keys in a folder.
struct List {
    folder: PathBuf,
    /// Of the folder, when it was read.
    changed: Option<SystemTime>,
    keys: HashSet<PublicKey>,
}

impl List {
    fn of(folder: PathBuf) -> List {
        List {
            folder,
            changed: None,
            keys: HashSet::new(),
        }
    }

    fn read(&mut self) -> Result<(), AccessError> {
        self.changed = self.last_change();
        self.keys = known_keys(&self.folder)?.collect();
        Ok(())
    }

    /// A folder that changed is read anew; if it cannot be, nobody is known.
    fn knows(&mut self, key: PublicKey) -> bool {
        let stale = self.changed.is_none() || self.changed != self.last_change();
        if stale && let Err(error) = self.read() {
            tracing::error!("{error}");
            self.keys.clear();
        }
        self.keys.contains(&key)
    }

    fn last_change(&self) -> Option<SystemTime> {
        fs::metadata(&self.folder).ok()?.modified().ok()
    }
}
