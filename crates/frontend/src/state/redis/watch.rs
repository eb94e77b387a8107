//! The thread that watches for changes in Redis, by keyspace notifications.

use std::{
    io,
    sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use redis::{Client, RedisResult};

use super::{super::request::StateRequest, schema};

/// Time limit for a connection to Redis.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two attempts to connect.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Interval of the checks whether the store still exists.
const STOP_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time without a refresh if no notification arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Starts the thread. It ends after `refresh_pending` is dropped, which is true while a
/// [`StateRequest::Refresh`] is in the queue.
pub(super) fn start(
    client: Client,
    refresh_pending: Weak<AtomicBool>,
    requests: Sender<StateRequest>,
) -> io::Result<()> {
    let watch = ChangeWatcher {
        refresh_pending,
        requests,
    };
    let run = move || {
        while watch.has_store() {
            // The refresh reports the lost connection.
            let _ = watch.listen(&client);
            watch.request_refresh();
            thread::sleep(RETRY_INTERVAL);
        }
    };
    thread::Builder::new()
        .name("redis".into())
        .spawn(run)
        .map(drop)
}

struct ChangeWatcher {
    refresh_pending: Weak<AtomicBool>,
    requests: Sender<StateRequest>,
}

impl ChangeWatcher {
    fn has_store(&self) -> bool {
        self.refresh_pending.strong_count() > 0
    }

    /// Requests a refresh, unless one is pending.
    fn request_refresh(&self) {
        if let Some(refresh_pending) = self.refresh_pending.upgrade()
            && !refresh_pending.swap(true, Ordering::Relaxed)
        {
            // A send fails only when the state thread has ended.
            let _ = self.requests.send(StateRequest::Refresh);
        }
    }

    fn listen(&self, client: &Client) -> RedisResult<()> {
        let mut connection = client.get_connection_with_timeout(CONNECT_TIMEOUT)?;
        if let Err(error) = schema::enable_notifications(&mut connection) {
            tracing::warn!(
                "Redis sends no keyspace notifications ({error}): changes by other frontends take effect up to {} s late",
                POLL_INTERVAL.as_secs()
            );
        }
        let mut messages = connection.as_pubsub();
        for pattern in schema::notification_patterns() {
            messages.psubscribe(pattern)?;
        }
        messages.set_read_timeout(Some(STOP_CHECK_INTERVAL))?;
        // Covers changes made before the subscription.
        self.request_refresh();
        let mut last_refresh = Instant::now();
        while self.has_store() {
            match messages.get_message() {
                Ok(_) => self.request_refresh(),
                // A connection that was cut without notice is silent too.
                Err(error) if error.is_timeout() && last_refresh.elapsed() >= POLL_INTERVAL => {
                    last_refresh = Instant::now();
                    self.request_refresh();
                }
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
