//! What the frontend is told.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use scheduler::{Adaptive, Rules};
use wire::{BoundPorts, query::Dialect};

use crate::access::Access;

const EXIT: &str = "\
Exit status:
  0    stopped by SIGTERM or SIGINT: queries under way were finished for --drain_seconds, or got their default output;
       a second signal skips the wait
  1    could not start, or a socket failed: one line on standard error
  2    a flag that makes no sense";

/// The Clipper-compatible query frontend: queues queries, forms batches, sends them to model servers.
///
/// Prints one line of JSON with its ports on standard output when it is ready; its log goes to standard error.
#[derive(Clone, Debug, Parser)]
#[command(name = "frontend", version, rename_all = "snake_case", after_help = EXIT)]
pub struct Settings {
    /// The address to listen on; beyond this machine only with tokens and CURVE, or with --insecure
    #[arg(long, env = "CLIPPER_BIND", default_value = "127.0.0.1")]
    pub bind: String,
    /// The ports.
    #[command(flatten)]
    pub ports: Ports,
    /// Keep applications, models, versions and links in this file [default: in memory]
    #[arg(long, value_name = "FILE", conflicts_with = "Redis")]
    pub state: Option<PathBuf>,
    /// Redis, where frontends can share what is registered.
    #[command(flatten)]
    pub redis: Redis,
    /// What ZeroMQ clients speak that do not say it when they connect, as Clipper's do not
    #[arg(long, value_enum, default_value_t = ClientProtocol::Of2017)]
    pub client_protocol: ClientProtocol,
    /// Write the spans of queries to this file, a line of OTLP's JSON each
    #[arg(long, value_name = "FILE")]
    pub trace_file: Option<PathBuf>,
    /// Trace one query in so many
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub trace_every: u64,
    /// The HTTP servers.
    #[command(flatten)]
    pub http: Http,
    /// Bytes of outputs to keep, so that an input that comes again is answered without the model [default: none]
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "BYTES"
    )]
    pub prediction_cache_size: usize,
    /// Queues and batches.
    #[command(flatten)]
    pub queues: Queues,
    /// MiB that a frame of a ZeroMQ message may have; who sends a larger one is disconnected
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_message_mib: u64,
    /// Seconds to finish what is under way after SIGTERM or SIGINT; what is left then gets its default output. Docker kills
    /// after 10
    #[arg(long, default_value_t = 8, value_name = "SECONDS")]
    pub drain_seconds: u64,
    /// Who may come in.
    #[command(flatten)]
    pub access: Access,
    /// End when standard input ends: for whoever starts a frontend and must leave none behind
    #[arg(long)]
    pub exit_with_stdin: bool,
    /// Serve nothing, but exit with status 0 if the frontend with these flags answers on this machine, with 1 if it does not
    #[arg(long)]
    pub healthcheck: bool,
}

/// How HTTP is served. The first three flags are Clipper's, and so are their defaults.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct Http {
    /// Threads that serve HTTP
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub thread_pool_size: usize,
    /// Seconds to wait on a connection for a request's header; so long a connection may be idle
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub timeout_request: u64,
    /// Seconds that a request's body may take to come
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout_content: u64,
    /// MiB that a request's body may have (at the admin port 1 at most); larger ones are refused
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    pub max_body_mib: usize,
    /// Connections that one address may have, over HTTP and as many over ZeroMQ; more of them are closed at once
    #[arg(long, default_value_t = 2_048, value_name = "N")]
    pub max_connections: usize,
}

/// Where Redis listens, if it is used.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct Redis {
    /// Share applications, models, versions and links with other frontends, in this Redis
    #[arg(long = "redis", value_name = "HOST:PORT", conflicts_with_all = ["redis_ip", "redis_port"])]
    pub host_and_port: Option<String>,
    /// The same in Clipper's words; localhost if only the port is given
    #[arg(long)]
    pub redis_ip: Option<String>,
    /// Its port; 6379 if only the address is given
    #[arg(long)]
    pub redis_port: Option<u16>,
}

/// Where Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A text that is no address of Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of Redis: --redis takes HOST:PORT, such as localhost:6379")]
pub struct NoRedisAddress(String);

