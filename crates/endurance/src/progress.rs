//! Progress on standard error: an updated line on a terminal, else a new line every 30 s.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run_state::{QueryProgress, RunState};

/// Time between lines if standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Progress display of a run.
pub struct RunProgress {
    bar: ProgressBar,
    ends: Instant,
    printed: Instant,
    /// Progress of the clients at the start.
    before: QueryProgress,
}

impl RunProgress {
    /// Starts the display of a run that takes `time` from now.
    pub fn new(time: Duration, state: &RunState) -> RunProgress {
        let bar = ProgressBar::no_length();
        bar.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let now = Instant::now();
        RunProgress {
            bar,
            ends: now + time,
            printed: now,
            before: state.progress(),
        }
    }

    /// Updates the display; `suffix` is appended to the line.
    pub fn update(&mut self, state: &RunState, suffix: &str) {
        let now = Instant::now();
        if self.bar.is_hidden() && now - self.printed < LINE_INTERVAL {
            return;
        }
        let left = self.ends.saturating_duration_since(now).as_secs();
        let progress = state.progress();
        let sent = progress.sent - self.before.sent;
        let in_time = progress.in_time - self.before.in_time;
        let share = percent(in_time, sent);
        let line = format!(
            "{}m {:02}s left; {sent} queries, {share} in time{suffix}",
            left / 60,
            left % 60
        );
        match self.bar.is_hidden() {
            true => {
                self.printed = now;
                eprintln!("{line}");
            }
            false => self.bar.set_message(line),
        }
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Formats a fraction as a percentage, or `-` if `all` is zero.
pub fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        all => format!("{:.2} %", 100.0 * part as f64 / all as f64),
    }
}
