//! Every endpoint with its schema, and its body to what is wanted.
//!
//! The schemas are told to clients whose JSON is wrong: their bytes are Clipper's.

use serde_json::Value;

use super::{
    AddApp, AddModel, ModelId, ModelLinks,
    fields::{Fields, Wrong},
};

/// What a client of the admin API wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// That something be otherwise.
    Change(Change),
    /// To know what is registered.
    Look(Look),
    /// To know which replicas there are.
    Containers(Containers),
}

/// A change of what is registered.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `add_app`
    AddApp(AddApp),
    /// `delete_app`, by its name
    DeleteApp(String),
    /// `add_model`
    AddModel(AddModel),
    /// `delete_versioned_model`
    DeleteModel(ModelId),
    /// `set_model_version`
    SetVersion(ModelId),
    /// `add_model_links`
    AddLinks(ModelLinks),
    /// `delete_model_links`
    DeleteLinks(ModelLinks),
}

/// A question about what is registered.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// `get_all_applications`
    Applications {
        /// Objects instead of names.
        verbose: bool,
    },
    /// `get_application`, by its name
    Application(String),
    /// `get_linked_models` of an application
    LinkedModels(String),
    /// `get_all_models`
    Models {
        /// Objects instead of names.
        verbose: bool,
    },
    /// `get_model`
    Model(ModelId),
    /// `get_state` of an application, for any user
    State(String),
}

/// A question about replicas.
#[derive(Clone, Debug, PartialEq)]
pub enum Containers {
    /// `get_all_containers`
    All {
        /// Objects instead of names.
        verbose: bool,
    },
    /// `get_container`: a model version's replica with this number
    One(ModelId, i32),
}

/// An endpoint that takes a JSON body.
#[derive(Debug)]
pub struct Endpoint {
    /// What follows `/admin/` in its path.
    pub name: &'static str,
    schema: &'static str,
    read: fn(Fields<'_>) -> Result<Request, Wrong>,
}

/// A body that is not what its endpoint takes, in the words that the client gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

impl Endpoint {
    /// What a body asks for.
    ///
    /// # Errors
    /// If a field is missing or of the wrong type.
    pub fn request(&self, body: &Value) -> Result<Request, BodyError> {
        (self.read)(Fields(body)).map_err(|wrong| match wrong {
            Wrong::Schema(text) => self.refusal(&text),
            Wrong::InputType(unknown) => BodyError(unknown.to_string()),
        })
    }

    /// What a client is told whose body is not what this endpoint takes.
    pub fn refusal(&self, why: &str) -> BodyError {
        let schema = self.schema;
        BodyError(format!(
            "Error parsing JSON: {why}. Expected JSON schema: {schema}"
        ))
    }
}

/// Every endpoint that takes a JSON body.
pub const ENDPOINTS: [Endpoint; 15] = [
    Endpoint {
        name: "add_app",
        schema: ADD_APP,
        read: |body| Ok(Request::Change(Change::AddApp(add_app(body)?))),
    },
    Endpoint {
        name: "delete_app",
        schema: ADD_APP,
        read: |body| Ok(Request::Change(Change::DeleteApp(body.string("name")?))),
    },
    Endpoint {
        name: "add_model_links",
        schema: "\n  {\n    \"app_name\" := string,\n    \"model_names\" := [string]\n  }\n",
        read: |body| Ok(Request::Change(Change::AddLinks(links(body)?))),
    },
    Endpoint {
        name: "delete_model_links",
        schema: "\n  {\n  \"app_name\" := string,\n  \"model_names\" := [string]\n  }\n",
        read: |body| Ok(Request::Change(Change::DeleteLinks(links(body)?))),
    },
    Endpoint {
        name: "add_model",
        schema: ADD_MODEL,
        read: |body| Ok(Request::Change(Change::AddModel(add_model(body)?))),
    },
    Endpoint {
        name: "delete_versioned_model",
        schema: MODEL_VERSION,
        read: |body| Ok(Request::Change(Change::DeleteModel(model(body)?))),
    },
    Endpoint {
        name: "set_model_version",
        schema: MODEL_VERSION,
        read: |body| Ok(Request::Change(Change::SetVersion(model(body)?))),
    },
    Endpoint {
        name: "get_all_applications",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(Request::Look(Look::Applications { verbose }))
        },
    },
    Endpoint {
        name: "get_application",
        schema: "\n  {\n    \"name\" := string\n  }\n",
        read: |body| Ok(Request::Look(Look::Application(body.string("name")?))),
    },
    Endpoint {
        name: "get_linked_models",
        schema: "\n  {\n    \"app_name\" := string\n  }\n",
        read: |body| Ok(Request::Look(Look::LinkedModels(body.string("app_name")?))),
    },
    Endpoint {
        name: "get_all_models",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(Request::Look(Look::Models { verbose }))
        },
    },
    Endpoint {
        name: "get_model",
        schema: "\n  {\n    \"model_name\" := string,\n    \"model_version\" := string\n  }\n",
        read: |body| Ok(Request::Look(Look::Model(model(body)?))),
    },
    Endpoint {
        name: "get_all_containers",
        schema: VERBOSE,
        read: |body| {
            let verbose = body.boolean("verbose")?;
            Ok(Request::Containers(Containers::All { verbose }))
        },
    },
    Endpoint {
        name: "get_container",
        schema: GET_CONTAINER,
        read: |body| {
            let one = Containers::One(model(body)?, body.integer("replica_id")?);
            Ok(Request::Containers(one))
        },
    },
    Endpoint {
        name: "get_state",
        schema: "\n  {\n   \"app_name\" := string,\n   \"uid\" := int,\n  }\n",
        read: |body| {
            let app = body.string("app_name")?;
            body.integer::<i32>("uid")?;
            Ok(Request::Look(Look::State(app)))
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

/// It does not name the batch size, which is wanted all the same.
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

fn add_app(body: Fields<'_>) -> Result<AddApp, Wrong> {
    Ok(AddApp {
        name: body.string("name")?,
        input_type: body.input_type("input_type")?,
        default_output: body.string("default_output")?,
        latency_slo_micros: body.integer("latency_slo_micros")?,
    })
}

fn add_model(body: Fields<'_>) -> Result<AddModel, Wrong> {
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

fn links(body: Fields<'_>) -> Result<ModelLinks, Wrong> {
    Ok(ModelLinks {
        app_name: body.string("app_name")?,
        model_names: body.strings("model_names")?,
    })
}

fn model(body: Fields<'_>) -> Result<ModelId, Wrong> {
    Ok(ModelId {
        model_name: body.string("model_name")?,
        model_version: body.string("model_version")?,
    })
}
