//! The Open Inference Protocol (KServe v2) over HTTP, with its extension for binary tensors.
//!
//! A model is an application, or the first application that is linked to a model of this name. A row of its one input
//! tensor (whatever that is called) is a query; the rows of the tensor `output` are the answers. Whoever asks here wants the
//! model's answer: where there is none, the whole request is an error, and the default output is not told.

mod deployed;
mod failure;
pub(super) mod shape;
pub(super) mod tensor;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use model::DataType;
use scheduler::{Reason, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, shared::Shared, tickets::Ticket};
use crate::{
    command::{self, Command},
    query_result::{QueryResult, QueryStatus},
};
use deployed::{Deployed, Named};
use failure::{Failure, bad_request, stopping};
use shape::{TensorSpec, datatype};
use tensor::{Input, Output, Parameters, Rows};

/// Where the JSON ends in a body with binary tensors.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Rows that a client may think of as one batch: the frontend forms its own.
const MAX_BATCH_SIZE: usize = 1_024;

pub(super) fn routes() -> Router<Shared> {
    let live = || get(async || Json(json!({ "live": true })));
    let mut routes = Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", live())
        .route("/v2/health/ready", get(server_ready));
    for model in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        routes = routes
            .route(model, get(metadata))
            .route(&format!("{model}/ready"), get(ready))
            .route(&format!("{model}/config"), get(config))
            .route(&format!("{model}/infer"), post(infer));
    }
    routes
}

#[derive(Debug, Deserialize)]
pub(super) struct InferRequest {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Wanted>,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "clipper",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration"],
    }))
}

async fn server_ready(State(shared): State<Shared>) -> Result<Json<Value>, Failure> {
    shared
        .engine
        .ask(Command::Sync)
        .await
        .ok_or_else(stopping)?;
    Ok(Json(json!({ "ready": true })))
}

