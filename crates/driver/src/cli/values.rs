//! Values of flags as typed: clap has each argument read by one of these functions, and names the flag if it fails.

use std::time::Duration;

use host::{
    NotACore,
    cores::{self, Cores},
};

/// Number of things: from one up to far more than any machine holds.
pub(super) fn number(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| "not a whole number from 1 to 100000".to_owned())
}

/// Part of a whole.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok();
    let share = share.filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "not a share above 0 and at most 1".to_owned())
}

/// Queries a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.trim().parse().ok();
    let rate = rate.filter(|rate| (1e-3..=1e8).contains(rate));
    rate.ok_or_else(|| "not a rate in queries a second, from 0.001 up".to_owned())
}

/// Time in minutes.
pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    time(text, 60.0)
}

/// Time in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 1.0)
}

/// Time in milliseconds.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    time(text, 1e-3)
}

/// Time of at least a millisecond and at most a year, in units of `unit` seconds.
fn time(text: &str, unit: f64) -> Result<Duration, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .filter(|time| (1..=365 * 86_400_000).contains(&time.as_millis()))
        .ok_or_else(|| "not a number above zero (and below a year)".to_owned())
}

/// Numbers of things.
pub(super) fn numbers(text: &str) -> Result<Vec<usize>, String> {
    list(text, number)
}

/// Parts of a whole, each smaller than it.
pub(super) fn shares(text: &str) -> Result<Vec<f64>, String> {
    list(text, |piece| match share(piece)? {
        1.0 => Err(
            "not below 1: at the whole throughput the queue grows as long as it is measured".into(),
        ),
        share => Ok(share),
    })
}

/// GPUs by number.
pub(super) fn gpus(text: &str) -> Result<Vec<u32>, String> {
    let gpu = |piece: &str| piece.parse().ok();
    list(text, |piece| {
        gpu(piece).ok_or_else(|| "no GPU: write numbers, as 0 1".to_owned())
    })
}

/// Core numbers and ranges.
pub(super) fn cores(text: &str) -> Result<Cores, NotACore> {
    cores::parse(&[text.to_owned()])
}

/// Values by commas or spaces. One argument is any number of them, none too, as in `1, 2 , "4 8"`: clap's delimiter is
/// one character, and it has no empty pieces.
fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let pieces = text.split([',', ' ']).filter(|piece| !piece.is_empty());
    let read = |piece| read(piece).map_err(|why| format!("{piece:?} is {why}"));
    pieces.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_and_spaces() {
        assert_eq!(numbers("1, 2,,4 8 "), Ok(vec![1, 2, 4, 8]));
        assert_eq!(numbers(","), Ok(vec![]));
        assert_eq!(gpus("0 1"), Ok(vec![0, 1]));
        assert_eq!(cores("2-3, 5").ok(), Some(vec![2, 3, 5]));
    }

    #[test]
    fn an_error_names_the_piece_of_a_list() {
        let why = numbers("1,0").unwrap_err();
        assert_eq!(why, "\"0\" is not a whole number from 1 to 100000");
    }
}
