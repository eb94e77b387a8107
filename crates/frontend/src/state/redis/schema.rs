//! Clipper's databases, keys and fields in Redis.
//!
//! Two things are not in Clipper: the counters of replicas, `NEXT_REPLICA_ID:<model>:<version>` in
//! database 6, and the field `frontend` of a container's row, which names its frontend.

use std::collections::HashMap;

use model::DataType;
use redis::{Connection, FromRedisValue, Pipeline, RedisResult, cmd, pipe};
use scheduler::ModelVersion;
use serde_json::json;
use wire::{
    admin::{AddApp, AddModel, ContainerInfo},
    rpc::NewContainer,
};

use crate::catalog::{CatalogChange, Registrations, id};

/// `<app>:0:0` -> the state of its selection policy, which is its default output.
const STATES: u8 = 1;
/// `<model>:<version>` -> a hash.
const MODELS: u8 = 2;
/// `<model>,<version>,<replica>` -> a hash.
const CONTAINERS: u8 = 3;
/// `<app>` -> a hash.
const APPS: u8 = 5;
/// `CURRENT_MODEL_VERSION:<model>` -> a version.
const METADATA: u8 = 6;
/// `<app>` -> a set of models.
const LINKS: u8 = 7;

const CURRENT: &str = "CURRENT_MODEL_VERSION:";

/// The fields of a Redis hash.
type Fields = HashMap<String, String>;

/// A row of this frontend in database 3.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::state) struct ContainerRow {
    pub(super) model: ModelVersion,
    pub(super) replica_id: u32,
    connection_id: u32,
    input_type: DataType,
}

impl ContainerRow {
    /// Returns the row of a model server that has no replica number yet. Clipper's connection ids
    /// are numbers, so the id is the last four bytes of `identity`.
    pub(in crate::state) fn new(identity: &[u8], new: &NewContainer) -> ContainerRow {
        let number = identity.last_chunk().copied().map(u32::from_be_bytes);
        ContainerRow {
            model: ModelVersion {
                name: new.name.clone(),
                version: new.version.clone(),
            },
            replica_id: 0,
            // Clipper reads the id as a signed number.
            connection_id: number.unwrap_or(0) & 0x7fff_ffff,
            input_type: new.input_type,
        }
    }

    /// Returns the row with a replica number.
    pub(super) fn numbered(&self, replica_id: u32) -> ContainerRow {
        let row = self.clone();
        ContainerRow { replica_id, ..row }
    }
}

/// Enables keyspace notifications.
pub(super) fn enable_notifications(connection: &mut Connection) -> RedisResult<()> {
    let mut config = cmd("CONFIG");
    let config = config.arg("SET").arg("notify-keyspace-events").arg("AKE");
    config.exec(connection)
}

/// Returns the patterns to subscribe to. Container rows are left out: only their own frontend uses
/// them.
pub(super) fn notification_patterns() -> impl Iterator<Item = String> {
    let databases = [APPS, LINKS, MODELS, METADATA];
    databases
        .map(|db| format!("__keyspace@{db}__:*"))
        .into_iter()
}

/// Reads everything but the container rows. Of several linked models only the first counts, as in
/// Clipper.
pub(super) fn read(connection: &mut Connection) -> RedisResult<Registrations> {
    let mut registrations = Registrations::default();
    for (name, fields) in hashes(connection, APPS)? {
        match app(&name, &fields) {
            Some(app) => registrations.apply(CatalogChange::SetApp(app)),
            None => {
                tracing::warn!("ignored the application '{name}' in Redis: its fields are invalid")
            }
        }
    }
    let apps = keys(connection, LINKS, "*")?;
    let sets: Vec<Vec<String>> = query_each(connection, "SMEMBERS", &apps)?;
    for (app, models) in apps.into_iter().zip(sets) {
        // Clipper leaves an application's links behind when it deletes it.
        if let Some(model) = models.into_iter().min()
            && registrations.apps.contains_key(&app)
        {
            registrations.links.insert(app, model);
        }
    }
    for (key, fields) in hashes(connection, MODELS)? {
        match model(&fields) {
            Some(model) => {
                let id = id(&model);
                registrations.apply(CatalogChange::SetModel(model));
                if !fields.contains_key("valid") {
                    registrations.invalid.insert(id);
                }
            }
            None => tracing::warn!("ignored the model '{key}' in Redis: its fields are invalid"),
        }
    }
    let keys = keys(connection, METADATA, &format!("{CURRENT}*"))?;
    let versions: Vec<Option<String>> = query_each(connection, "GET", &keys)?;
    for (key, version) in keys.iter().zip(versions) {
        if let (Some(model), Some(version)) = (key.strip_prefix(CURRENT), version) {
            registrations.current.insert(model.to_owned(), version);
        }
    }
    Ok(registrations)
}