impl Redis {
    /// The address, if Redis is used.
    ///
    /// # Errors
    /// If `--redis` is not HOST:PORT.
    pub(crate) fn address(&self) -> Result<Option<RedisAddress>, NoRedisAddress> {
        if let Some(text) = &self.host_and_port {
            let address = text.rsplit_once(':').and_then(|(host, port)| {
                Some(RedisAddress {
                    host: host.to_owned(),
                    port: port.parse().ok()?,
                })
            });
            return match address {
                Some(address) => Ok(Some(address)),
                None => Err(NoRedisAddress(text.clone())),
            };
        }
        if self.redis_ip.is_none() && self.redis_port.is_none() {
            return Ok(None);
        }
        let host = self.redis_ip.as_deref().unwrap_or("localhost");
        Ok(Some(RedisAddress {
            host: host.to_owned(),
            port: self.redis_port.unwrap_or(6379),
        }))
    }
}

/// How long queues may grow, and how large batches are.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct Queues {
    /// Queries that may wait for one model version; more are refused at once
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub max_queue: usize,
    /// MiB of inputs that may wait for one model version
    #[arg(long, default_value_t = 1_024, value_name = "MIB")]
    pub max_queue_mib: usize,
    /// How to find the largest batch that meets the latency objective, for models with a batch size of -1
    #[arg(long, value_enum, default_value_t = Policy::Aimd)]
    pub batch_policy: Policy,
    /// Microseconds that an idle replica waits for a fuller batch
    #[arg(long, default_value_t = 0, value_name = "MICROS")]
    pub batch_delay: u64,
    /// Seconds before a batch can be taken to hang; later if the replica has had slower ones
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub hang_after: u64,
}

/// A way to find the largest batch that meets the latency objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// One query more after a full batch in time, a tenth fewer after one that is late
    Aimd,
    /// From an estimate of the 99th percentile of the latency by batch size
    Quantile,
}

/// A generation of Clipper's ZeroMQ clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientProtocol {
    /// Of 2017: an answer is its output
    #[value(name = "2017")]
    Of2017,
    /// High-performance: an answer has its length and the query's time stamps
    #[value(name = "highperf")]
    HighPerf,
}

impl Settings {
    /// The dialect of clients that do not say theirs.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.client_protocol {
            ClientProtocol::Of2017 => Dialect::V2017,
            ClientProtocol::HighPerf => Dialect::HighPerf,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        let queues = &self.queues;
        Rules {
            max_queries: queues.max_queue,
            max_bytes: queues.max_queue_mib << 20,
            adaptive: match queues.batch_policy {
                Policy::Aimd => Adaptive::Aimd,
                Policy::Quantile => Adaptive::Quantile,
            },
            batch_delay: Duration::from_micros(queues.batch_delay),
            hang_floor: Duration::from_secs(queues.hang_after),
            ..Rules::default()
        }
    }
}

/// The ports, each 0 for any that is free.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct Ports {
    /// REST: queries and metrics
    #[arg(long = "query_port", default_value_t = BoundPorts::DEFAULT.query_port)]
    pub query: u16,
    /// REST: applications, models, versions, links
    #[arg(long = "admin_port", default_value_t = BoundPorts::DEFAULT.admin_port)]
    pub admin: u16,
    /// ZeroMQ: model servers of RPC version 3 and 4
    #[arg(long = "rpc_service_port", default_value_t = BoundPorts::DEFAULT.rpc_service_port)]
    pub rpc_service: u16,
    /// ZeroMQ: model servers of Clipper's generation of 2017; they cannot be told from version 3 in time
    #[arg(long = "rpc_2017_port", default_value_t = BoundPorts::DEFAULT.rpc_2017_port)]
    pub rpc_2017: u16,
    /// ZeroMQ: model servers of Clipper's high-performance generation register and get their batches
    #[arg(long = "rpc_send_port", default_value_t = BoundPorts::DEFAULT.rpc_send_port)]
    pub rpc_send: u16,
    /// ZeroMQ: they answer
    #[arg(long = "rpc_recv_port", default_value_t = BoundPorts::DEFAULT.rpc_recv_port)]
    pub rpc_recv: u16,
    /// ZeroMQ: clients connect and get their answers
    #[arg(long = "send_port", default_value_t = BoundPorts::DEFAULT.send_port)]
    pub send: u16,
    /// ZeroMQ: clients send their requests
    #[arg(long = "recv_port", default_value_t = BoundPorts::DEFAULT.recv_port)]
    pub recv: u16,
}
