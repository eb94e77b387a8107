//! How long tests wait.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long to wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The same for other programs, which have to start on a machine that may be busy.
pub const PATIENCE_WITH_PROGRAMS: Duration = Duration::from_secs(60);

/// Waits until there is something, which other programs bring about.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE_WITH_PROGRAMS,
            "not within {PATIENCE_WITH_PROGRAMS:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
