//! The flags of the frontend.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use scheduler::{AdaptivePolicy, Rules};
use wire::{BoundPorts, query::Dialect};

use crate::access::Access;

/// Headings of the sections of `--help`.
const PORTS: &str = "Addresses and protocols";
const STATE: &str = "State";
const HTTP: &str = "HTTP";
const QUEUES: &str = "Queues and batches";
const TRACES: &str = "Traces";
const PROCESS: &str = "Process";

const AFTER_HELP: &str = "\
Example, with the no-op model:
  frontend &
  noop &
  A=localhost:1338/admin
  curl $A/add_app -d '{\"name\":\"demo\",\"input_type\":\"floats\",
    \"default_output\":\"none\",\"latency_slo_micros\":100000}'
  curl $A/add_model -d '{\"model_name\":\"noop\",\"model_version\":\"1\",\"labels\":[],
    \"input_type\":\"floats\",\"container_name\":\"noop\",\"model_data_path\":\"\",\"batch_size\":32}'
  curl $A/add_model_links -d '{\"app_name\":\"demo\",\"model_names\":[\"noop\"]}'
  curl localhost:1337/demo/predict -d '{\"input\":[1.0,2.0]}'

Signals: SIGTERM or SIGINT drains and stops (see --drain_seconds); a second signal stops at once.

Exit status:
  0    stopped by a signal, or by --exit_with_stdin
  1    failed to start, or a socket failed; standard error has one line with the cause
  2    invalid flags";

/// Query frontend for prediction serving, compatible with Clipper
///
/// Accepts queries over HTTP and ZeroMQ, batches them for the model servers that have registered,
/// and returns the models' outputs. A query that has no output by its latency objective gets the
/// application's default output. Applications, models and links are registered over the admin API
/// (--admin_port).
///
/// Prints its ports on standard output, as one line of JSON, when it is ready. The log goes to
/// standard error.
#[derive(Clone, Debug, Parser)]
#[command(name = "frontend", version, rename_all = "snake_case", after_help = AFTER_HELP)]
pub struct Settings {
    /// Address or host name to listen on (IPv4). An address that is not loopback requires tokens
    /// and CURVE keys, or --insecure
    #[arg(
        long,
        env = "CLIPPER_BIND",
        default_value = "127.0.0.1",
        value_name = "ADDRESS",
        help_heading = PORTS
    )]
    pub bind: String,
    /// The ports.
    #[command(flatten)]
    pub ports: Ports,
    /// File that keeps applications, models, versions and links across restarts [default: in memory
    /// only]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "RedisSettings",
        help_heading = STATE
    )]
    pub state: Option<PathBuf>,
    /// The Redis that several frontends can share.
    #[command(flatten)]
    pub redis: RedisSettings,
    /// Protocol of ZeroMQ clients that do not state one when they connect; Clipper's own clients
    /// never state one
    #[arg(
        long,
        value_enum,
        default_value_t = ClientProtocol::Of2017,
        value_name = "PROTOCOL",
        help_heading = PORTS
    )]
    pub client_protocol: ClientProtocol,
    /// File for the spans of traced queries, one line of OTLP JSON each [default: no traces]
    #[arg(long, value_name = "FILE", help_heading = TRACES)]
    pub trace_file: Option<PathBuf>,
    /// Trace one of every N queries
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = TRACES)]
    pub trace_every: u64,
    /// The HTTP servers.
    #[command(flatten)]
    pub http: HttpSettings,
    /// Size of the prediction cache, in bytes. A repeated input is answered from it, without the
    /// model [default: no cache]
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "BYTES",
        help_heading = QUEUES
    )]
    pub prediction_cache_size: usize,
    /// Queues and batches.
    #[command(flatten)]
    pub queues: QueueSettings,
    /// Largest frame of a ZeroMQ message, in MiB; the sender of a larger one is disconnected
    #[arg(
        long,
        default_value_t = 256,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1 << 20),
        help_heading = PORTS
    )]
    pub max_message_mib: u64,
    /// Time to finish the queries in flight after SIGTERM or SIGINT, in seconds; the rest get their
    /// default output. `docker stop` kills after 10 s
    #[arg(long, default_value_t = 8, value_name = "SECONDS", help_heading = PROCESS)]
    pub drain_seconds: u64,
    /// Tokens, TLS and CURVE keys.
    #[command(flatten)]
    pub access: Access,
    /// Stop when standard input ends, so that the frontend does not outlive the program that
    /// started it
    #[arg(long, help_heading = PROCESS)]
    pub exit_with_stdin: bool,
    /// Check a running frontend instead of starting one: exit with 0 if the frontend with the same
    /// flags answers on this machine, and with 1 otherwise
    #[arg(long, help_heading = PROCESS)]
    pub healthcheck: bool,
}

