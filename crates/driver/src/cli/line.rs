//! The command line as clap reads it: the flags of a sweep, and the subcommands with theirs.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser};
use clap_complete::Shell;
use deploy::models::{self, KnownModel};

use super::{
    flags::Flags,
    texts,
    values::{minutes, number, seconds},
};

/// Measures how fast a model serves predictions behind the query frontend.
///
/// Each combination of --num_replicas, --cpus_per_replica_nums and --batch_sizes is one point. For each point the
/// driver starts the frontend and the replicas, sends queries for --duration_seconds, and writes one result file. At
/// the end it prints a table and writes a report.
#[derive(Debug, Parser)]
#[command(
    name = "driver",
    version,
    max_term_width = 110,
    after_help = texts::FIRST_STEPS,
    after_long_help = texts::SWEEPS,
    args_conflicts_with_subcommands = true
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) sweep: Flags,
    #[command(subcommand)]
    pub(super) subcommand: Option<Subcommand>,
}

/// Subcommands of the driver; a command line without one is a sweep.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Measure several models within a time limit; `make run` runs it
    #[command(after_help = texts::SURVEY)]
    Survey(SurveyArgs),
    /// Measure the load generator itself, against a server that only answers
    #[command(after_help = texts::SELF_TEST)]
    SelfTest(SelfTestArgs),
    /// Write report.html, summary.csv and summary.md of a sweep again, from its result files
    #[command(after_help = texts::REPORT)]
    Report {
        /// Folder of a sweep, or any folder with result files
        dir: PathBuf,
    },
    /// Compare two sweeps point by point: the ratio B / A with its 95 % confidence interval
    #[command(after_help = texts::COMPARE)]
    Compare(CompareArgs),
    /// Print one table of result files, those of the original driver included
    #[command(after_help = texts::IMPORT)]
    Import {
        /// Result files, or folders with result files, of the original driver or of this one
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Remove the Docker containers and networks of killed drivers
    #[command(after_help = texts::CLEAN)]
    Clean {
        /// Remove those of drivers that still run, too
        #[arg(long)]
        all: bool,
    },
    /// Print the JSON Schema of a result file
    #[command(after_help = texts::SCHEMA)]
    Schema,
    /// Print the completion script of a shell
    #[command(after_help = texts::COMPLETIONS)]
    Completions {
        /// Shell that reads the script
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = texts::MAN)]
    Man,
}

/// Flags of `driver survey`.
#[derive(Clone, Debug, Args)]
pub struct SurveyArgs {
    /// Models to measure, in this order
    #[arg(
        long,
        value_name = "NAME",
        num_args = 1..,
        default_values = ["vgg", "inception", "svm", "lgbm"],
        value_parser = models::find
    )]
    pub models: Vec<&'static KnownModel>,
    /// Time limit of the survey, in minutes, without the time to build programs
    #[arg(
        long = "minutes",
        value_name = "MINUTES",
        default_value = "10",
        allow_negative_numbers = true,
        value_parser = minutes
    )]
    pub limit: Duration,
    /// Numbers of replicas to try
    // `String`s, like the next flag: the command lines of the sweeps repeat them.
    #[arg(long = "num_replicas", value_name = "N", num_args = 1.., default_values = ["1", "2"])]
    pub num_replicas: Vec<String>,
    /// Maximum batch sizes to try, in queries
    #[arg(long = "batch_sizes", value_name = "N", num_args = 1.., default_values = ["1", "4"])]
    pub batch_sizes: Vec<String>,
    /// Folder of JPEG and PNG files to send to vgg and inception [default: random pictures]
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Folder that holds one folder for each sweep [default: results/ at the root of the workspace, else in the
    /// current folder]
    #[arg(long = "results_dir", value_name = "DIR")]
    pub results_dir: Option<PathBuf>,
    /// Print plain lines instead of the live view
    #[arg(long)]
    pub plain: bool,
}

/// Flags of `driver self-test`.
#[derive(Clone, Debug, Args)]
pub struct SelfTestArgs {
    /// Number of client threads that send queries
    #[arg(short = 'n', long = "num_clients", value_name = "N", default_value = "1", value_parser = number)]
    pub num_clients: usize,
    /// Sizes of an input, in bytes; each is measured separately
    #[arg(long = "input_bytes", value_name = "BYTES", default_values_t = [40, 8192, 602112])]
    pub input_bytes: Vec<usize>,
    /// Queries in flight, over all client threads
    #[arg(long = "in_flight", value_name = "N", default_value = "64", value_parser = number)]
    pub in_flight: usize,
    /// Duration of each measurement, in seconds
    #[arg(
        short,
        long = "duration_seconds",
        value_name = "SECONDS",
        default_value = "2",
        value_parser = seconds
    )]
    pub duration: Duration,
}

/// Flags of `driver compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Folder of sweep A, the reference
    pub a: PathBuf,
    /// Folder of sweep B
    pub b: PathBuf,
    /// Exit with status 1 if the throughput of a point is significantly below this share of A's
    ///
    /// The same limit holds for the max queries/s within SLO. A point that cannot be judged fails.
    #[arg(long = "fail_below", value_name = "SHARE")]
    pub fail_below: Option<f64>,
    /// Exit with status 1 if the p99 latency of a point is significantly above this multiple of A's
    ///
    /// A point that cannot be judged fails. After a search (--slo_ms) the p99s belong to different rates: use
    /// --fail_below.
    #[arg(long = "fail_above", value_name = "MULTIPLE")]
    pub fail_above: Option<f64>,
    /// Let points pass that cannot be judged
    ///
    /// Such points are missing, NOT RUN, INVALID, without a confidence interval, or have a p99 at another load.
    #[arg(long = "allow_missing")]
    pub allow_missing: bool,
    /// Also write a JUnit file with one test case for each point
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
