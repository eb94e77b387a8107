//! The Open Inference Protocol (KServe v2) over HTTP, with its extension for binary tensors.
//!
//! A model name means an application, or else the first application linked to a model of that name.
//! A request has one input tensor, of any name. Each of its rows is a query, and the rows of the
//! tensor `output` are the answers. Default outputs are not returned: if one query has no answer of
//! the model, the whole request fails.

mod error;
mod resolved_model;
pub(super) mod shape;
pub(super) mod tensor;

use std::time::Instant;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use model::DataType;
use scheduler::{DefaultReason, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, shared::HandlerContext, tickets::Ticket};
use crate::{
    command::{self, Command},
    query_result::{QueryResult, QueryStatus},
};
use error::{OipError, bad_request, stopping};
use resolved_model::{ModelPath, ResolvedModel};
use shape::{TensorSpec, datatype};
use tensor::{InputRows, InputTensor, OutputTensor, TensorParameters};

/// Header with the length of the JSON, in bytes, in a body with binary tensors.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Largest batch that the model config reports, in rows. The frontend forms its own batches.
const MAX_BATCH_SIZE: usize = 1_024;

pub(super) fn routes() -> Router<HandlerContext> {
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
    parameters: TensorParameters,
    inputs: Vec<InputTensor>,
    #[serde(default)]
    outputs: Vec<RequestedOutput>,
}

#[derive(Debug, Deserialize)]
struct RequestedOutput {
    name: String,
    #[serde(default)]
    parameters: TensorParameters,
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "clipper",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration"],
    }))
}

async fn server_ready(State(shared): State<HandlerContext>) -> Result<Json<Value>, OipError> {
    shared
        .engine
        .request(Command::Sync)
        .await
        .ok_or_else(stopping)?;
    Ok(Json(json!({ "ready": true })))
}

async fn ready(
    State(shared): State<HandlerContext>,
    Path(path): Path<ModelPath>,
) -> Result<Json<Value>, OipError> {
    let model = ResolvedModel::find(&shared, &path)?;
    match model.replica(&shared).await? {
        Some(_) => Ok(Json(json!({ "name": path.model, "ready": true }))),
        None => Err(OipError(
            StatusCode::SERVICE_UNAVAILABLE,
            DefaultReason::NoReplica.as_str().into(),
        )),
    }
}

async fn metadata(
    State(shared): State<HandlerContext>,
    Path(path): Path<ModelPath>,
) -> Result<Json<Value>, OipError> {
    let model = ResolvedModel::find(&shared, &path)?;
    let declared = model.declared(&shared);
    let tensor = |name, spec: TensorSpec| {
        let (data_type, shape) = (datatype(spec.data_type), spec.shape.to_json());
        json!([{ "name": name, "datatype": data_type, "shape": shape }])
    };
    Ok(Json(json!({
        "name": path.model,
        "versions": model.versions(),
        "platform": "clipper",
        "inputs": tensor("input", model.input(declared.as_ref())),
        "outputs": tensor("output", TensorSpec::output(declared.as_ref())),
    })))
}

/// Returns Triton's model config, which some clients require.
async fn config(
    State(shared): State<HandlerContext>,
    Path(path): Path<ModelPath>,
) -> Result<Json<Value>, OipError> {
    let model = ResolvedModel::find(&shared, &path)?;
    let declared = model.declared(&shared);
    let tensor = |name, spec: TensorSpec| {
        let data_type = match spec.data_type {
            DataType::Strings => "TYPE_STRING".to_owned(),
            other => format!("TYPE_{}", datatype(other)),
        };
        json!([{ "name": name, "data_type": data_type, "dims": spec.shape.row_to_json() }])
    };
    Ok(Json(json!({
        "name": path.model,
        "platform": "clipper",
        "backend": "clipper",
        "max_batch_size": MAX_BATCH_SIZE,
        "input": tensor("input", model.input(declared.as_ref())),
        "output": tensor("output", TensorSpec::output(declared.as_ref())),
    })))
}

