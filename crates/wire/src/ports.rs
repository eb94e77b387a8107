//! Ports of a frontend, which it prints as a line of JSON on standard output once it is ready.

use serde::{Deserialize, Serialize};

/// Ports that a frontend has bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPorts {
    /// REST queries and metrics; 1337 by default.
    pub query_port: u16,
    /// Admin REST API; 1338 by default.
    pub admin_port: u16,
    /// Model servers of RPC versions 3 and 4; 7000 by default.
    pub rpc_service_port: u16,
    /// Model servers of Clipper's generation of 2017; 7002 by default.
    pub rpc_2017_port: u16,
    /// Registrations and batches of model servers of Clipper's high-performance generation; 7010 by
    /// default.
    pub rpc_send_port: u16,
    /// Responses of these model servers; 7011 by default.
    pub rpc_recv_port: u16,
    /// Connect messages and answers of ZeroMQ clients; 4455 by default.
    pub send_port: u16,
    /// Requests of ZeroMQ clients; 4456 by default.
    pub recv_port: u16,
}

impl BoundPorts {
    /// Flags of a frontend that bind every port to a free one.
    pub const FREE: [&str; 8] = [
        "--query_port=0",
        "--admin_port=0",
        "--rpc_service_port=0",
        "--rpc_2017_port=0",
        "--rpc_send_port=0",
        "--rpc_recv_port=0",
        "--send_port=0",
        "--recv_port=0",
    ];

    /// Default ports, which are Clipper's.
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
