//! The engine's ZeroMQ sockets: ROUTERs all.

use std::net::Ipv4Addr;

use wire::BoundPorts;

use crate::{
    access::Curve,
    connection_limiter::{self, ConnectionLimiter},
    container_sockets::{ContainerSockets, RouterSocket},
    drop_log::DropLog,
    error::Error,
    permits::Permits,
    settings::Settings,
    zap::{self, CLIENTS, CONTAINERS, ZapHandler},
};

/// Milliseconds in which who connects must say what it speaks, and who it is.
const HANDSHAKE: i32 = 5_000;

/// Seconds of silence after which the kernel asks whether the other end is there, and how long and often it asks.
const KEEPALIVE: [i32; 3] = [30, 10, 3];

/// The engine's sockets.
pub(crate) struct Sockets {
    /// Model servers.
    pub(crate) containers: ContainerSockets,
    /// Clients: connects in, answers out.
    pub(crate) answers: RouterSocket,
    /// Clients: requests in.
    pub(crate) requests: RouterSocket,
    /// Ends after the sockets, as the ZAP handler does.
    _connection_limiter: ConnectionLimiter,
    _zap_handler: Option<ZapHandler>,
}

/// What every socket is made with.
struct Maker<'a> {
    context: zmq::Context,
    address: Ipv4Addr,
    largest: i64,
    curve: Option<&'a Curve>,
    /// What tells of the connections of each socket.
    monitors: Vec<zmq::Socket>,
}

impl Sockets {
    /// Binds them, and returns the ports that they got; those of HTTP are the settings'.
    pub(crate) fn bind(
        address: Ipv4Addr,
        settings: &Settings,
        curve: Option<&Curve>,
        drop_log: &DropLog,
    ) -> Result<(Sockets, BoundPorts), Error> {
        let context = zmq::Context::new();
        let zap_handler = curve.map(|curve| zap::start(&context, curve, drop_log.clone()));
        let zap_handler = zap_handler.transpose()?;
        let mut maker = Maker {
            monitors: Vec::new(),
            context,
            address,
            largest: i64::try_from(settings.max_message_mib << 20).unwrap_or(i64::MAX),
            curve,
        };
        let ports = settings.ports;
        let (rpc, rpc_service_port) =
            maker.router(CONTAINERS, ports.rpc_service, "--rpc_service_port")?;
        let (of_2017, rpc_2017_port) =
            maker.router(CONTAINERS, ports.rpc_2017, "--rpc_2017_port")?;
        let (high_perf, rpc_send_port) =
            maker.router(CONTAINERS, ports.rpc_send, "--rpc_send_port")?;
        let (returns, rpc_recv_port) =
            maker.router(CONTAINERS, ports.rpc_recv, "--rpc_recv_port")?;
        let (answers, send_port) = maker.router(CLIENTS, ports.send, "--send_port")?;
        let (requests, recv_port) = maker.router(CLIENTS, ports.recv, "--recv_port")?;
        let permits = Permits::new(settings.http.max_connections);
        let connection_limiter =
            connection_limiter::start(maker.monitors, permits, drop_log.clone())?;
        let sockets = Sockets {
            containers: ContainerSockets::new([rpc, of_2017, high_perf, returns]),
            answers,
            requests,
            _connection_limiter: connection_limiter,
            _zap_handler: zap_handler,
        };
        let ports = BoundPorts {
            query_port: ports.query,
            admin_port: ports.admin,
            rpc_service_port,
            rpc_2017_port,
            rpc_send_port,
            rpc_recv_port,
            send_port,
            recv_port,
        };
        Ok((sockets, ports))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RouterSocket> {
        let clients = [&mut self.answers, &mut self.requests];
        self.containers.iter_mut().chain(clients)
    }
}

impl Maker<'_> {
    /// A socket that listens, for peers of one kind; and its port.
    fn router(
        &mut self,
        domain: &str,
        port: u16,
        flag: &'static str,
    ) -> Result<(RouterSocket, u16), Error> {
        let socket = self.context.socket(zmq::ROUTER)?;
        // Without it a message to a peer that is gone, or does not read, would vanish without a word.
        socket.set_router_mandatory(true)?;
        // Long enough for a goodbye.
        socket.set_linger(200)?;
        socket.set_sndhwm(100_000)?;
        socket.set_maxmsgsize(self.largest)?;
        // Connections that are only half there go.
        let [idle, interval, count] = KEEPALIVE;
        socket.set_handshake_ivl(HANDSHAKE)?;
        socket.set_tcp_keepalive(1)?;
        socket.set_tcp_keepalive_idle(idle)?;
        socket.set_tcp_keepalive_intvl(interval)?;
        socket.set_tcp_keepalive_cnt(count)?;
        if let Some(curve) = self.curve {
            curve.keys.serve(&socket, domain)?;
        }
        let port_or_any = if port == 0 {
            "*".into()
        } else {
            port.to_string()
        };
        self.monitors
            .push(connection_limiter::monitor(&self.context, &socket, flag)?);
        let address = self.address;
        socket
            .bind(&format!("tcp://{address}:{port_or_any}"))
            .map_err(|error| Error::listen(address, port, flag, error))?;
        let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
        let bound = endpoint.rsplit(':').next();
        let bound = bound.and_then(|port| port.parse().ok());
        let bound = bound.expect("a bound socket has a port");
        Ok((RouterSocket::new(socket)?, bound))
    }
}
