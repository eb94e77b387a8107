//! The ZAP handler (RFC 27): authorises connections to the ZeroMQ ports by their CURVE keys. libzmq
//! sends it one request per connection.

use std::{
    collections::HashSet,
    fs,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::PathBuf,
    time::SystemTime,
};

use transport::{Frame, curve::PublicKey, recv, send};

use crate::{
    access::{AccessError, CurveAccess, read_public_keys},
    drop_log::DropLog,
    error::Error,
    worker::WorkerThread,
};

/// The endpoint that libzmq sends ZAP requests to.
const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// ZAP domain of the ports for model servers.
pub(crate) const CONTAINERS: &str = "containers";
/// ZAP domain of the ports for clients.
pub(crate) const CLIENTS: &str = "clients";

/// The thread of the handler. Closing the stream stops it.
pub(crate) type ZapHandler = WorkerThread<UnixStream>;

/// Starts the handler. It must run before sockets are bound.
pub(crate) fn start(
    context: &zmq::Context,
    curve: &CurveAccess,
    drop_log: DropLog,
) -> Result<ZapHandler, Error> {
    let mut socket = context.socket(zmq::REP)?;
    socket.set_linger(0)?;
    socket.bind(ENDPOINT)?;
    let mut key_folders =
        [&curve.containers, &curve.clients].map(|folder| KeyFolder::new(folder.clone()));
    for key_folder in &mut key_folders {
        key_folder.read()?;
    }
    let (stop, stopped) = UnixStream::pair()?;
    let serve = move || loop {
        let mut items = [
            socket.as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(stopped.as_raw_fd(), zmq::POLLIN),
        ];
        match zmq::poll(&mut items, -1) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(_) => return,
        }
        if items[1].get_revents() != zmq::PollEvents::empty() {
            return;
        }
        let mut message = Vec::new();
        while recv(&mut socket, &mut message).is_ok_and(|received| received) {
            reply(&mut message, &mut key_folders, &drop_log);
            // The peer is libzmq itself; a reply that it does not take has no other recipient.
            let _ = send(&mut socket, &mut message);
        }
    };
    Ok(WorkerThread::spawn("zap", stop, serve)?)
}

/// Turns a request into its reply. The frames of a request are version, request id, domain,
/// address, identity, mechanism, and with CURVE the key. Those of a reply are version, request id,
/// status, text, user and metadata.
fn reply(message: &mut Vec<Frame>, key_folders: &mut [KeyFolder; 2], drop_log: &DropLog) {
    let text = |index: usize| message.get(index).map_or(&b""[..], |frame| frame.as_ref());
    let key = message
        .get(6)
        .and_then(|frame| PublicKey::from_bytes(frame.as_ref()));
    let key_folder = match text(2) {
        domain if domain == CONTAINERS.as_bytes() => &mut key_folders[0],
        _ => &mut key_folders[1],
    };
    let allowed = text(5) == b"CURVE" && key.is_some_and(|key| key_folder.contains(key));
    if !allowed {
        let address = String::from_utf8_lossy(text(3)).into_owned();
        let key = key.map_or("no key".to_owned(), |key| format!("the key {key}"));
        let what = format!(
            "a connection with {key}, which is not in {}",
            key_folder.folder.display()
        );
        drop_log.add(&address, &what);
    }
    let (status, reason) = match allowed {
        true => ("200", "OK"),
        false => ("400", "unknown key"),
    };
    message.truncate(2);
    let rest = [status, reason, "", ""];
    message.extend(rest.map(|text| Frame::from(text.as_bytes())));
}

/// The public keys in a folder.
struct KeyFolder {
    folder: PathBuf,
    /// Modification time of the folder when it was read; `None` before.
    modified: Option<SystemTime>,
    keys: HashSet<PublicKey>,
}

impl KeyFolder {
    fn new(folder: PathBuf) -> KeyFolder {
        KeyFolder {
            folder,
            modified: None,
            keys: HashSet::new(),
        }
    }

    fn read(&mut self) -> Result<(), AccessError> {
        self.modified = self.modified_now();
        self.keys = read_public_keys(&self.folder)?.collect();
        Ok(())
    }

    /// Returns true if the folder holds this key. Reads the folder again if it changed; if that
    /// fails, it holds no key.
    fn contains(&mut self, key: PublicKey) -> bool {
        let stale = self.modified.is_none() || self.modified != self.modified_now();
        if stale && let Err(error) = self.read() {
            tracing::error!("{error}");
            self.keys.clear();
        }
        self.keys.contains(&key)
    }

    fn modified_now(&self) -> Option<SystemTime> {
        fs::metadata(&self.folder).ok()?.modified().ok()
    }
}
