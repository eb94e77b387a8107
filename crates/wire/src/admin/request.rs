//! Endpoints that take a JSON body, with their schemas, and the requests that the bodies contain.
//!
//! Clients with an invalid body receive the schema; its bytes are Clipper's.

use serde_json::Value;

use super::{
    AddApp, AddModel, ModelId, ModelLinks,
    fields::{FieldError, Fields},
};

/// Request to the admin API.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminRequest {
    /// Changes what is registered.
    Change(Change),
    /// Reads what is registered.
    Lookup(Lookup),
    /// Lists replicas.
    Containers(ContainerLookup),
}

/// Change of what is registered. The variants are named after their endpoints.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `add_app`.
    AddApp(AddApp),
    /// `delete_app`, by the application's name.
    DeleteApp(String),
    /// `add_model`.
    AddModel(AddModel),
    /// `delete_versioned_model`.
    DeleteModel(ModelId),
    /// `set_model_version`.
    SetVersion(ModelId),
    /// `add_model_links`.
    AddLinks(ModelLinks),
    /// `delete_model_links`.
    DeleteLinks(ModelLinks),
}

/// Lookup of what is registered. The variants are named after their endpoints.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// `get_all_applications`.
    Applications {
        /// Returns objects instead of names.
        verbose: bool,
    },
    /// `get_application`, by name.
    Application(String),
    /// `get_linked_models` of an application.
    LinkedModels(String),
    /// `get_all_models`.
    Models {
        /// Returns objects instead of names.
        verbose: bool,
    },
    /// `get_model`.
    Model(ModelId),
    /// `get_state` of an application, for any user.
    State(String),
}

/// Lookup of replicas, which Clipper calls containers.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerLookup {
    /// `get_all_containers`.
    All {
        /// Returns objects instead of names.
        verbose: bool,
    },
    /// `get_container`: the replica of a model version with this number.
    One(ModelId, i32),
}

/// Endpoint that takes a JSON body.
#[derive(Debug)]
pub struct Endpoint {
    /// Path of the endpoint after `/admin/`.
    pub name: &'static str,
    schema: &'static str,
    read: fn(Fields<'_>) -> Result<AdminRequest, FieldError>,
}

/// Error of a body that does not match the schema. The client receives its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

impl Endpoint {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field is missing or of the wrong type.
    pub fn request(&self, body: &Value) -> Result<AdminRequest, BodyError> {
        (self.read)(Fields(body)).map_err(|error| match error {
            FieldError::Schema(text) => self.refusal(&text),
            FieldError::InputType(unknown) => BodyError(unknown.to_string()),
        })
    }

