//! Binds the engine's ZeroMQ sockets, which are all ROUTERs.

use std::net::Ipv4Addr;

use wire::BoundPorts;

use crate::{
    access::CurveAccess,
    connection_limiter::{self, ConnectionLimiter, Monitor},
    container_sockets::{
        ContainerPort::{self, Rpc, Rpc2017, RpcRecv, RpcSend},
        ContainerSockets, RouterSocket,
    },
    drop_log::DropLog,
    error::Error,
    handle::EngineHandle,
    permits::Permits,
    settings::Settings,
    zap::{self, CLIENTS, CONTAINERS, ZapHandler},
};

/// Maximum time of the ZeroMQ handshake, in milliseconds.
const HANDSHAKE_MS: i32 = 5_000;

/// TCP keep-alive: idle time and interval in seconds, and number of probes.
const KEEPALIVE: [i32; 3] = [30, 10, 3];

/// The engine's sockets.
pub(crate) struct Sockets {
    /// Sockets for model servers.
    pub(crate) containers: ContainerSockets,
    /// Receives connect messages of clients, and sends answers to them.
    pub(crate) answers: RouterSocket,
    /// Receives requests of clients.
    pub(crate) requests: RouterSocket,
    /// Dropped after the sockets, like the ZAP handler.
    _connection_limiter: ConnectionLimiter,
    _zap_handler: Option<ZapHandler>,
}

/// Creates and binds the sockets.
struct SocketBuilder<'a> {
    context: zmq::Context,
    address: Ipv4Addr,
    /// Maximum size of a message, in bytes.
    max_message: i64,
    curve: Option<&'a CurveAccess>,
    /// Report the connections of each socket.
    monitors: Vec<Monitor>,
}

impl Sockets {
    /// Binds the sockets. Returns them with the bound ports; the HTTP ports are those of the
    /// settings.
    pub(crate) fn bind(
        address: Ipv4Addr,
        settings: &Settings,
        curve: Option<&CurveAccess>,
        drop_log: &DropLog,
        engine: &EngineHandle,
    ) -> Result<(Sockets, BoundPorts), Error> {
        let context = zmq::Context::new();
        let zap_handler = curve.map(|curve| zap::start(&context, curve, drop_log.clone()));
        let zap_handler = zap_handler.transpose()?;
        let mut builder = SocketBuilder {
            monitors: Vec::new(),
            context,
            address,
            max_message: i64::try_from(settings.max_message_mib << 20).unwrap_or(i64::MAX),
            curve,
        };
        let ports = settings.ports;
        let (rpc, rpc_service_port) =
            builder.router(Some(Rpc), ports.rpc_service, "--rpc_service_port")?;
        let (rpc_2017, rpc_2017_port) =
            builder.router(Some(Rpc2017), ports.rpc_2017, "--rpc_2017_port")?;
        let (rpc_send, rpc_send_port) =
            builder.router(Some(RpcSend), ports.rpc_send, "--rpc_send_port")?;
        let (rpc_recv, rpc_recv_port) =
            builder.router(Some(RpcRecv), ports.rpc_recv, "--rpc_recv_port")?;
        let (answers, send_port) = builder.router(None, ports.send, "--send_port")?;
        let (requests, recv_port) = builder.router(None, ports.recv, "--recv_port")?;
        let permits = Permits::new(settings.http.max_connections);
        let connection_limiter =
            connection_limiter::start(builder.monitors, permits, drop_log.clone(), engine.clone())?;
        let sockets = Sockets {
            containers: ContainerSockets::new([rpc, rpc_2017, rpc_send, rpc_recv]),
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

impl SocketBuilder<'_> {
    /// Binds a socket for clients, or for model servers. Returns it with its port.
    fn router(
        &mut self,
        containers: Option<ContainerPort>,
        port: u16,
        flag: &'static str,
    ) -> Result<(RouterSocket, u16), Error> {
        let socket = self.context.socket(zmq::ROUTER)?;
        // Otherwise a message to a peer that is disconnected or does not read is dropped silently.
        socket.set_router_mandatory(true)?;
        // Time to send goodbyes when the frontend stops, in milliseconds.
        socket.set_linger(200)?;
        socket.set_sndhwm(100_000)?;
        socket.set_maxmsgsize(self.max_message)?;
        // Closes connections that are half-open or do not finish the handshake.
        let [idle, interval, count] = KEEPALIVE;
        socket.set_handshake_ivl(HANDSHAKE_MS)?;
        socket.set_tcp_keepalive(1)?;
        socket.set_tcp_keepalive_idle(idle)?;
        socket.set_tcp_keepalive_intvl(interval)?;
        socket.set_tcp_keepalive_cnt(count)?;
        if let Some(curve) = self.curve {
            let domain = containers.map_or(CLIENTS, |_| CONTAINERS);
            curve.keys.serve(&socket, domain)?;
        }
        let port_or_any = if port == 0 {
            "*".into()
        } else {
            port.to_string()
        };
        self.monitors.push(Monitor {
            socket: connection_limiter::monitor(&self.context, &socket, flag)?,
            containers,
        });
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
