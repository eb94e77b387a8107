//! Joins the arguments of a list flag into one list and checks it.

use deploy::models::KnownModel;
use host::cores::Cores;

use crate::error::Error;

/// Returns each number once, in the order of the command line.
pub(super) fn numbers(flag: &str, arguments: &[Vec<usize>]) -> Result<Vec<usize>, Error> {
    let mut numbers = Vec::new();
    for number in arguments.iter().flatten() {
        if !numbers.contains(number) {
            numbers.push(*number);
        }
    }
    not_empty(
        numbers,
        &format!("{flag} is an empty list; give at least one number, for instance {flag} 1 2 4"),
    )
}

/// Returns each core once, ascending.
pub(super) fn cores(flag: &str, arguments: &[Cores]) -> Result<Cores, Error> {
    let mut cores = arguments.concat();
    cores.sort_unstable();
    cores.dedup();
    not_empty(
        cores,
        &format!("{flag} is an empty list; name cores, for instance 0-3, or omit the flag"),
    )
}

/// Returns the GPUs for the replicas of a model, in order.
pub(super) fn gpus(model: &KnownModel, arguments: &[Vec<u32>]) -> Result<Vec<u32>, Error> {
    if model.engines.is_empty() {
        return Err(Error::Usage(format!(
            "{} computes on CPU only; omit --model_gpus",
            model.name
        )));
    }
    let gpus = arguments.concat();
    let mut twice = gpus.iter().enumerate();
    if let Some((_, gpu)) = twice.find(|(at, gpu)| gpus[..*at].contains(gpu)) {
        return Err(Error::Usage(format!(
            "--model_gpus names GPU {gpu} twice; each replica needs a GPU of its own"
        )));
    }
    not_empty(
        gpus,
        "--model_gpus is an empty list; name GPUs, for instance 0 1, or omit the flag",
    )
}

/// Returns each share once, ascending.
pub(super) fn shares(arguments: &[Vec<f64>]) -> Vec<f64> {
    let mut shares = arguments.concat();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares
}

fn not_empty<T>(list: Vec<T>, message: &str) -> Result<Vec<T>, Error> {
    match list.is_empty() {
        true => Err(Error::Usage(message.to_owned())),
        false => Ok(list),
    }
}
