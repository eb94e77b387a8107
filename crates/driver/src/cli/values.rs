//! Parsers for the values of flags. Clap calls them for each argument and adds the flag's name to an error.

use std::time::Duration;

use host::{
    InvalidCoreList,
    cores::{self, Cores},
};

/// Parses a count from 1 to 100000.
pub(super) fn number(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| "not a whole number from 1 to 100000".to_owned())
}

/// Parses a share above 0 and at most 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok();
    let share = share.filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "not a share above 0 and at most 1".to_owned())
}

/// Parses a rate in queries per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.trim().parse().ok();
    let rate = rate.filter(|rate| (1e-3..=1e8).contains(rate));
    rate.ok_or_else(|| "not a rate in queries per second, from 0.001 up".to_owned())
}

/// Parses a time in minutes.
pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    time(text, 60.0)
}

/// Parses a time in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 1.0)
}

/// Parses a time in milliseconds.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    time(text, 1e-3)
}

/// Parses a time from a millisecond to a year, in units of `unit` seconds.
fn time(text: &str, unit: f64) -> Result<Duration, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .filter(|time| (1..=365 * 86_400_000).contains(&time.as_millis()))
        .ok_or_else(|| "not a number above zero (and below a year)".to_owned())
}

/// Parses a list of counts.
pub(super) fn numbers(text: &str) -> Result<Vec<usize>, String> {
    list(text, number)
}

/// Parses a list of shares, each above 0 and below 1.
pub(super) fn shares(text: &str) -> Result<Vec<f64>, String> {
    list(text, |piece| match share(piece)? {
        1.0 => Err("not below 1: at the full throughput the queue grows without bound".into()),
        share => Ok(share),
    })
}

/// Parses a list of GPU numbers.
pub(super) fn gpus(text: &str) -> Result<Vec<u32>, String> {
    let gpu = |piece: &str| piece.parse().ok();
    list(text, |piece| {
        gpu(piece).ok_or_else(|| "not a GPU number: write for instance 0 1".to_owned())
    })
}

/// Parses a list of core numbers and ranges.
pub(super) fn cores(text: &str) -> Result<Cores, InvalidCoreList> {
    cores::parse(&[text.to_owned()])
}

/// Parses values between commas and spaces. One argument holds any number of values, or none, as in `1, 2 , "4 8"`:
/// clap's delimiter is a single character, and clap rejects empty pieces.
fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let pieces = text.split([',', ' ']).filter(|piece| !piece.is_empty());
    let parse = |piece| parse(piece).map_err(|why| format!("{piece:?} is {why}"));
    pieces.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_lists_at_commas_and_spaces() {
        assert_eq!(numbers("1, 2,,4 8 "), Ok(vec![1, 2, 4, 8]));
        assert_eq!(numbers(","), Ok(vec![]));
        assert_eq!(gpus("0 1"), Ok(vec![0, 1]));
        assert_eq!(cores("2-3, 5").ok(), Some(vec![2, 3, 5]));
    }

    #[test]
    fn errors_name_the_refused_piece_of_a_list() {
        let why = numbers("1,0").unwrap_err();
        assert_eq!(why, "\"0\" is not a whole number from 1 to 100000");
    }
}
