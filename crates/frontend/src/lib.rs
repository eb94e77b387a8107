//! The query frontend: takes queries, sends batches of them to model servers and returns the answers.
//!
//! | default port | flag                                 | peers                                          |
//! |--------------|--------------------------------------|------------------------------------------------|
//! | 1337, 1338   | `--query_port`, `--admin_port`       | HTTP: queries and metrics; administration      |
//! | 4455, 4456   | `--send_port`, `--recv_port`         | ZeroMQ clients, in three dialects              |
//! | 7000         | `--rpc_service_port`                 | model servers of RPC versions 3 and 4          |
//! | 7002         | `--rpc_2017_port`                    | model servers of Clipper's 2017 generation     |
//! | 7010, 7011   | `--rpc_send_port`, `--rpc_recv_port` | model servers of the high-performance branch   |
//!
//! A ZeroMQ client states its dialect when it connects; otherwise `--client_protocol` decides.
//!
//! [`Frontend::start`] binds every port and then starts the threads:
//!
//! - the engine, which owns the ZeroMQ sockets and the scheduler;
//! - the HTTP servers;
//! - the state thread, which owns the registrations;
//! - the connection limiter, which counts the ZeroMQ connections of each address, and reports to the engine
//!   which connections of model servers were closed;
//! - with CURVE, the ZAP handler, which authorises ZeroMQ connections.
//!
//! The other threads send commands to the engine through one queue with one wake-up.

mod access;
mod cache;
mod catalog;
mod clients;
mod command;
mod connection_limiter;
mod container_sockets;
mod declarations;
mod drop_log;
mod engine;
mod error;
mod handle;
mod http;
mod metrics;
mod permits;
mod query_result;
mod replicas;
mod replies;
mod settings;
mod sockets;
mod state;
mod tcp;
mod timeline;
mod traces;
mod way_back;
mod worker;
mod zap;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::UnixStream,
};

use transport::Waker;
use wire::BoundPorts;

pub use access::{Access, AccessError};
pub use error::Error;
#[cfg(fuzzing)]
pub use http::fuzzing;
pub use settings::{ClientProtocol, Ports, RedisAddressError, Settings};
pub use state::StateError;

use declarations::Declarations;
use drop_log::DropLog;
use engine::{Engine, Links};
use handle::EngineHandle;
use http::HttpThreads;
use replies::Replies;
use sockets::Sockets;
use state::StateThread;
use worker::WorkerThread;

/// A running query frontend. Dropping it stops it at once.
#[derive(Debug)]
pub struct Frontend {
    ports: BoundPorts,
    engine: WorkerThread<StopAtOnce, Result<(), Error>>,
    _http: HttpThreads,
    _state: StateThread,
}

impl Frontend {
    /// Binds all ports and starts the threads.
    ///
    /// # Errors
    /// If a port is in use, an access file is invalid or the state cannot be read.
    pub fn start(settings: &Settings) -> Result<Frontend, Error> {
        let address = address(&settings.bind)?;
        let credentials = settings.access.credentials(address)?;
        let drop_log = DropLog::default();
        let listen = |port, flag| listen(address, port, flag);
        let query = listen(settings.ports.query, "--query_port")?;
        let admin = listen(settings.ports.admin, "--admin_port")?;
        let (handle, inbox) = EngineHandle::channel(Waker::new()?);
        let curve = credentials.curve.as_ref();
        let (sockets, zmq_ports) = Sockets::bind(address, settings, curve, &drop_log, &handle)?;
        let ports = BoundPorts {
            query_port: query.local_addr()?.port(),
            admin_port: admin.local_addr()?.port(),
            ..zmq_ports
        };
        let state = state::open(settings, ports.rpc_service_port)?;
        let (stop, stop_signal) = UnixStream::pair()?;
        stop_signal.set_nonblocking(true)?;
        let (replies, reply_receiver) = Replies::channel();
        let declarations = Declarations::default();
        let links = Links {
            inbox,
            replies,
            replica_ids: state.replica_ids(),
            declarations: declarations.clone(),
            drop_log: drop_log.clone(),
        };
        let state = state.start(handle.clone())?;
        let engine = Engine::new(sockets, links, settings)?;
        let run = move || engine.run(&stop_signal);
        let engine = WorkerThread::spawn("engine", StopAtOnce(stop), run)?;
        let parts = http::HttpParts {
            query,
            admin,
            state: state.handle(),
            engine: handle,
            declarations,
            replies: reply_receiver,
            credentials,
            drop_log,
        };
        let http = http::start(parts, &settings.http)?;
        Ok(Frontend {
            ports,
            engine,
            _http: http,
            _state: state,
        })
    }

    /// Returns the bound ports.
    pub fn ports(&self) -> BoundPorts {
        self.ports
    }

    /// Returns a stream that stops the frontend when a byte is written to it. The frontend then
    /// refuses new queries and ends when the queries in flight have ended, after
    /// [`Settings::drain_seconds`] at the latest. At the second byte it ends at once.
    ///
    /// # Errors
    /// If no file descriptor is left.
    pub fn stopper(&self) -> std::io::Result<UnixStream> {
        self.engine.stop_handle().0.try_clone()
    }

    /// Waits until the frontend has stopped.
    ///
    /// # Errors
    /// If it stopped because a socket failed.
    pub fn wait(mut self) -> Result<(), Error> {
        let ended = self
            .engine
            .join()
            .expect("the engine thread is joined only here");
        ended.unwrap_or(Err(Error::Panicked))
    }
}

/// A stream whose drop stops the engine without a drain.
#[derive(Debug)]
struct StopAtOnce(UnixStream);

impl Drop for StopAtOnce {
    fn drop(&mut self) {
        // The engine may have stopped already.
        let _ = self.0.write_all(&[0, 0]);
    }
}

/// Resolves `bind` to an IPv4 address: libzmq needs a numeric one.
fn address(bind: &str) -> Result<Ipv4Addr, Error> {
    let found = (bind, 0).to_socket_addrs().ok();
    let v4 = found.into_iter().flatten().find_map(|found| match found {
        SocketAddr::V4(found) => Some(*found.ip()),
        SocketAddr::V6(_) => None,
    });
    v4.ok_or_else(|| Error::Address(bind.to_owned()))
}

fn listen(address: Ipv4Addr, port: u16, flag: &'static str) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind((address, port));
    let listener = listener.map_err(|error| Error::listen(address, port, flag, error))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
