//! Values of flags as typed, checked one by one. Each error names its flag.

use std::{path::Path, time::Duration};

use deploy::models::KnownModel;
use host::{
    NotACore,
    cores::{self, Cores},
};

use crate::error::Error;

/// A path as text, as result files hold it.
pub(super) fn utf8(flag: &str, path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Usage(format!(
            "{flag} {} is not UTF-8, and result files hold paths as text: choose a path that is UTF-8, or rename it",
            path.display()
        ))
    })
}

/// Numbers of things: from one up to far more than any machine holds.
pub(super) fn number(flag: &str, text: &str) -> Result<usize, Error> {
    match text.trim().parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err(Error::Usage(format!(
            "{flag} takes whole numbers from 1 to 100000, not {text:?}"
        ))),
    }
}

/// A list of them, by spaces or commas; each counts once.
pub(super) fn numbers(flag: &str, pieces: &[String]) -> Result<Vec<usize>, Error> {
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    let mut numbers = Vec::new();
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let number = number(flag, piece)?;
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    if numbers.is_empty() {
        return Err(Error::Usage(format!(
            "{flag} is an empty list: give at least one number, for instance {flag} 1 2 4"
        )));
    }
    Ok(numbers)
}

/// Core numbers and ranges.
pub(super) fn core_list(flag: &str, pieces: &[String]) -> Result<Cores, Error> {
    let cores = cores::parse(pieces).map_err(|NotACore(piece)| {
        Error::Usage(format!(
            "{piece:?} in {flag} is no core: write numbers and ranges, for instance 20 21 or 20-23"
        ))
    })?;
    if cores.is_empty() {
        return Err(Error::Usage(format!(
            "{flag} is an empty list: name cores, for instance 0-3, or leave it out"
        )));
    }
    Ok(cores)
}

/// A time of at least a millisecond and at most a year, given in units of `unit` seconds.
pub(super) fn time(flag: &str, text: &str, unit: f64) -> Result<Duration, Error> {
    text.trim()
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .filter(|time| (1..=365 * 86_400_000).contains(&time.as_millis()))
        .ok_or_else(|| {
            Error::Usage(format!(
                "{flag} takes a number above zero (and below a year), not {text:?}"
            ))
        })
}

/// GPUs by number, each once.
pub(super) fn gpu_list(model: &KnownModel, pieces: &[String]) -> Result<Vec<u32>, Error> {
    if model.engines.is_empty() {
        return Err(Error::Usage(format!(
            "{} computes on CPU only: leave --model_gpus out",
            model.name
        )));
    }
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    let mut gpus = Vec::new();
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        match piece.parse() {
            Ok(gpu) if gpus.contains(&gpu) => {
                let twice = format!("--model_gpus names GPU {gpu} twice: each replica has its own");
                return Err(Error::Usage(twice));
            }
            Ok(gpu) => gpus.push(gpu),
            Err(_) => {
                let text = format!("{piece:?} in --model_gpus is no GPU: write numbers, as 0 1");
                return Err(Error::Usage(text));
            }
        }
    }
    if gpus.is_empty() {
        return Err(Error::Usage(
            "--model_gpus is an empty list: name GPUs, for instance 0 1, or leave it out".into(),
        ));
    }
    Ok(gpus)
}

/// A part of a whole.
pub(super) fn share(flag: &str, text: &str) -> Result<f64, Error> {
    match text.trim().parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(Error::Usage(format!(
            "{flag} takes a share above 0 and at most 1, not {text:?}"
        ))),
    }
}

/// Shares below the whole, ascending, each once.
pub(super) fn shares(flag: &str, pieces: &[String]) -> Result<Vec<f64>, Error> {
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    let mut shares = pieces
        .filter(|piece| !piece.is_empty())
        .map(|piece| match share(flag, piece)? {
            1.0 => Err(Error::Usage(format!(
                "{flag} takes shares below 1: at the whole throughput the queue grows as long as it is measured"
            ))),
            share => Ok(share),
        })
        .collect::<Result<Vec<_>, _>>()?;
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    Ok(shares)
}

/// Queries a second.
pub(super) fn rate(flag: &str, text: &str) -> Result<f64, Error> {
    match text.trim().parse() {
        Ok(rate) if (1e-3..=1e8).contains(&rate) => Ok(rate),
        _ => Err(Error::Usage(format!(
            "{flag} takes queries a second, from 0.001 up, not {text:?}"
        ))),
    }
}