/// Settings of the HTTP servers. The first three flags and their defaults are Clipper's.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = HTTP)]
pub struct HttpSettings {
    /// Number of threads that serve HTTP
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub thread_pool_size: usize,
    /// Time for a request's header to arrive, in seconds; an idle connection is closed after the
    /// same time
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub timeout_request: u64,
    /// Time for a request's body to arrive, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout_content: u64,
    /// Largest body of a request, in MiB; larger ones are refused. The limit of the admin port is 1
    /// MiB at most
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    pub max_body_mib: usize,
    /// Connections per client address over HTTP, and as many again over ZeroMQ; further ones are
    /// closed at once
    #[arg(long, default_value_t = 2_048, value_name = "N")]
    pub max_connections: usize,
}

/// The flags that name a Redis.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = STATE)]
pub struct RedisSettings {
    /// Redis that keeps applications, models, versions and links; several frontends can share it
    #[arg(long = "redis", value_name = "HOST:PORT", conflicts_with_all = ["redis_ip", "redis_port"])]
    pub host_and_port: Option<String>,
    /// Host of Redis, as in Clipper: the same as --redis [default with --redis_port: localhost]
    #[arg(long, value_name = "HOST")]
    pub redis_ip: Option<String>,
    /// Port of Redis, as in Clipper [default with --redis_ip: 6379]
    #[arg(long, value_name = "PORT")]
    pub redis_port: Option<u16>,
}

/// The address of a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The error for a value of `--redis` that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an address of Redis: --redis takes HOST:PORT, such as localhost:6379")]
pub struct RedisAddressError(String);