    /// Returns the error for a body that is not valid for this endpoint.
    pub fn refusal(&self, why: &str) -> BodyError {
        let schema = self.schema;
        BodyError(format!(
            "Error parsing JSON: {why}. Expected JSON schema: {schema}"
        ))
    }
}

/// Endpoints that take a JSON body.
pub const ENDPOINTS: [Endpoint; 15] = [
    Endpoint {
        name: "add_app",
        schema: ADD_APP,
        read: |body| Ok(AdminRequest::Change(Change::AddApp(add_app(body)?))),
    },
    Endpoint {
        name: "delete_app",
        schema: ADD_APP,
        read: |body| {
            Ok(AdminRequest::Change(Change::DeleteApp(
                body.string("name")?,
            )))
        },
    },
    Endpoint {
        name: "add_model_links",
        schema: "\n  {\n    \"app_name\" := string,\n    \"model_names\" := [string]\n  }\n",
        read: |body| Ok(AdminRequest::Change(Change::AddLinks(links(body)?))),
    },
    Endpoint {
        name: "delete_model_links",
        schema: "\n  {\n  \"app_name\" := string,\n  \"model_names\" := [string]\n  }\n",
        read: |body| Ok(AdminRequest::Change(Change::DeleteLinks(links(body)?))),
    },
    Endpoint {
        name: "add_model",
        schema: ADD_MODEL,
        read: |body| Ok(AdminRequest::Change(Change::AddModel(add_model(body)?))),
    },
    Endpoint {
        name: "delete_versioned_model",
        schema: MODEL_VERSION,
        read: |body| Ok(AdminRequest::Change(Change::DeleteModel(model(body)?))),
    },
    Endpoint {
        name: "set_model_version",
        schema: MODEL_VERSION,
        read: |body| Ok(AdminRequest::Change(Change::SetVersion(model(body)?))),
    },
    Endpoint {
        name: "get_all_applications",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(AdminRequest::Lookup(Lookup::Applications { verbose }))
        },
    },
    Endpoint {
        name: "get_application",
        schema: "\n  {\n    \"name\" := string\n  }\n",
        read: |body| {
            Ok(AdminRequest::Lookup(Lookup::Application(
                body.string("name")?,
            )))
        },
    },
    Endpoint {
        name: "get_linked_models",
        schema: "\n  {\n    \"app_name\" := string\n  }\n",
        read: |body| {
            Ok(AdminRequest::Lookup(Lookup::LinkedModels(
                body.string("app_name")?,
            )))
        },
    },
    Endpoint {
        name: "get_all_models",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(AdminRequest::Lookup(Lookup::Models { verbose }))
        },
    },
    Endpoint {
        name: "get_model",
        schema: "\n  {\n    \"model_name\" := string,\n    \"model_version\" := string\n  }\n",
        read: |body| Ok(AdminRequest::Lookup(Lookup::Model(model(body)?))),
    },
    Endpoint {
        name: "get_all_containers",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(AdminRequest::Containers(ContainerLookup::All { verbose }))
        },
    },
    Endpoint {
        name: "get_container",
        schema: GET_CONTAINER,
        read: |body| {
            let one = ContainerLookup::One(model(body)?, body.integer("replica_id")?);
            Ok(AdminRequest::Containers(one))
        },
    },
    Endpoint {
        name: "get_state",
        schema: "\n  {\n   \"app_name\" := string,\n   \"uid\" := int,\n  }\n",
        read: |body| {
            let app = body.string("app_name")?;
            body.integer::<i32>("uid")?;
            Ok(AdminRequest::Lookup(Lookup::State(app)))
        },
    },
];

const ADD_APP: &str = r#"
  {
   "name" := string,
   "input_type" := "integers" | "bytes" | "floats" | "doubles" | "strings",
   "default_output" := string,
   "latency_slo_micros" := int
  }
"#;

/// As in Clipper, the schema lacks the batch size although the field is required.
const ADD_MODEL: &str = r#"
  {
   "model_name" := string,
   "model_version" := string,
   "labels" := [string],
   "input_type" := "integers" | "bytes" | "floats" | "doubles" | "strings",
   "container_name" := string,
   "model_data_path" := string
  }
"#;

const MODEL_VERSION: &str = r#"
  {
   "model_name" := string,
   "model_version" := string,
  }
"#;

const VERBOSE: &str = r#"
  {
    "verbose" := bool
  }
"#;

const GET_CONTAINER: &str = r#"
  {
    "model_name" := string,
    "model_version" := string,
    "replica_id" := int
  }
"#;

fn add_app(body: Fields<'_>) -> Result<AddApp, FieldError> {
    Ok(AddApp {
        name: body.string("name")?,
        input_type: body.input_type("input_type")?,
        default_output: body.string("default_output")?,
        latency_slo_micros: body.integer("latency_slo_micros")?,
    })
}

fn add_model(body: Fields<'_>) -> Result<AddModel, FieldError> {
    Ok(AddModel {
        model_name: body.string("model_name")?,
        model_version: body.string("model_version")?,
        labels: body.strings("labels")?,
        input_type: body.input_type("input_type")?,
        container_name: body.string("container_name")?,
        model_data_path: body.string("model_data_path")?,
        batch_size: body.integer("batch_size")?,
    })
}

fn links(body: Fields<'_>) -> Result<ModelLinks, FieldError> {
    Ok(ModelLinks {
        app_name: body.string("app_name")?,
        model_names: body.strings("model_names")?,
    })
}

fn model(body: Fields<'_>) -> Result<ModelId, FieldError> {
    Ok(ModelId {
        model_name: body.string("model_name")?,
        model_version: body.string("model_version")?,
    })
}
