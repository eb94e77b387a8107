//! The bodies of the admin REST API on port 1338, with Clipper's field names.

mod fields;
mod request;

use model::DataType;
use serde::{Deserialize, Serialize};

use crate::rpc::Metadata;

pub use request::{BodyError, Change, Containers, ENDPOINTS, Endpoint, Look, Request};

/// `POST /admin/add_app`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddApp {
    /// The application's name.
    pub name: String,
    /// The type of its inputs.
    pub input_type: DataType,
    /// What a query is answered with when its time is up.
    pub default_output: String,
    /// The latency objective, in microseconds; Clipper's is 32 bits wide. Whatever is not positive is no time at all.
    pub latency_slo_micros: i64,
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
    /// The type of its inputs.
    pub input_type: DataType,
    /// The image that serves it; told back, not used.
    pub container_name: String,
    /// Where its artifact lies; told back, not used.
    pub model_data_path: String,
    /// The largest batch, or -1 to leave it to the frontend.
    pub batch_size: i32,
}

/// `POST /admin/add_model_links` and `delete_model_links`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelLinks {
    /// The application.
    pub app_name: String,
    /// Exactly one model where links are added.
    pub model_names: Vec<String>,
}

/// `POST /admin/set_model_version`, `delete_versioned_model` and `get_model`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelId {
    /// The model.
    pub model_name: String,
    /// One of its versions.
    pub model_version: String,
}

/// An application, in the answers of `get_application` and `get_all_applications`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// The type of its inputs.
    pub input_type: DataType,
    /// What a query is answered with when its time is up.
    pub default_output: String,
    /// The latency objective, in microseconds.
    pub latency_slo_micros: i64,
    /// Its name.
    pub name: String,
    /// The model that it is linked to, if it is.
    pub linked_models: Vec<String>,
}

/// A model version, in the answers of `get_model` and `get_all_models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The model's name.
    pub model_name: String,
    /// The version.
    pub model_version: String,
    /// The type of its inputs.
    pub input_type: DataType,
    /// Free text; one empty label where there is none, as in Clipper.
    pub labels: Vec<String>,
    /// The image that serves it.
    pub container_name: String,
    /// Where its artifact lies.
    pub model_data_path: String,
    /// Whether queries go to this version.
    pub is_current_version: bool,
}

/// A replica as Clipper tells of it, in the answers of `get_container` and `get_all_containers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// `name:version` of its model.
    pub model_id: String,
    /// The model's name.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// Its number among the replicas of that version.
    pub model_replica_id: u32,
    /// The type of its inputs.
    pub input_type: DataType,
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