/// Writes the changes in one transaction.
pub(super) fn write(connection: &mut Connection, changes: &[CatalogChange]) -> RedisResult<()> {
    let mut transaction = pipe();
    transaction.atomic();
    for change in changes {
        write_step(&mut transaction, change);
    }
    match changes {
        [] => Ok(()),
        _ => transaction.exec(connection),
    }
}

fn write_step(to: &mut Pipeline, change: &CatalogChange) {
    match change {
        CatalogChange::SetApp(app) => {
            let fields = [
                ("input_type", app.input_type.name()),
                ("policy", "DefaultOutputSelectionPolicy"),
                ("default_output", &app.default_output),
                ("latency_slo_micros", &app.latency_slo_micros.to_string()),
            ];
            select(to, APPS).cmd("HSET").arg(&app.name).arg(&fields);
            write_state(to, app);
        }
        CatalogChange::RemoveApp(app) => {
            select(to, APPS).cmd("DEL").arg(app);
            select(to, LINKS).cmd("DEL").arg(app);
            select(to, STATES).cmd("DEL").arg(state_key(app));
        }
        CatalogChange::SetModel(model) => {
            let key = id(model).to_string();
            select(to, MODELS).cmd("HSET").arg(key);
            to.arg(&model_fields(model));
        }
        CatalogChange::RemoveModel(model) => {
            // Clipper's query frontends delete a model when `valid` is removed.
            let key = model.to_string();
            select(to, MODELS).cmd("HDEL").arg(&key).arg("valid");
            to.cmd("DEL").arg(&key);
        }
        CatalogChange::SetCurrent(model) => {
            let key = format!("{CURRENT}{}", model.name);
            select(to, METADATA).cmd("SET").arg(key).arg(&model.version);
        }
        CatalogChange::Link { app, model } => {
            select(to, LINKS).cmd("SADD").arg(app).arg(model);
        }
        CatalogChange::Unlink { app, model } => {
            select(to, LINKS).cmd("SREM").arg(app).arg(model);
        }
    }
}

fn model_fields(model: &AddModel) -> [(&'static str, String); 9] {
    [
        ("model_name", model.model_name.clone()),
        ("model_version", model.model_version.clone()),
        ("load", "0.000000".to_owned()),
        ("input_type", model.input_type.to_string()),
        ("labels", model.labels.join(",")),
        ("container_name", model.container_name.clone()),
        ("model_data_path", model.model_data_path.clone()),
        ("batch_size", model.batch_size.to_string()),
        ("valid", String::new()),
    ]
}

/// Writes the states of applications that are new to this frontend, as Clipper's query frontends
/// do.
pub(super) fn put_states<'a>(
    connection: &mut Connection,
    apps: impl Iterator<Item = &'a AddApp>,
) -> RedisResult<()> {
    let mut put = pipe();
    apps.for_each(|app| write_state(&mut put, app));
    match put.is_empty() {
        true => Ok(()),
        false => put.exec(connection),
    }
}

fn write_state(to: &mut Pipeline, app: &AddApp) {
    let state = json!({ "y_hat": app.default_output }).to_string();
    let key = state_key(&app.name);
    select(to, STATES).cmd("SET").arg(key).arg(state);
}

/// Returns the number for the next replica of a model version. A Redis that lost its data counts
/// from 0 again, so numbers in use are skipped.
pub(super) fn next_id(connection: &mut Connection, model: &ModelVersion) -> RedisResult<u32> {
    loop {
        let mut count = pipe();
        let counter = format!("NEXT_REPLICA_ID:{model}");
        select(&mut count, METADATA).cmd("INCR").arg(counter);
        let (count,): (u32,) = count.query(connection)?;
        let replica_id = count.saturating_sub(1);
        let mut taken = pipe();
        let taken = select(&mut taken, CONTAINERS);
        taken.cmd("EXISTS").arg(container_key(model, replica_id));
        let (taken,): (bool,) = taken.query(connection)?;
        if !taken {
            return Ok(replica_id);
        }
    }
}

/// Writes a row of database 3.
pub(super) fn put(
    connection: &mut Connection,
    row: &ContainerRow,
    frontend: &str,
) -> RedisResult<()> {
    let fields = [
        ("model_id", row.model.to_string()),
        ("model_name", row.model.name.clone()),
        ("model_version", row.model.version.clone()),
        ("model_replica_id", row.replica_id.to_string()),
        ("zmq_connection_id", row.connection_id.to_string()),
        ("batch_size", "1".to_owned()),
        ("input_type", row.input_type.to_string()),
        ("frontend", frontend.to_owned()),
    ];
    let key = container_key(&row.model, row.replica_id);
    let mut put = pipe();
    select(&mut put, CONTAINERS)
        .cmd("HSET")
        .arg(key)
        .arg(&fields);
    put.exec(connection)
}

