//! Development tasks of the project; `cargo xtask --help` lists them.

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

/// Development tasks of the project.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Make the missing artifacts of the models: seeded networks, and classifiers trained on their features.
    Artifacts {
        /// The folder to make them in.
        #[arg(long, default_value_os_t = folders::artifacts())]
        dir: PathBuf,
        /// Replace artifacts that exist.
        #[arg(long, conflicts_with = "weights")]
        force: bool,
        /// Make only the network with these weights, and replace the present one: a state dict of torchvision's vgg16
        /// or inception_v3, as a .pth or .safetensors file. May be repeated.
        #[arg(long, value_name = "FILE")]
        weights: Vec<PathBuf>,
        /// Architecture of the weights, if the tensor names in the file do not determine it.
        #[arg(long, requires = "weights", value_parser = networks::NAMES)]
        network: Option<String>,
    },
    /// Write the seeded weights of the networks as torchvision state dicts (.safetensors), for reference values.
    #[command(name = "state_dicts")]
    StateDicts {
        /// The folder to write them in.
        dir: PathBuf,
    },
    /// Train svm and lgbm on labelled pictures, and test them on held-out pictures.
    Train {
        #[command(flatten)]
        source: train::Source,
        /// Train only this classifier
        #[arg(long, value_enum)]
        model: Option<Classifier>,
        /// The folder to write artifacts, held-out features and their labels to.
        #[arg(long, default_value_os_t = folders::artifacts())]
        dir: PathBuf,
    },
}
