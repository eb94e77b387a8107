//! Chores of the project; `cargo xtask --help` lists them.

mod artifacts;
mod classifiers;
mod networks;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Artifacts { dir, force } => artifacts::make(&dir, force),
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
        #[arg(long, default_value_os_t = workspace().join("artifacts"))]
        dir: PathBuf,
        /// Make those anew that are present.
        #[arg(long)]
        force: bool,
    },
}

/// The root of the workspace: cargo says at run time where this package is; a binary started by hand takes the
/// current folder.
fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package
        .and_then(|package| Some(package.ancestors().nth(2)?.to_owned()))
        .unwrap_or_default()
}
