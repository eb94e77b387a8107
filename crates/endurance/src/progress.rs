//! Progress on standard error: a line that is drawn anew on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::shared::{Asked, Shared};

/// So often where standard error is no terminal.
const EVERY: Duration = Duration::from_secs(30);

/// A run's progress.
pub struct Progress {
    bar: ProgressBar,
    ends: Instant,
    told: Instant,
    /// How far the clients were before it began.
    before: Asked,
}

impl Progress {
    /// Of what takes `time` from now.
    pub fn new(time: Duration, shared: &Shared) -> Progress {
        let bar = ProgressBar::no_length();
        bar.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let now = Instant::now();
        Progress {
            bar,
            ends: now + time,
            told: now,
            before: shared.progress(),
        }
    }

    /// Says how far it is; `more` comes last.
    pub fn tell(&mut self, shared: &Shared, more: &str) {
        let now = Instant::now();
        if self.bar.is_hidden() && now - self.told < EVERY {
            return;
        }
        let left = self.ends.saturating_duration_since(now).as_secs();
        let now_at = shared.progress();
        let asked = now_at.asked - self.before.asked;
        let in_time = now_at.in_time - self.before.in_time;
        let share = percent(in_time, asked);
        let line = format!(
            "{}m {:02}s left; {asked} queries, {share} in time{more}",
            left / 60,
            left % 60
        );
        match self.bar.is_hidden() {
            true => {
                self.told = now;
                eprintln!("{line}");
            }
            false => self.bar.set_message(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A share, as a report shows it.
pub fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        all => format!("{:.2} %", 100.0 * part as f64 / all as f64),
    }
}