impl RedisSettings {
    /// Returns the address, or `None` if no flag names a Redis.
    ///
    /// # Errors
    /// If `--redis` is not HOST:PORT.
    pub(crate) fn address(&self) -> Result<Option<RedisAddress>, RedisAddressError> {
        if let Some(text) = &self.host_and_port {
            let address = text.rsplit_once(':').and_then(|(host, port)| {
                Some(RedisAddress {
                    host: host.to_owned(),
                    port: port.parse().ok()?,
                })
            });
            return match address {
                Some(address) => Ok(Some(address)),
                None => Err(RedisAddressError(text.clone())),
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

/// Limits of the queues and the sizes of batches.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = QUEUES)]
pub struct QueueSettings {
    /// Longest queue of a model version, in queries; further queries are refused at once
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub max_queue: usize,
    /// Largest total of the inputs in the queue of a model version, in MiB; further queries are
    /// refused at once
    #[arg(long, default_value_t = 1_024, value_name = "MIB")]
    pub max_queue_mib: usize,
    /// Longest time that the replicas of a model version need for its queue, in seconds; further
    /// queries are refused at once [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub max_queue_seconds: Option<Duration>,
    /// Method to find the largest batch that meets the latency objective, for models with a batch
    /// size of -1
    #[arg(long, value_enum, default_value_t = BatchPolicy::Aimd, value_name = "POLICY")]
    pub batch_policy: BatchPolicy,
    /// Time that an idle replica waits for a fuller batch, in microseconds
    #[arg(long, default_value_t = 0, value_name = "MICROS")]
    pub batch_delay: u64,
    /// Shortest time after which a replica is taken to hang, in seconds; the limit is ten times the
    /// expected time of its batch, if that is longer
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub hang_after: u64,
}

/// Parses a number of seconds, which may have a fraction.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "not a number of seconds, such as 2 or 0.5".to_owned())
}

/// A method to find the largest batch that meets the latency objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BatchPolicy {
    /// Grows by one query after a full batch in time and shrinks by a tenth after a late one
    Aimd,
    /// Estimates the 99th percentile of the latency as a line over the batch size
    Quantile,
}

/// A generation of Clipper's ZeroMQ clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientProtocol {
    /// Clipper of 2017: an answer is the output alone
    #[value(name = "2017")]
    Of2017,
    /// Clipper's high-performance branch: an answer also has its length and the query's time stamps
    #[value(name = "highperf")]
    HighPerf,
}

impl Settings {
    /// Returns the dialect of clients that do not state one.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.client_protocol {
            ClientProtocol::Of2017 => Dialect::V2017,
            ClientProtocol::HighPerf => Dialect::HighPerf,
        }
    }

    /// Returns the scheduler's rules.
    pub(crate) fn rules(&self) -> Rules {
        let queues = &self.queues;
        Rules {
            max_queries: queues.max_queue,
            max_bytes: queues.max_queue_mib << 20,
            max_backlog: queues.max_queue_seconds,
            adaptive: match queues.batch_policy {
                BatchPolicy::Aimd => AdaptivePolicy::Aimd,
                BatchPolicy::Quantile => AdaptivePolicy::Quantile,
            },
            batch_delay: Duration::from_micros(queues.batch_delay),
            hang_floor: Duration::from_secs(queues.hang_after),
            ..Rules::default()
        }
    }
}

/// The ports; 0 chooses any free one.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = PORTS)]
pub struct Ports {
    /// HTTP: queries and metrics [port 0, here and below: any free port]
    #[arg(long = "query_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.query_port)]
    pub query: u16,
    /// HTTP: the admin API, which registers applications, models, versions and links
    #[arg(long = "admin_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.admin_port)]
    pub admin: u16,
    /// ZeroMQ: model servers of RPC versions 3 and 4
    #[arg(long = "rpc_service_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.rpc_service_port)]
    pub rpc_service: u16,
    /// ZeroMQ: model servers of Clipper's 2017 generation; a port of its own, because their first
    /// bytes look like version 3
    #[arg(long = "rpc_2017_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.rpc_2017_port)]
    pub rpc_2017: u16,
    /// ZeroMQ: model servers of Clipper's high-performance branch; they register and receive
    /// batches here
    #[arg(long = "rpc_send_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.rpc_send_port)]
    pub rpc_send: u16,
    /// ZeroMQ: the same model servers send their predictions here
    #[arg(long = "rpc_recv_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.rpc_recv_port)]
    pub rpc_recv: u16,
    /// ZeroMQ: clients connect and receive answers here
    #[arg(long = "send_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.send_port)]
    pub send: u16,
    /// ZeroMQ: clients send queries here
    #[arg(long = "recv_port", value_name = "PORT", default_value_t = BoundPorts::DEFAULT.recv_port)]
    pub recv: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_limits_the_queue_in_seconds() {
        let max_backlog = |flags: &[&str]| {
            let flags = ["frontend"].iter().chain(flags);
            Settings::try_parse_from(flags).map(|settings| settings.rules().max_backlog)
        };
        assert_eq!(max_backlog(&[]).unwrap(), None);
        let half = Some(Duration::from_millis(500));
        assert_eq!(max_backlog(&["--max_queue_seconds=0.5"]).unwrap(), half);
        let error = max_backlog(&["--max_queue_seconds=-1"]).unwrap_err();
        assert!(error.to_string().contains("not a number of seconds"));
    }
}
