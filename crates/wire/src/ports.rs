//! The line by which a frontend says where it listens: JSON on its standard output, once it is ready.

use serde::{Deserialize, Serialize};

/// The ports that a frontend has bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPorts {
    /// REST queries and metrics, 1337 by default.
    pub query_port: u16,
    /// Admin REST, 1338.
    pub admin_port: u16,
    /// Model servers of RPC version 3 and 4, 7000.
    pub rpc_service_port: u16,
    /// Model servers of Clipper's generation of 2017, 7002.
    pub rpc_2017_port: u16,
    /// Where model servers of Clipper's high-performance generation register and get their batches, 7010.
    pub rpc_send_port: u16,
    /// Where they answer, 7011.
    pub rpc_recv_port: u16,
    /// Where ZeroMQ clients connect and get their answers, 4455.
    pub send_port: u16,
    /// Where they send requests, 4456.
    pub recv_port: u16,
}

impl BoundPorts {
    /// Clipper's ports, which are the default.
    pub const DEFAULT: BoundPorts = BoundPorts {
        query_port: 1337,
        admin_port: 1338,
        rpc_service_port: 7000,
        rpc_2017_port: 7002,
        rpc_send_port: 7010,
        rpc_recv_port: 7011,
        send_port: 4455,
        recv_port: 4456,
    };
}
