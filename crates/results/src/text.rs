//! Format of percentages in verdicts, tables, pages and the live view.

/// Formats a share as a whole percentage: `98 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Formats a share as a percentage with one decimal: `97.5 %`.
pub fn percent_to_tenths(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_percentages() {
        assert_eq!(percent(0.9751), "98 %");
        assert_eq!(percent_to_tenths(0.9751), "97.5 %");
        assert_eq!(percent_to_tenths(1.0), "100.0 %");
    }
}
