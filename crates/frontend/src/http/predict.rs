//! Clipper's query API: `POST /<application>/predict` and `/update`, with or without a slash at the end.
//!
//! Differences from Clipper:
//!
//! - An unknown path gets 404; Clipper closes the connection.
//! - A query beyond the queue's limits gets 503, and a body that is too large 413.
//! - The header `clipper-default-reason` gives the precise reason of a default output.
//! - A request with the header `clipper-timing` gets the times of its first query in `server-timing`.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use scheduler::Refusal;
use serde_json::json;
use wire::query::Timing;

use super::{
    answer, body, json,
    shared::{HandlerContext, stopping, text_response},
};
use crate::{
    catalog::ResolvedApp,
    command,
    query_result::{QueryResult, QueryStatus},
};

/// Request header that enables the `server-timing` header of the response.
const TIMING: HeaderName = HeaderName::from_static("clipper-timing");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Response header with the reason of a default output.
const DEFAULT_REASON: HeaderName = HeaderName::from_static("clipper-default-reason");

/// Clipper's schema, as its error messages show it.
const PREDICT_SCHEMA: &str =
    "\n  {\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n  }\n";
const UPDATE_SCHEMA: &str = "\n  {\n   \"uid\" := string,\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n   \"label\" := double\n  }\n";

/// An error response with Clipper's body.
#[derive(Debug)]
struct ClipperError {
    status: StatusCode,
    name: &'static str,
    cause: String,
}

impl IntoResponse for ClipperError {
    fn into_response(self) -> Response {
        let (name, cause) = (json!(self.name), json!(self.cause));
        let body = format!("{{\"error\":{name},\"cause\":{cause}}}");
        text_response(self.status, body)
    }
}

/// Handles every path that no other route takes. Its first part is the application's name.
pub(super) async fn serve(State(shared): State<HandlerContext>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let served = async {
        let (endpoint, app) = endpoint(&shared, &parts)?;
        let body = shared.limits.read(&parts.headers, body).await;
        let body = body.map_err(|body::UnreadableBody { status, cause }| ClipperError {
            status,
            name: status.canonical_reason().unwrap_or_default(),
            cause,
        })?;
        match endpoint {
            QueryEndpoint::Predict => {
                let timed = parts.headers.contains_key(TIMING);
                predict(&shared, &app, body, timed).await
            }
            QueryEndpoint::Update => Ok(update(&shared, &app, &body)),
        }
    };
    served.await.unwrap_or_else(ClipperError::into_response)
}

#[derive(Clone, Copy, Debug)]
enum QueryEndpoint {
    Predict,
    Update,
}

fn endpoint(
    shared: &HandlerContext,
    parts: &Parts,
) -> Result<(QueryEndpoint, Arc<ResolvedApp>), ClipperError> {
    let path = parts.uri.path();
    let bare = path.strip_suffix('/').unwrap_or(path);
    let named = bare
        .strip_prefix('/')
        .and_then(|path| path.rsplit_once('/'));
    let found = named.and_then(|(name, endpoint)| match endpoint {
        "predict" => Some((QueryEndpoint::Predict, name)),
        "update" => Some((QueryEndpoint::Update, name)),
        _ => None,
    });
    let (Some((endpoint, name)), &Method::POST) = (found, &parts.method) else {
        return Err(not_found(format!(
            "there is no {} {path} here",
            parts.method
        )));
    };
    let name = percent_decode_str(name).decode_utf8_lossy();
    let catalog = shared.state.catalog();
    let app = catalog.app(&name).cloned();
    let app = app.ok_or_else(|| not_found(format!("there is no application '{name}'")))?;
    Ok((endpoint, app))
}

fn not_found(cause: String) -> ClipperError {
    ClipperError {
        status: StatusCode::NOT_FOUND,
        name: "Not found",
        cause,
    }
}

