//! The command line as clap reads it: a sweep's flags, and the other commands with theirs.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use deploy::models::{self, KnownModel};

use super::{
    flags::Flags,
    texts,
    values::{minutes, number, seconds},
};

/// Measures a model behind the query frontend: deploys it, loads it, and writes one result file per point.
///
/// Every combination of --num_replicas, --cpus_per_replica_nums and --batch_sizes is one point.
#[derive(Debug, Parser)]
#[command(
    name = "driver",
    version,
    max_term_width = 110,
    after_help = texts::FIRST_STEPS,
    after_long_help = texts::SWEEPS,
    args_conflicts_with_subcommands = true
)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) sweep: Flags,
    #[command(subcommand)]
    pub(super) other: Option<Other>,
}

/// What the driver does besides measuring.
#[derive(Clone, Debug, Subcommand)]
pub enum Other {
    /// Measure all models briefly, each for as long as it needs within a limit of time: what `make run` does
    #[command(after_help = texts::SURVEY)]
    Survey(Survey),
    /// Measure the load generator itself: how many queries a second it can send to a server that only answers
    #[command(after_help = texts::SELF_TEST)]
    SelfTest(SelfTest),
    /// Write the report of a sweep anew: report.html, summary.csv and summary.md in its folder
    #[command(after_help = texts::REPORT)]
    Report {
        /// The folder of a sweep, or one with result files
        dir: PathBuf,
    },
    /// Compare two sweeps point by point: the ratio B / A with its 95 % interval
    #[command(after_help = texts::COMPARE)]
    Compare(Compare),
    /// Show result files of the original driver in one table with ours, and say what they lack
    #[command(after_help = texts::IMPORT)]
    Import {
        /// Result files, or folders with them: the original's and ours
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Remove the containers and networks that a driver left which was killed
    #[command(after_help = texts::CLEAN)]
    Clean {
        /// Those of drivers that still run, too
        #[arg(long)]
        all: bool,
    },
    /// Print the JSON Schema of a result file
    #[command(after_help = texts::SCHEMA)]
    Schema,
    /// Print the completions of a shell
    #[command(after_help = texts::COMPLETIONS)]
    Completions {
        /// The shell that reads them
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = texts::MAN)]
    Man,
}

/// The flags of a survey.
#[derive(Clone, Debug, Args)]
pub struct Survey {
    /// The models, one after the other
    #[arg(
        long,
        value_name = "NAME",
        num_args = 1..,
        default_values = ["vgg", "inception", "svm", "lgbm"],
        value_parser = models::find
    )]
    pub models: Vec<&'static KnownModel>,
    /// How long the whole survey may take, in minutes, without the time to build programs
    #[arg(
        long = "minutes",
        value_name = "MINUTES",
        default_value = "10",
        allow_negative_numbers = true,
        value_parser = minutes
    )]
    pub limit: Duration,
    /// Numbers of replicas to try
    // As text, like the next one: the command lines of the sweeps repeat it.
    #[arg(long = "num_replicas", num_args = 1.., default_values = ["1", "2"])]
    pub num_replicas: Vec<String>,
    /// Maximum batch sizes to try
    #[arg(long = "batch_sizes", num_args = 1.., default_values = ["1", "4"])]
    pub batch_sizes: Vec<String>,
    /// A folder of JPEG and PNG files for vgg and inception [default: random pictures]
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Where sweeps' folders go [default: results/]
    #[arg(long = "results_dir", value_name = "DIR")]
    pub results_dir: Option<PathBuf>,
    /// Plain lines instead of the live view
    #[arg(long)]
    pub plain: bool,
}

/// What a self-test is told.
#[derive(Clone, Debug, Args)]
pub struct SelfTest {
    /// Client threads
    #[arg(short = 'n', long = "num_clients", default_value = "1", value_parser = number)]
    pub num_clients: usize,
    /// Bytes of an input
    #[arg(long = "input_bytes", default_values_t = [40, 8192, 602112])]
    pub input_bytes: Vec<usize>,
    /// Queries in flight
    #[arg(long = "in_flight", default_value = "64", value_parser = number)]
    pub in_flight: usize,
    /// Seconds for each measurement
    #[arg(
        short,
        long = "duration_seconds",
        value_name = "SECONDS",
        default_value = "2",
        value_parser = seconds
    )]
    pub duration: Duration,
}

/// What a comparison is told.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The folder of the first sweep: what is compared against
    pub a: PathBuf,
    /// The folder of the second one
    pub b: PathBuf,
    /// Exit status 1 if the throughput of some point, or its highest rate within the objective, is below this share of
    /// the first sweep's, significantly, or cannot be judged
    #[arg(long = "fail_below", value_name = "SHARE")]
    pub fail_below: Option<f64>,
    /// Exit status 1 if the p99 of some point is above this multiple of the first sweep's, significantly, or cannot be
    /// judged. After a search (--slo_ms) the p99s are at different rates: use --fail_below
    #[arg(long = "fail_above", value_name = "MULTIPLE")]
    pub fail_above: Option<f64>,
    /// Let points pass that cannot be judged: missing, NOT RUN, INVALID, without an interval, or a p99 at another load
    #[arg(long = "allow_missing")]
    pub allow_missing: bool,
    /// Write a JUnit file too, with a test case for each point
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