async fn ready(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, Failure> {
    let model = Deployed::find(&shared, &named)?;
    match model.replica(&shared).await? {
        Some(_) => Ok(Json(json!({ "name": named.model, "ready": true }))),
        None => Err(Failure(
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::NoReplica.as_str().into(),
        )),
    }
}

async fn metadata(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, Failure> {
    let model = Deployed::find(&shared, &named)?;
    let declared = model.declared(&shared);
    let tensor = |name, spec: TensorSpec| {
        let (data_type, shape) = (datatype(spec.data_type), spec.shape.to_json());
        json!([{ "name": name, "datatype": data_type, "shape": shape }])
    };
    Ok(Json(json!({
        "name": named.model,
        "versions": model.versions(),
        "platform": "clipper",
        "inputs": tensor("input", model.input(declared.as_ref())),
        "outputs": tensor("output", TensorSpec::output(declared.as_ref())),
    })))
}

/// As Triton tells it: some clients want nothing else.
async fn config(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, Failure> {
    let model = Deployed::find(&shared, &named)?;
    let declared = model.declared(&shared);
    let tensor = |name, spec: TensorSpec| {
        let data_type = match spec.data_type {
            DataType::Strings => "TYPE_STRING".to_owned(),
            other => format!("TYPE_{}", datatype(other)),
        };
        json!([{ "name": name, "data_type": data_type, "dims": spec.shape.row_to_json() }])
    };
    Ok(Json(json!({
        "name": named.model,
        "platform": "clipper",
        "backend": "clipper",
        "max_batch_size": MAX_BATCH_SIZE,
        "input": tensor("input", model.input(declared.as_ref())),
        "output": tensor("output", TensorSpec::output(declared.as_ref())),
    })))
}

async fn infer(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let model = Deployed::find(&shared, &named)?;
    let body = shared.limits.read(&parts.headers, body).await;
    let body = body.map_err(|body::Unreadable { status, cause }| Failure(status, cause))?;
    let (json, behind) = split(parts.headers.get(JSON_LENGTH), &body).map_err(bad_request)?;
    let spec = model.input(model.declared(&shared).as_ref());
    let (request, rows) = InferRequest::read(json, behind, &spec).map_err(bad_request)?;
    // It is longer than its rows, and answers may take their time.
    drop(body);
    let destination = model.destination(&shared, named.version.as_deref())?;
    let ask = |input| {
        let request = command::Request {
            app: destination.app.clone(),
            model: destination.model.clone(),
            input_type: spec.data_type,
            input,
        };
        shared.tickets.ask(&shared.engine, request)
    };
    let tickets: Vec<_> = rows.inputs.into_iter().map(ask).collect();
    let answers = predictions(tickets).await;
    if !spec.is_declared {
        // The first replica, which declares the shape, may have joined after the request was read.
        let spec = model.input(model.declared(&shared).as_ref());
        spec.check(&rows.head).map_err(bad_request)?;
    }
    let answers = answers?;
    let failed = |text| Failure(StatusCode::INTERNAL_SERVER_ERROR, text);
    let output = Output::of(&answers).map_err(failed)?;
    let wanted = request
        .outputs
        .first()
        .and_then(|wanted| wanted.parameters.binary_data);
    let binary = wanted.or(request.parameters.binary_data_output);
    let head = json!({
        "model_name": named.model,
        "model_version": model.version.as_ref().map_or("", |model| &model.version),
        "id": request.id.unwrap_or_default(),
    });
    if binary.unwrap_or(false) {
        Ok(binary_response(head, output))
    } else {
        json_response(head, &output).map_err(failed)
    }
}

/// The JSON, whose length a header may say, and what stands behind it.
pub(super) fn split<'a>(
    length: Option<&HeaderValue>,
    body: &'a [u8],
) -> Result<(&'a [u8], &'a [u8]), &'static str> {
    let Some(length) = length else {
        return Ok((body, &[]));
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    let parts = length.and_then(|length| body.split_at_checked(length));
    parts.ok_or("Inference-Header-Content-Length is not within the body")
}

impl InferRequest {
    /// Reads the JSON: what is asked for, and the rows of its one input, which must be what `spec` says and whose data
    /// may stand behind it.
    pub(super) fn read(
        json: &[u8],
        behind: &[u8],
        spec: &TensorSpec,
    ) -> Result<(InferRequest, Rows), String> {
        let mut request: InferRequest =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut outputs = request.outputs.iter();
        if let Some(other) = outputs.find(|wanted| wanted.name != "output") {
            let name = &other.name;
            return Err(format!("there is no output '{name}', only 'output'"));
        }
        let inputs = std::mem::take(&mut request.inputs);
        let Ok([input]) = <[Input; 1]>::try_from(inputs) else {
            return Err("there must be one input".into());
        };
        let rows = input.rows(spec, behind)?;
        Ok((request, rows))
    }
}

/// The model's answers to all queries, or why one has none.
async fn predictions(tickets: Vec<Ticket<'_>>) -> Result<Vec<QueryResult<'static>>, Failure> {
    let mut answers = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let result = ticket.result().await.ok_or_else(stopping)?;
        answers.push(predicted(result)?);
    }
    Ok(answers)
}

/// The model's answer, or why there is none.
fn predicted(result: QueryResult<'static>) -> Result<QueryResult<'static>, Failure> {
    let status = match &result.status {
        QueryStatus::Ok => return Ok(result),
        QueryStatus::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        QueryStatus::Default(Reason::TimedOutInQueue | Reason::TimedOutAtReplica) => {
            StatusCode::GATEWAY_TIMEOUT
        }
        QueryStatus::Default(Reason::NoReplica | Reason::ReplicaDied | Reason::Stopping)
        | QueryStatus::Refused(Refusal::Overloaded { .. } | Refusal::Stopping { .. }) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        QueryStatus::Refused(Refusal::InputType { .. } | Refusal::ModelInputType { .. }) => {
            StatusCode::BAD_REQUEST
        }
        QueryStatus::Refused(Refusal::UnknownApp | Refusal::UnknownVersion(_)) => {
            StatusCode::NOT_FOUND
        }
    };
    Err(Failure(status, result.status.reason().into_owned()))
}

fn binary_response(mut head: Value, output: Output) -> Response {
    head["outputs"] = json!([{
        "name": "output",
        "datatype": datatype(output.data_type),
        "shape": [output.rows, output.width],
        "parameters": { "binary_data_size": output.bytes.len() },
    }]);
    let mut body = head.to_string().into_bytes();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (JSON_LENGTH, body.len().to_string()),
    ];
    body.extend(output.bytes);
    (headers, body).into_response()
}

fn json_response(mut head: Value, output: &Output) -> Result<Response, String> {
    head["outputs"] = json!([{
        "name": "output",
        "datatype": datatype(output.data_type),
        "shape": [output.rows, output.width],
        "data": output.to_json()?,
    }]);
    Ok(Json(head).into_response())
}
