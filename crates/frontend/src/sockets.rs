//! The engine's ZeroMQ sockets: ROUTERs all.

use std::net::Ipv4Addr;

use anyhow::Context;

use crate::{
    doors::{Door, Doors},
    settings::{Ports, cannot_listen},
};

/// Bytes of the largest frame that is received; a peer that sends more is disconnected.
const LARGEST_FRAME: i64 = 1 << 30;

/// The engine's sockets.
pub(crate) struct Sockets {
    /// Model servers.
    pub(crate) doors: Doors,
    /// Clients: connects in, answers out.
    pub(crate) answers: Door,
    /// Clients: requests in.
    pub(crate) requests: Door,
}

impl Sockets {
    /// Binds them; answers the ports that they got.
    pub(crate) fn bind(address: Ipv4Addr, ports: Ports) -> anyhow::Result<(Sockets, Ports)> {
        let context = zmq::Context::new();
        let bind = |port, flag| router(&context, address, port, flag);
        let (rpc, rpc_service) = bind(ports.rpc_service, "--rpc_service_port")?;
        let (of_2017, rpc_2017) = bind(ports.rpc_2017, "--rpc_2017_port")?;
        let (high_perf, rpc_send) = bind(ports.rpc_send, "--rpc_send_port")?;
        let (returns, rpc_recv) = bind(ports.rpc_recv, "--rpc_recv_port")?;
        let (answers, send) = bind(ports.send, "--send_port")?;
        let (requests, recv) = bind(ports.recv, "--recv_port")?;
        let sockets = Sockets {
            doors: Doors::new([rpc, of_2017, high_perf, returns]),
            answers,
            requests,
        };
        let ports = Ports {
            rpc_service,
            rpc_2017,
            rpc_send,
            rpc_recv,
            send,
            recv,
            ..ports
        };
        Ok((sockets, ports))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Door> {
        let clients = [&mut self.answers, &mut self.requests];
        self.doors.iter_mut().chain(clients)
    }
}

fn router(
    context: &zmq::Context,
    address: Ipv4Addr,
    port: u16,
    flag: &str,
) -> anyhow::Result<(Door, u16)> {
    let socket = context.socket(zmq::ROUTER)?;
    // Without it a message to a peer that is gone, or does not read, would vanish without a word.
    socket.set_router_mandatory(true)?;
    // Long enough for a goodbye.
    socket.set_linger(200)?;
    socket.set_sndhwm(100_000)?;
    socket.set_maxmsgsize(LARGEST_FRAME)?;
    let port_or_any = if port == 0 {
        "*".into()
    } else {
        port.to_string()
    };
    socket
        .bind(&format!("tcp://{address}:{port_or_any}"))
        .with_context(|| cannot_listen(address, port, flag))?;
    let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
    let bound = endpoint
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    Ok((
        Door::new(socket)?,
        bound.context("a bound socket has a port")?,
    ))
}
