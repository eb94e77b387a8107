//! Chores of the project; `cargo xtask --help` lists them.

mod artifacts;
mod folders;
mod networks;
mod photographs;
mod train;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use train::Classifier;

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Artifacts {
            dir,
            weights,
            network,
            ..
        } if !weights.is_empty() => artifacts::convert(&dir, &weights, network.as_deref()),
        Chore::Artifacts { dir, force, .. } => artifacts::make(&dir, force),
        Chore::StateDicts { dir } => artifacts::save_state_dicts(&dir),
        Chore::Train { source, model, dir } => match model {
            Some(one) => train::train(&[one], &source, &dir),
            None => train::train(&Classifier::ALL, &source, &dir),
        },
    }
}

/// Chores of the project.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Make the models' artifacts that are missing: seeded networks, and classifiers trained on their features.
    Artifacts {
        /// The folder to make them in.
        #[arg(long, default_value_os_t = folders::artifacts())]
        dir: PathBuf,
        /// Make those anew that are present.
        #[arg(long, conflicts_with = "weights")]
        force: bool,
        /// Make only the network whose weights these are, in place of the one that is there: a state dict of
        /// torchvision's vgg16 or inception_v3, as a .pth or .safetensors file. May be given again.
        #[arg(long, value_name = "FILE")]
        weights: Vec<PathBuf>,
        /// Which network the weights are of, if the names in the file do not tell.
        #[arg(long, requires = "weights", value_parser = networks::NAMES)]
        network: Option<String>,
    },
    /// Write the networks' seeded weights as torchvision state dicts, .safetensors: for reference values.
    #[command(name = "state_dicts")]
    StateDicts {
        /// The folder to write them in.
        dir: PathBuf,
    },
    /// Train svm and lgbm to tell labelled pictures apart, and test them on pictures that were held out.
    Train {
        #[command(flatten)]
        source: train::Source,
        /// Only this one
        #[arg(long, value_enum)]
        model: Option<Classifier>,
        /// The folder to write artifacts, held-out features and their labels to.
        #[arg(long, default_value_os_t = folders::artifacts())]
        dir: PathBuf,
    },
}
