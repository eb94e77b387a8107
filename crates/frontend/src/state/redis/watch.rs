//! Hears of changes in Redis: keyspace notifications, which Redis sends once it is told to.

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

use super::{super::request::Request, schema};

/// How long Redis may take to let us in.
pub(super) const TO_CONNECT: Duration = Duration::from_secs(2);

/// How long to wait before trying again to connect.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// How often to look whether anybody still wants to hear.
const LOOK_UP: Duration = Duration::from_secs(1);

/// How long to go without a look where nothing is announced.
const UNASKED: Duration = Duration::from_secs(30);

/// Watches from a thread of its own until `asked` is dropped. It is true while a [`Request::Look`] is on its way.
pub(super) fn start(
    client: Client,
    asked: Weak<AtomicBool>,
    requests: Sender<Request>,
) -> io::Result<()> {
    let watch = Watch { asked, requests };
    let run = move || {
        while watch.is_wanted() {
            // That Redis is lost is found out, and told, by whoever looks.
            let _ = watch.listen(&client);
            watch.ask();
            thread::sleep(RETRY);
        }
    };
    thread::Builder::new()
        .name("redis".into())
        .spawn(run)
        .map(drop)
}

struct Watch {
    asked: Weak<AtomicBool>,
    requests: Sender<Request>,
}

impl Watch {
    fn is_wanted(&self) -> bool {
        self.asked.strong_count() > 0
    }

    /// Asks for a look, unless one is to come anyway.
    fn ask(&self) {
        if let Some(asked) = self.asked.upgrade()
            && !asked.swap(true, Ordering::Relaxed)
        {
            // Without anybody there it is not wanted any more.
            let _ = self.requests.send(Request::Look);
        }
    }

    fn listen(&self, client: &Client) -> RedisResult<()> {
        let mut connection = client.get_connection_with_timeout(TO_CONNECT)?;
        if let Err(error) = schema::announce_changes(&mut connection) {
            tracing::warn!("Redis does not announce changes ({error}): others' may come late");
        }
        let mut messages = connection.as_pubsub();
        for pattern in schema::patterns() {
            messages.psubscribe(pattern)?;
        }
        messages.set_read_timeout(Some(LOOK_UP))?;
        // For what was changed before this.
        self.ask();
        let mut asked = Instant::now();
        while self.is_wanted() {
            match messages.get_message() {
                Ok(_) => self.ask(),
                // A connection that is cut without a word says nothing, too.
                Err(error) if error.is_timeout() && asked.elapsed() >= UNASKED => {
                    asked = Instant::now();
                    self.ask();
                }
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
