//! How shares are written, in verdicts, tables, pages and the live view.

/// A share, to the whole per cent: `98 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A share, to the tenth of a per cent: `97.5 %`.
pub fn percent_to_tenths(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_to_a_whole_or_a_tenth() {
        assert_eq!(percent(0.9751), "98 %");
        assert_eq!(percent_to_tenths(0.9751), "97.5 %");
        assert_eq!(percent_to_tenths(1.0), "100.0 %");
    }
}