async fn predict(
    shared: &HandlerContext,
    app: &ResolvedApp,
    body: Bytes,
    timed: bool,
) -> Result<Response, ClipperError> {
    let requests = requests(shared, app, &body)?;
    // Free the body early: it is far larger than its inputs, and answers may take long.
    drop(body);
    // All queries are submitted before the first wait. An early return cancels the rest.
    let submit = |request| shared.tickets.submit(&shared.engine, request);
    let tickets: Vec<_> = requests.into_iter().map(submit).collect();
    let single = tickets.len() == 1;
    let mut out = Vec::with_capacity(64);
    if !single {
        out.extend_from_slice(b"{\"batch_predictions\":[");
    }
    let (mut reason, mut timing) = (None, None);
    for (index, ticket) in tickets.into_iter().enumerate() {
        let query_id = ticket.number;
        let result = match single {
            true => ticket.only_result().await,
            false => ticket.result().await,
        };
        let Some(result) = result else {
            return Ok(stopping());
        };
        if let QueryStatus::Refused(refusal) = &result.status {
            return Err(refused(refusal));
        }
        reason = reason.or_else(|| default_reason(&result));
        timing = timing.or(timed.then(|| result.timeline.timing()));
        if index > 0 {
            out.push(b',');
        }
        answer::write(query_id, &result, &mut out);
    }
    if !single {
        out.extend_from_slice(b"]}");
    }
    let mut response = ([(header::CONTENT_TYPE, "application/json")], out).into_response();
    if let Some(reason) = reason {
        response.headers_mut().insert(DEFAULT_REASON, reason);
    }
    if let Some(timing) = timing.and_then(server_timing) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    Ok(response)
}

/// Decodes the queries of a body, with the checks in Clipper's order. `app` is from before the body
/// arrived.
fn requests(
    shared: &HandlerContext,
    app: &ResolvedApp,
    body: &[u8],
) -> Result<Vec<command::HttpQuery>, ClipperError> {
    let arrived = Instant::now();
    let input_type = app.app.input_type;
    let wrong = |cause: String| ClipperError {
        status: StatusCode::BAD_REQUEST,
        name: "Json error",
        cause: format!("Error parsing JSON: {cause}. Expected JSON schema: {PREDICT_SCHEMA}"),
    };
    let mut body = json::PredictBody::read(body, input_type).map_err(wrong)?;
    let version = body.version().map_err(wrong)?;
    let catalog = shared.state.catalog();
    // The application may have been deleted while the body arrived.
    let app = catalog.app(&app.app.name);
    let model = app.map_or(Ok(None), |app| app.destination(version.as_deref()));
    let model = model.map_err(|refusal| refused(&refusal))?;
    let inputs = body.inputs().map_err(wrong)?.into_iter();
    let app = app.ok_or_else(|| refused(&Refusal::UnknownApp))?;
    let request = |input| command::HttpQuery {
        app: app.app.clone(),
        model: model.cloned(),
        input_type,
        input,
        arrived,
    };
    Ok(inputs.map(request).collect())
}

/// Accepts feedback. Clipper's only policy does not use it, but it takes a query id.
fn update(shared: &HandlerContext, app: &ResolvedApp, body: &[u8]) -> Response {
    let feedback = json::PredictBody::read(body, app.app.input_type);
    match feedback.and_then(json::PredictBody::check_feedback) {
        Ok(()) => {
            shared.tickets.skip();
            text_response(StatusCode::OK, "Feedback received? 1".into())
        }
        Err(cause) => {
            let text =
                format!("Error parsing JSON: {cause}. Expected JSON schema: {UPDATE_SCHEMA}");
            text_response(StatusCode::BAD_REQUEST, text)
        }
    }
}

fn refused(refusal: &Refusal) -> ClipperError {
    let (status, name) = match refusal {
        Refusal::UnknownApp => (StatusCode::NOT_FOUND, "Not found"),
        Refusal::InputType { .. } | Refusal::ModelInputType { .. } | Refusal::UnknownVersion(_) => {
            (StatusCode::BAD_REQUEST, "Query processing error")
        }
        Refusal::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Overloaded"),
        Refusal::Stopping { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Stopping"),
    };
    let cause = refusal.to_string();
    ClipperError {
        status,
        name,
        cause,
    }
}

/// Returns the reason of a default output as a header value: ASCII, at most 200 characters.
fn default_reason(result: &QueryResult<'_>) -> Option<HeaderValue> {
    let reason = result.status.reason();
    let printable = |letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    };
    let text: String = reason.chars().take(200).map(printable).collect();
    HeaderValue::try_from(text)
        .ok()
        .filter(|text| !text.is_empty())
}

/// Returns the times of a query's stages as a header value, in milliseconds.
fn server_timing(timing: Timing) -> Option<HeaderValue> {
    let stages = [
        ("queued", timing.queued),
        ("away", timing.away),
        ("waited", timing.waited),
        ("predicting", timing.predicting),
        ("replying", timing.replying),
    ];
    let stages = stages.map(|(stage, micros)| format!("{stage};dur={}", micros as f64 / 1e3));
    HeaderValue::try_from(stages.join(", ")).ok()
}
