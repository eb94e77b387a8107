//! Judges the results in a folder:
//! `cargo run -p results --example judge -- results/vgg-261126_090000`.

use std::{env, error::Error, path::PathBuf};

use results::{Folder, checks, pareto::ParetoFront};

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args_os().nth(1).ok_or("name a folder")?.into();
    let folder = Folder::read(&folder)?;
    for trial in folder.results() {
        let verdict = checks::judge(trial);
        println!("{}: {}", trial.config(), verdict.status);
        for reason in verdict.reasons {
            println!("  {}: {}", reason.check, reason.text);
        }
    }
    let trials: Vec<_> = folder.results().cloned().collect();
    let front = ParetoFront::of(&trials, folder.target_qps);
    front.lines().iter().for_each(|line| println!("{line}"));
    Ok(())
}
