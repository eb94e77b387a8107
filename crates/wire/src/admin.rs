//! The bodies of the admin REST API on port 1338, with Clipper's field names.

use model::DataType;
use serde::{Deserialize, Serialize};

use crate::rpc::Metadata;

/// `POST /admin/add_app`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddApp {
    /// The application's name.
    pub name: String,
    /// The type of its inputs, by any of Clipper's names.
    pub input_type: String,
    /// What a query is answered with when its time is up.
    pub default_output: String,
    /// The latency objective, in microseconds.
    pub latency_slo_micros: u64,
}

/// `POST /admin/add_model`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddModel {
    /// The model's name.
    pub model_name: String,
    /// The version, which becomes the current one.
    pub model_version: String,
    /// Free text.
    pub labels: Vec<String>,
    /// The type of its inputs, by any of Clipper's names.
    pub input_type: String,
    /// The image that serves it; told back, not used.
    pub container_name: String,
    /// Where its artifact lies; told back, not used.
    pub model_data_path: String,
    /// The largest batch, or -1 to leave it to the frontend.
    pub batch_size: i32,
}

/// `POST /admin/add_model_links`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddModelLinks {
    /// The application.
    pub app_name: String,
    /// Exactly one model.
    pub model_names: Vec<String>,
}

/// `POST /admin/set_model_version`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetModelVersion {
    /// The model.
    pub model_name: String,
    /// One of its versions.
    pub model_version: String,
}

/// One replica in the answer to `GET /admin/replicas` (ours: Clipper has no such endpoint).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// The model's name.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// Its number among the replicas of that version.
    pub replica_id: u32,
    /// The type of its inputs.
    pub input_type: DataType,
    /// What it told of itself; absent in RPC version 3.
    pub metadata: Option<Metadata>,
    /// Batches that it has answered.
    pub batches: u64,
    /// Queries that it has answered.
    pub queries: u64,
}
