//! What the frontend is told.

use std::path::PathBuf;

use clap::Parser;

/// The Clipper-compatible query frontend: queues queries, forms batches, sends them to model servers.
///
/// Prints one line of JSON with its ports on standard output when it is ready; its log goes to standard error.
#[derive(Clone, Debug, Parser)]
#[command(name = "frontend", version, rename_all = "snake_case")]
pub struct Settings {
    /// The address to listen on; 0.0.0.0 opens all ports to the network
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: String,
    /// The ports.
    #[command(flatten)]
    pub ports: Ports,
    /// Keep applications, models, versions and links in this file [default: in memory]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// End when standard input ends: for whoever starts a frontend and must leave none behind
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// The ports, each 0 for any that is free.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct Ports {
    /// REST: queries and metrics
    #[arg(long = "query_port", default_value_t = 1337)]
    pub query: u16,
    /// REST: applications, models, versions, links
    #[arg(long = "admin_port", default_value_t = 1338)]
    pub admin: u16,
    /// ZeroMQ: model servers
    #[arg(long = "rpc_service_port", default_value_t = 7000)]
    pub rpc_service: u16,
    /// ZeroMQ: clients connect and get their answers
    #[arg(long = "send_port", default_value_t = 4455)]
    pub send: u16,
    /// ZeroMQ: clients send their requests
    #[arg(long = "recv_port", default_value_t = 4456)]
    pub recv: u16,
}
