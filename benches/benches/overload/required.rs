//! The required figures: what was checked, and what failed.

/// Required figures so far.
#[derive(Debug, Default)]
pub(crate) struct Required {
    checked: usize,
    failed: Vec<String>,
}

impl Required {
    /// Checks that a figure of a row is at least so much.
    pub(crate) fn at_least(&mut self, row: &str, figure: &str, value: f64, required: f64) {
        self.check(row, value >= required, || {
            format!("{figure} is {value:.3}, required {required}")
        });
    }

    /// Checks that a figure of a row is at most so much.
    pub(crate) fn at_most(&mut self, row: &str, figure: &str, value: f64, required: f64) {
        self.check(row, value <= required, || {
            format!("{figure} is {value:.4}, at most {required} is allowed")
        });
    }

    fn check(&mut self, row: &str, holds: bool, why: impl Fn() -> String) {
        self.checked += 1;
        if !holds {
            self.failed.push(format!("{row}: {}", why()));
        }
    }

    /// One sentence: which figures failed, or that all hold.
    pub(crate) fn verdict(&self) -> String {
        let Required { checked, failed } = self;
        match &failed[..] {
            [] => format!("All {checked} required figures hold."),
            failed => format!(
                "{} of {checked} required figures failed:\n  {}.",
                failed.len(),
                failed.join(";\n  ")
            ),
        }
    }
}