async fn infer(
    State(shared): State<HandlerContext>,
    Path(path): Path<ModelPath>,
    request: Request,
) -> Result<Response, OipError> {
    let (parts, body) = request.into_parts();
    let model = ResolvedModel::find(&shared, &path)?;
    let body = shared.limits.read(&parts.headers, body).await;
    let body = body.map_err(|body::UnreadableBody { status, cause }| OipError(status, cause))?;
    let (json, binary) = split(parts.headers.get(JSON_LENGTH), &body).map_err(bad_request)?;
    let spec = model.input(model.declared(&shared).as_ref());
    let arrived = Instant::now();
    let (request, rows) = InferRequest::read(json, binary, &spec).map_err(bad_request)?;
    // Free the body early: it is larger than its rows, and answers may take long.
    drop(body);
    let destination = model.destination(&shared, path.version.as_deref())?;
    let submit = |input| {
        let request = command::HttpQuery {
            app: destination.app.clone(),
            model: destination.model.clone(),
            input_type: spec.data_type,
            input,
            arrived,
        };
        shared.tickets.submit(&shared.engine, request)
    };
    let tickets: Vec<_> = rows.inputs.into_iter().map(submit).collect();
    let answers = model_answers(tickets).await;
    if !spec.is_declared {
        // The first replica, which declares the shape, may have registered after the request was
        // read.
        let spec = model.input(model.declared(&shared).as_ref());
        spec.check(&rows.head).map_err(bad_request)?;
    }
    let answers = answers?;
    let failed = |text| OipError(StatusCode::INTERNAL_SERVER_ERROR, text);
    let output = OutputTensor::of(&answers).map_err(failed)?;
    let requested = request
        .outputs
        .first()
        .and_then(|requested| requested.parameters.binary_data);
    let is_binary = requested.or(request.parameters.binary_data_output);
    let head = json!({
        "model_name": path.model,
        "model_version": model.version.as_ref().map_or("", |model| &model.version),
        "id": request.id.unwrap_or_default(),
    });
    if is_binary.unwrap_or(false) {
        Ok(binary_response(head, output))
    } else {
        json_response(head, &output).map_err(failed)
    }
}

/// Splits a body into the JSON, whose length a header may give, and the binary data after it.
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
    /// Parses the JSON and decodes the rows of its one input. The input must match `spec`, and its
    /// data may be in `binary`.
    pub(super) fn read(
        json: &[u8],
        binary: &[u8],
        spec: &TensorSpec,
    ) -> Result<(InferRequest, InputRows), String> {
        let mut request: InferRequest =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut outputs = request.outputs.iter();
        if let Some(other) = outputs.find(|requested| requested.name != "output") {
            let name = &other.name;
            return Err(format!("there is no output '{name}', only 'output'"));
        }
        let inputs = std::mem::take(&mut request.inputs);
        let Ok([input]) = <[InputTensor; 1]>::try_from(inputs) else {
            return Err("there must be exactly one input".into());
        };
        let rows = input.rows(spec, binary)?;
        Ok((request, rows))
    }
}

/// Waits for all answers of the model, or returns the error of the first query without one.
async fn model_answers(tickets: Vec<Ticket<'_>>) -> Result<Vec<QueryResult<'static>>, OipError> {
    let mut answers = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let result = ticket.result().await.ok_or_else(stopping)?;
        answers.push(model_answer(result)?);
    }
    Ok(answers)
}

/// Returns the result if it is the model's answer, and the matching error otherwise.
fn model_answer(result: QueryResult<'static>) -> Result<QueryResult<'static>, OipError> {
    let status = match &result.status {
        QueryStatus::Ok => return Ok(result),
        QueryStatus::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        QueryStatus::Default(
            DefaultReason::TimedOutInQueue | DefaultReason::TimedOutAtReplica | DefaultReason::Shed,
        ) => StatusCode::GATEWAY_TIMEOUT,
        QueryStatus::Default(
            DefaultReason::NoReplica | DefaultReason::ReplicaDied | DefaultReason::Stopping,
        )
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
    Err(OipError(status, result.status.reason().into_owned()))
}

fn binary_response(mut head: Value, output: OutputTensor) -> Response {
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

fn json_response(mut head: Value, output: &OutputTensor) -> Result<Response, String> {
    head["outputs"] = json!([{
        "name": "output",
        "datatype": datatype(output.data_type),
        "shape": [output.rows, output.width],
        "data": output.to_json()?,
    }]);
    Ok(Json(head).into_response())
}
