//! The state in Redis, for as long as Redis is there: connecting, losing the connection, coming back.
//!
//! Several frontends may share one Redis: each serves every application, from the replicas that joined it. What one of them
//! is told over its admin API, or what Clipper's own management frontend writes, the others hear of as keyspace
//! notifications; then each reads everything again and does what is different. A replica's number is counted in Redis, so
//! that its row has a key of its own; a frontend takes no notice of rows that it has not written, but to list them. Clipper's
//! own query frontends do take notice, and cannot share a Redis with any other.
//!
//! Only [`Redis::read`] connects. So whatever a Redis that came back has forgotten is given back to it before anything else
//! is done there.

mod schema;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::Duration,
};

use redis::{Client, Connection, ErrorKind, RedisError, RedisResult};
use scheduler::ModelVersion;
use wire::admin::Container;

use crate::{
    catalog::{Registrations, Write},
    settings::RedisAddress,
};

pub(super) use schema::Joined;

use super::{error::StateError, request::Request};
use watch::{RETRY, TO_CONNECT};

/// How long Redis may take to answer.
const TO_ANSWER: Duration = Duration::from_secs(5);

/// Without Redis nobody can say which number no other frontend gives: then it is drawn, from here to twice that.
const DRAWN: u32 = 1 << 30;

/// A Redis that several frontends may share.
#[derive(Debug)]
pub(super) struct Redis {
    client: Client,
    /// How messages name it.
    address: String,
    /// What names this frontend in its rows of containers.
    frontend: String,
    connection: Option<Held>,
    /// The rows that are this frontend's.
    joined: BTreeMap<(ModelVersion, u32), Joined>,
    /// It did not answer the last time, and the log says so.
    away: bool,
    /// Whether it has been given back, since it was connected, what it may have forgotten.
    complete: bool,
    /// A request to look is on its way already.
    asked: Arc<AtomicBool>,
}

/// Connections cannot be printed.
struct Held(Connection);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Redis {
    /// Waits until Redis answers; answers what it says. From then on, changes there come as [`Request::Look`].
    ///
    /// # Errors
    /// If there are no threads left.
    pub(super) fn open(
        address: RedisAddress,
        rpc_port: u16,
        requests: Sender<Request>,
    ) -> Result<(Redis, Registrations), StateError> {
        let host_name =
            fs::read_to_string("/proc/sys/kernel/hostname").map_err(StateError::HostName)?;
        let RedisAddress { host, port } = address;
        let address = format!("{host}:{port}");
        let mut redis = Redis {
            client: Client::open((host, port)).map_err(StateError::Redis)?,
            address,
            frontend: format!("{}:{rpc_port}", host_name.trim()),
            connection: None,
            joined: BTreeMap::new(),
            away: false,
            complete: false,
            asked: Arc::default(),
        };
        let registrations = loop {
            match redis.read(&Registrations::default()) {
                Ok(registrations) => break registrations,
                Err(_) => thread::sleep(RETRY),
            }
        };
        watch::start(redis.client.clone(), Arc::downgrade(&redis.asked), requests)
            .map_err(StateError::Thread)?;
        Ok((redis, registrations))
    }

    /// What Redis says now. If it is back with nothing in it, it is given what is known.
    pub(super) fn read(&mut self, known: &Registrations) -> RedisResult<Registrations> {
        self.asked.store(false, Ordering::Relaxed);
        // A connection may have died since it was last used: that is worth a second try.
        if self.connection.is_some()
            && let Ok(registrations) = self.read_once(known)
        {
            return Ok(registrations);
        }
        let connected = self.connect().and_then(|()| self.read_once(known));
        match &connected {
            Err(error) if !self.away => {
                self.away = true;
                let address = &self.address;
                tracing::error!("Redis at {address} does not answer: {error}. Trying again");
            }
            Ok(_) if self.away => {
                self.away = false;
                tracing::info!("Redis at {} answers again", self.address);
            }
            _ => {}
        }
        connected
    }

