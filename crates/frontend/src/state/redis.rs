//! The state in Redis: connecting, losing the connection, reconnecting.
//!
//! Several frontends may share one Redis. Each serves every application, with the replicas that
//! registered with it. Keyspace notifications announce the changes of the other frontends and of
//! Clipper's own management frontend; on each, a frontend reads the registrations again and applies
//! the differences. Replica numbers are counted in Redis, so that each replica's row has a key of
//! its own. A frontend lists the rows of other frontends and ignores them otherwise. Clipper's own
//! query frontends do not ignore them, and cannot share a Redis with any other.
//!
//! Only [`RedisStore::read`] connects. It restores the data that a restarted Redis has lost before
//! any other command runs there.

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
use wire::admin::ContainerInfo;

use crate::{
    catalog::{CatalogChange, Registrations},
    settings::RedisAddress,
};

pub(super) use schema::ContainerRow;

use super::{error::StateError, request::StateRequest};
use watch::{CONNECT_TIMEOUT, RETRY_INTERVAL};

/// Time limit for an answer of Redis.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Smallest random replica number. Without Redis no unique number can be counted, so it is drawn
/// from here to twice this value.
const FIRST_RANDOM_ID: u32 = 1 << 30;

/// A Redis that several frontends may share.
#[derive(Debug)]
pub(super) struct RedisStore {
    client: Client,
    /// Host and port, for messages.
    address: String,
    /// Name of this frontend in its container rows: `host:port`.
    frontend: String,
    connection: Option<DebugConnection>,
    /// Container rows of this frontend.
    own_rows: BTreeMap<(ModelVersion, u32), ContainerRow>,
    /// True if Redis did not answer the last time; the log says so.
    is_down: bool,
    /// True if lost data has been restored since the connection was made.
    is_restored: bool,
    /// True while a [`StateRequest::Refresh`] is in the queue.
    refresh_pending: Arc<AtomicBool>,
}

/// A connection with a `Debug` implementation.
struct DebugConnection(Connection);

impl std::fmt::Debug for DebugConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl RedisStore {
    /// Waits until Redis answers and returns its registrations. Later changes there arrive as
    /// [`StateRequest::Refresh`].
    ///
    /// # Errors
    /// If the client refuses the address, the host name cannot be read, or no thread is left.
    pub(super) fn open(
        address: RedisAddress,
        rpc_port: u16,
        requests: Sender<StateRequest>,
    ) -> Result<(RedisStore, Registrations), StateError> {
        let host_name =
            fs::read_to_string("/proc/sys/kernel/hostname").map_err(StateError::HostName)?;
        let RedisAddress { host, port } = address;
        let address = format!("{host}:{port}");
        let mut redis = RedisStore {
            client: Client::open((host, port)).map_err(StateError::Redis)?,
            address,
            frontend: format!("{}:{rpc_port}", host_name.trim()),
            connection: None,
            own_rows: BTreeMap::new(),
            is_down: false,
            is_restored: false,
            refresh_pending: Arc::default(),
        };
        let registrations = loop {
            match redis.read(&Registrations::default()) {
                Ok(registrations) => break registrations,
                Err(_) => thread::sleep(RETRY_INTERVAL),
            }
        };
        watch::start(
            redis.client.clone(),
            Arc::downgrade(&redis.refresh_pending),
            requests,
        )
        .map_err(StateError::Thread)?;
        Ok((redis, registrations))
    }

    /// Returns the registrations in Redis. A Redis that came back empty is filled with `known`
    /// first.
    pub(super) fn read(&mut self, known: &Registrations) -> RedisResult<Registrations> {
        self.refresh_pending.store(false, Ordering::Relaxed);
        // The connection may have died since its last use, so a failure is retried on a new one.
        if self.connection.is_some()
            && let Ok(registrations) = self.read_once(known)
        {
            return Ok(registrations);
        }
        let connected = self.connect().and_then(|()| self.read_once(known));
        match &connected {
            Err(error) if !self.is_down => {
                self.is_down = true;
                let address = &self.address;
                tracing::error!("Redis at {address} does not answer: {error}; retrying");
            }
            Ok(_) if self.is_down => {
                self.is_down = false;
                tracing::info!("Redis at {} answers again", self.address);
            }
            _ => {}
        }
        connected
    }

