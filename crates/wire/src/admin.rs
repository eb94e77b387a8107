//! Bodies of the admin REST API on port 1338, with Clipper's field names.

mod fields;
mod request;

use model::DataType;
use serde::{Deserialize, Serialize};

use crate::rpc::Metadata;

pub use request::{AdminRequest, BodyError, Change, ContainerLookup, ENDPOINTS, Endpoint, Lookup};

/// Body of `POST /admin/add_app`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddApp {
    /// Name of the application.
    pub name: String,
    /// Type of its inputs.
    pub input_type: DataType,
    /// Output for queries that miss their deadline.
    pub default_output: String,
    /// Latency objective in microseconds; Clipper's is 32 bits wide. A value below 1 leaves no time
    /// at all.
    pub latency_slo_micros: i64,
}

/// Body of `POST /admin/add_model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddModel {
    /// Name of the model.
    pub model_name: String,
    /// Version, which becomes the current one.
    pub model_version: String,
    /// Free text.
    pub labels: Vec<String>,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Image that serves the model; stored and returned, but not used.
    pub container_name: String,
    /// Path of the artifact; stored and returned, but not used.
    pub model_data_path: String,
    /// Maximum batch size, or -1 for the frontend's choice.
    pub batch_size: i32,
}

/// Body of `POST /admin/add_model_links` and `delete_model_links`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelLinks {
    /// Name of the application.
    pub app_name: String,
    /// Names of the models; exactly one when links are added.
    pub model_names: Vec<String>,
}

/// Body of `POST /admin/set_model_version`, `delete_versioned_model` and `get_model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelId {
    /// Name of the model.
    pub model_name: String,
    /// One of its versions.
    pub model_version: String,
}

/// Application in the answers of `get_application` and `get_all_applications`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationInfo {
    /// Type of the inputs.
    pub input_type: DataType,
    /// Output for queries that miss their deadline.
    pub default_output: String,
    /// Latency objective in microseconds.
    pub latency_slo_micros: i64,
    /// Name of the application.
    pub name: String,
    /// Linked model, if any.
    pub linked_models: Vec<String>,
}

/// Model version in the answers of `get_model` and `get_all_models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersionInfo {
    /// Name of the model.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Free text; a single empty label if there is none, as in Clipper.
    pub labels: Vec<String>,
    /// Image that serves the model.
    pub container_name: String,
    /// Path of the artifact.
    pub model_data_path: String,
    /// True if queries go to this version.
    pub is_current_version: bool,
}

/// Replica in Clipper's form, in the answers of `get_container` and `get_all_containers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Model and version, as `name:version`.
    pub model_id: String,
    /// Name of the model.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Number of the replica among those of its model version.
    pub model_replica_id: u32,
    /// Type of the inputs.
    pub input_type: DataType,
}

/// Health of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaHealth {
    /// The replica gets batches.
    #[default]
    Serving,
    /// A batch takes far longer than expected: the replica gets none until it answers.
    Hung,
    /// The replica failed several batches in a row: it gets single queries as probes.
    Ejected,
}

/// Replica in the answer to `GET /admin/replicas`, an endpoint that Clipper does not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaInfo {
    /// Name of the model.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Number of the replica among those of its model version.
    pub replica_id: u32,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Health of the replica.
    #[serde(default)]
    pub state: ReplicaHealth,
    /// Metadata of its registration; absent in RPC version 3.
    pub metadata: Option<Metadata>,
    /// Number of batches answered.
    pub batches: u64,
    /// Number of queries answered.
    pub queries: u64,
}
