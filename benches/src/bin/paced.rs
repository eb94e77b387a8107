//! A model server with a known service time: it sleeps, and leaves the cores to the others.
//!
//! A batch of `n` queries takes `start + n * each`, spread evenly over `1 - spread ..= 1 + spread`
//! times that.

use std::{
    num::NonZeroU64,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use container::ServerSettings;
use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};
use simulation::{Law, Random};

const SERVER: ServerSettings = ServerSettings {
    name: "paced",
    version: env!("CARGO_PKG_VERSION"),
    about: "Answers a batch after a known time, in which it sleeps",
    input_type: DataType::Floats,
    artifact: None,
};

#[derive(clap::Args)]
#[command(rename_all = "snake_case")]
struct Flags {
    /// Time of every batch, in microseconds
    #[arg(long, default_value_t = 2_000)]
    start: u64,
    /// Time of each query in a batch, in microseconds
    #[arg(long, default_value_t = 1_000)]
    each: u64,
    /// Largest deviation from that, as a share
    #[arg(long, default_value_t = 0.0)]
    spread: f64,
}

struct Paced {
    law: Law,
    random: Random,
}

impl Model for Paced {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "none".into(),
            device: "cpu".into(),
            threads: 1,
            output_type: DataType::Floats,
            ..ModelInfo::default()
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let ends = Instant::now() + self.law.draw(batch.len(), &mut self.random);
        thread::sleep(ends.saturating_duration_since(Instant::now()));
        Ok(vec![Ok(Output::Floats(vec![0.0])); batch.len()])
    }
}

fn main() -> ExitCode {
    container::main(SERVER, |_, flags: Flags| {
        // The kernel wakes a sleeping thread up to 50 us late unless this is set.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        Ok(Paced {
            law: Law {
                start: Duration::from_micros(flags.start),
                each: Duration::from_micros(flags.each),
                spread: flags.spread,
            },
            random: Random(u64::from(std::process::id())),
        })
    })
}