    fn read_once(&mut self, known: &Registrations) -> RedisResult<Registrations> {
        let mut registrations = self.with(schema::read)?;
        if !self.is_restored {
            if registrations.is_empty() && !known.is_empty() {
                tracing::warn!(
                    "Redis at {} is empty: restoring the registrations",
                    self.address
                );
                let changes = registrations.difference(known);
                self.with(|connection| schema::write(connection, &changes))?;
                registrations = known.clone();
            }
            // Includes rows of replicas that left during an outage, and of an earlier run of this
            // frontend.
            self.remove_own_rows()?;
            let rows: Vec<_> = self.own_rows.values().cloned().collect();
            let frontend = self.frontend.clone();
            self.with(|connection| {
                let mut rows = rows.iter();
                rows.try_for_each(|row| schema::put(connection, row, &frontend))
            })?;
            self.is_restored = true;
        }
        let new = registrations.apps.values();
        let new = new.filter(|app| !known.apps.contains_key(&app.name));
        self.with(|connection| schema::put_states(connection, new))?;
        self.delete_invalid_models(known, &mut registrations)?;
        Ok(registrations)
    }

    /// Deletes model versions that Clipper's management frontend only marked as deleted: it leaves
    /// the deletion to the query frontend.
    fn delete_invalid_models(
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
            let change = CatalogChange::RemoveModel(id);
            self.with(|connection| schema::write(connection, std::slice::from_ref(&change)))?;
            registrations.apply(change);
        }
        Ok(())
    }

    /// Writes the changes in one transaction.
    pub(super) fn write(&mut self, changes: &[CatalogChange]) -> RedisResult<()> {
        self.with(|connection| schema::write(connection, changes))
    }

    /// Numbers a new replica and writes its row.
    pub(super) fn join(&mut self, joined: &ContainerRow) -> u32 {
        let random_id = || FIRST_RANDOM_ID + rand::random::<u32>() % FIRST_RANDOM_ID;
        let next = self.with(|connection| schema::next_id(connection, &joined.model));
        let replica_id = next.unwrap_or_else(|_| random_id());
        let row = joined.numbered(replica_id);
        let frontend = self.frontend.clone();
        // After a failure the row is written when Redis is back.
        let _ = self.with(|connection| schema::put(connection, &row, &frontend));
        self.own_rows.insert((row.model.clone(), replica_id), row);
        replica_id
    }

    /// Removes the row of a replica that left.
    pub(super) fn left(&mut self, model: ModelVersion, replica_id: u32) {
        let key = (model, replica_id);
        self.own_rows.remove(&key);
        // After a failure the row is removed when Redis is back.
        let _ = self.with(|connection| schema::remove(connection, &key.0, replica_id));
    }

    /// Removes the rows of all replicas, because the frontend stops.
    pub(super) fn remove_own_rows_on_stop(&mut self) {
        // After a failure the rows are removed at the next start.
        let _ = self.remove_own_rows();
    }

    fn remove_own_rows(&mut self) -> RedisResult<()> {
        let frontend = self.frontend.clone();
        self.with(|connection| schema::remove_all(connection, &frontend))
    }

    /// Returns the replicas of all frontends.
    pub(super) fn containers(&mut self) -> RedisResult<Vec<ContainerInfo>> {
        self.with(schema::containers)
    }

    fn connect(&mut self) -> RedisResult<()> {
        let connection = self.client.get_connection_with_timeout(CONNECT_TIMEOUT)?;
        connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        connection.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        self.connection = Some(DebugConnection(connection));
        self.is_restored = false;
        Ok(())
    }

    /// Runs commands on the connection. An error closes it, because a late answer would be taken
    /// for the answer to the next command.
    fn with<T>(&mut self, act: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let Some(DebugConnection(mut connection)) = self.connection.take() else {
            let why = "not connected";
            return Err(RedisError::from((ErrorKind::Io, why)));
        };
        let done = act(&mut connection);
        if done.is_ok() {
            self.connection = Some(DebugConnection(connection));
        }
        done
    }
}
