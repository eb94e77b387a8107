//! Formats of numbers and times, in tables, pages and the live view.

use std::time::Duration;

use jiff::{SignedDuration, fmt::friendly::SpanPrinter};
use results::Estimate;

/// Formats a number with three figures or more, without separators of thousands.
pub(crate) fn figures(value: f64) -> String {
    match value {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Formats a number with three figures or more and separators of thousands: `0.123`, `15.6`,
/// `12,346`.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 1e3 => 1,
        _ => 0,
    };
    grouped(&format!("{value:.decimals$}"))
}

/// Formats a whole number with separators of thousands: `12,346`.
pub(crate) fn whole(value: f64) -> String {
    grouped(&format!("{value:.0}"))
}

fn grouped(text: &str) -> String {
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (index, character) in text.char_indices() {
        let between = index > 0 && index < whole && &text[..index] != "-";
        if between && (whole - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

/// Formats a number, `-` if there is none.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

/// Formats a number with its interval if there is one: `15.6 (15.4 to 15.8)`.
pub(crate) fn estimate(estimate: &Estimate) -> String {
    let value = number(estimate.value);
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{value} ({} to {})", number(low), number(high)),
        _ => value,
    }
}

/// Returns the noun, in the plural unless the count is one.
pub fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => noun.to_owned(),
        _ => format!("{noun}s"),
    }
}

/// Formats a time, rounded up to the second, or to the minute from an hour up: `1m 5s`.
pub fn rounded(time: Duration) -> String {
    let unit = if time.as_secs() < 3600 { 1 } else { 60 };
    let rounded = time.as_secs().div_ceil(unit) * unit;
    let rounded = SignedDuration::from_secs(rounded.cast_signed());
    SpanPrinter::new().duration_to_string(&rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_figures_and_separated_thousands() {
        let numbers = [0.0, 0.1234, 1.5, 15.64, 999.94, 1234.5, 1_234_567.0, -123.0];
        let texts = [
            "0",
            "0.123",
            "1.50",
            "15.6",
            "999.9",
            "1,234",
            "1,234,567",
            "-123.0",
        ];
        assert_eq!(numbers.map(number), texts);
    }
}