    fn read_once(&mut self, known: &Registrations) -> RedisResult<Registrations> {
        let mut registrations = self.with(schema::read)?;
        if !self.complete {
            if registrations.is_empty() && !known.is_empty() {
                tracing::warn!("Redis at {} is empty: writing what is known", self.address);
                let steps = registrations.difference(known);
                self.with(|connection| schema::write(connection, &steps))?;
                registrations = known.clone();
            }
            // Also of replicas that left while Redis was away, or of an earlier run of this frontend.
            self.forget_mine()?;
            let rows: Vec<_> = self.joined.values().cloned().collect();
            let frontend = self.frontend.clone();
            self.with(|connection| {
                let mut rows = rows.iter();
                rows.try_for_each(|row| schema::put(connection, row, &frontend))
            })?;
            self.complete = true;
        }
        let new = registrations.apps.values();
        let new = new.filter(|app| !known.apps.contains_key(&app.name));
        self.with(|connection| schema::put_states(connection, new))?;
        self.delete_what_is_marked(known, &mut registrations)?;
        Ok(registrations)
    }

    /// Clipper's management frontend only marks a model version as deleted; to delete it is for whoever serves it.
    fn delete_what_is_marked(
        &mut self,
        known: &Registrations,
        registrations: &mut Registrations,
    ) -> RedisResult<()> {
        let was_valid =
            |id: &&ModelVersion| known.models.contains_key(*id) && !known.invalid.contains(*id);
        let marked: Vec<_> = registrations
            .invalid
            .iter()
            .filter(was_valid)
            .cloned()
            .collect();
        for id in marked {
            let step = Write::RemoveModel(id);
            self.with(|connection| schema::write(connection, std::slice::from_ref(&step)))?;
            registrations.apply(step);
        }
        Ok(())
    }

    /// Writes in one transaction.
    pub(super) fn write(&mut self, steps: &[Write]) -> RedisResult<()> {
        self.with(|connection| schema::write(connection, steps))
    }

    /// Numbers a new replica, and writes its row.
    pub(super) fn join(&mut self, joined: &Joined) -> u32 {
        let drawn = || DRAWN + rand::random::<u32>() % DRAWN;
        let next = self.with(|connection| schema::next_id(connection, &joined.model));
        let replica_id = next.unwrap_or_else(|_| drawn());
        let row = joined.numbered(replica_id);
        let frontend = self.frontend.clone();
        // If that fails, it is written when Redis is back.
        let _ = self.with(|connection| schema::put(connection, &row, &frontend));
        self.joined.insert((row.model.clone(), replica_id), row);
        replica_id
    }

    /// A replica is gone, and its row with it.
    pub(super) fn left(&mut self, model: ModelVersion, replica_id: u32) {
        let key = (model, replica_id);
        self.joined.remove(&key);
        // If that fails, it goes when Redis is back.
        let _ = self.with(|connection| schema::remove(connection, &key.0, replica_id));
    }

    /// This frontend stops: its replicas are not here any more.
    pub(super) fn leave(&mut self) {
        // If that fails, they go when it starts again.
        let _ = self.forget_mine();
    }

    fn forget_mine(&mut self) -> RedisResult<()> {
        let frontend = self.frontend.clone();
        self.with(|connection| schema::remove_all(connection, &frontend))
    }

    /// The replicas of all frontends.
    pub(super) fn containers(&mut self) -> RedisResult<Vec<Container>> {
        self.with(schema::containers)
    }

    fn connect(&mut self) -> RedisResult<()> {
        let connection = self.client.get_connection_with_timeout(TO_CONNECT)?;
        connection.set_read_timeout(Some(TO_ANSWER))?;
        connection.set_write_timeout(Some(TO_ANSWER))?;
        self.connection = Some(Held(connection));
        self.complete = false;
        Ok(())
    }

    /// Does something where Redis is connected. After an error it is not: an answer may be under way that would be taken
    /// for that to the next question.
    fn with<T>(&mut self, act: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let Some(Held(mut connection)) = self.connection.take() else {
            let why = "not connected";
            return Err(RedisError::from((ErrorKind::Io, why)));
        };
        let done = act(&mut connection);
        if done.is_ok() {
            self.connection = Some(Held(connection));
        }
        done
    }
}