/// Removes a row of database 3.
pub(super) fn remove(
    connection: &mut Connection,
    model: &ModelVersion,
    replica_id: u32,
) -> RedisResult<()> {
    let key = container_key(model, replica_id);
    let mut remove = pipe();
    select(&mut remove, CONTAINERS).cmd("DEL").arg(key);
    remove.exec(connection)
}

/// Removes all rows of this frontend from database 3.
pub(super) fn remove_all(connection: &mut Connection, frontend: &str) -> RedisResult<()> {
    let rows = hashes(connection, CONTAINERS)?.into_iter();
    let mine = rows.filter(|(_, fields)| fields.get("frontend").is_some_and(|f| f == frontend));
    let mut remove = pipe();
    select(&mut remove, CONTAINERS);
    for (key, _) in mine {
        remove.cmd("DEL").arg(key);
    }
    remove.exec(connection)
}

/// Returns the rows of database 3, of all frontends.
pub(super) fn containers(connection: &mut Connection) -> RedisResult<Vec<ContainerInfo>> {
    let rows = hashes(connection, CONTAINERS)?;
    let container = |fields: Fields| {
        Some(ContainerInfo {
            model_id: fields.get("model_id")?.clone(),
            model_name: fields.get("model_name")?.clone(),
            model_version: fields.get("model_version")?.clone(),
            model_replica_id: fields.get("model_replica_id")?.parse().ok()?,
            input_type: fields.get("input_type")?.parse().ok()?,
        })
    };
    let rows = rows.into_iter();
    Ok(rows.filter_map(|(_, fields)| container(fields)).collect())
}

fn app(name: &str, fields: &Fields) -> Option<AddApp> {
    Some(AddApp {
        name: name.to_owned(),
        input_type: fields.get("input_type")?.parse().ok()?,
        default_output: fields.get("default_output")?.clone(),
        latency_slo_micros: fields.get("latency_slo_micros")?.parse().ok()?,
    })
}

/// Parses a model's hash. The oldest frontends wrote no batch size.
fn model(fields: &Fields) -> Option<AddModel> {
    let text = |field: &str| fields.get(field).cloned().unwrap_or_default();
    let labels = text("labels");
    let labels = labels.split(',').filter(|label| !label.is_empty());
    let batch_size = fields.get("batch_size");
    Some(AddModel {
        model_name: fields.get("model_name")?.clone(),
        model_version: fields.get("model_version")?.clone(),
        labels: labels.map(str::to_owned).collect(),
        input_type: fields.get("input_type")?.parse().ok()?,
        container_name: text("container_name"),
        model_data_path: text("model_data_path"),
        batch_size: batch_size.map_or(Some(-1), |size| size.parse().ok())?,
    })
}

fn container_key(model: &ModelVersion, replica_id: u32) -> String {
    format!("{},{},{replica_id}", model.name, model.version)
}

fn state_key(app: &str) -> String {
    format!("{app}:0:0")
}

fn select(pipeline: &mut Pipeline, database: u8) -> &mut Pipeline {
    pipeline.cmd("SELECT").arg(database).ignore()
}

fn keys(connection: &mut Connection, database: u8, pattern: &str) -> RedisResult<Vec<String>> {
    let mut keys = pipe();
    select(&mut keys, database).cmd("KEYS").arg(pattern);
    let (keys,): (Vec<Vec<u8>>,) = keys.query(connection)?;
    // Clipper writes only keys in UTF-8; a lossy copy of any other key matches nothing.
    Ok(keys.iter().map(|key| text(key)).collect())
}

/// Returns the hashes of a database with their keys. A hash deleted meanwhile is left out.
fn hashes(connection: &mut Connection, database: u8) -> RedisResult<Vec<(String, Fields)>> {
    let keys = keys(connection, database, "*")?;
    let hashes: Vec<HashMap<Vec<u8>, Vec<u8>>> = query_each(connection, "HGETALL", &keys)?;
    let hashes = hashes.into_iter().map(|hash| {
        let fields = hash.iter().map(|(name, value)| (text(name), text(value)));
        fields.collect::<Fields>()
    });
    let rows = keys.into_iter().zip(hashes);
    Ok(rows.filter(|(_, fields)| !fields.is_empty()).collect())
}

/// Converts bytes to text: Clipper writes any bytes it receives.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the answers of a command for each key, in the selected database.
fn query_each<T: FromRedisValue>(
    connection: &mut Connection,
    command: &str,
    keys: &[String],
) -> RedisResult<Vec<T>> {
    let mut queries = pipe();
    for key in keys {
        queries.cmd(command).arg(key);
    }
    match keys {
        // Redis refuses an empty pipeline.
        [] => Ok(Vec::new()),
        _ => queries.query(connection),
    }
}
