//! Limits of waiting in tests.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Maximum wait for an event within this process.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum wait for an event of another process, which may have to start on a busy machine.
pub const PROCESS_TIMEOUT: Duration = Duration::from_secs(60);

/// Polls `condition` until it returns a value; panics with `description` after [`PROCESS_TIMEOUT`].
pub fn wait_until<T>(description: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            start.elapsed() < PROCESS_TIMEOUT,
            "not within {PROCESS_TIMEOUT:?}: {description}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
