//! Clipper's query API: `POST /<application>/predict` and `/update`, with or without a slash at the end.
//!
//! What differs from Clipper: a path that is not there is answered with 404 (Clipper closes the connection), a request that
//! there is no room for with 503, one that is too large with 413, and the precise reason of a default output stands in the
//! header `clipper-default-reason`.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use scheduler::Refusal;
use serde_json::json;

use super::{Answered, Shared, answer, body, json, stopping, text_response, tickets::Question};
use crate::{clients::Ended, directory::Application};

/// Says why an answer is the default output.
const DEFAULT_REASON: HeaderName = HeaderName::from_static("clipper-default-reason");

/// Clipper's, as its error messages show it.
const PREDICT_SCHEMA: &str =
    "\n  {\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n  }\n";
const UPDATE_SCHEMA: &str = "\n  {\n   \"uid\" := string,\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n   \"label\" := double\n  }\n";

/// Every path that is nothing else: the application's name comes first in it.
pub(super) async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match endpoint(&shared, &parts) {
        Ok((endpoint, app)) => match shared.limits.read(&parts.headers, body).await {
            Ok(body) => match endpoint {
                Endpoint::Predict => predict(&shared, &app, &body).await,
                Endpoint::Update => update(&shared, &app, &body),
            },
            Err(body::Unreadable { status, cause }) => error(
                status,
                status.canonical_reason().unwrap_or_default(),
                &cause,
            ),
        },
        Err(not_found) => not_found,
    }
}

#[derive(Clone, Copy, Debug)]
enum Endpoint {
    Predict,
    Update,
}

fn endpoint(shared: &Shared, parts: &Parts) -> Result<(Endpoint, Application), Response> {
    let path = parts.uri.path();
    let bare = path.strip_suffix('/').unwrap_or(path);
    let named = bare
        .strip_prefix('/')
        .and_then(|path| path.rsplit_once('/'));
    let found = named.and_then(|(name, endpoint)| match endpoint {
        "predict" => Some((Endpoint::Predict, name)),
        "update" => Some((Endpoint::Update, name)),
        _ => None,
    });
    let (Some((endpoint, name)), &Method::POST) = (found, &parts.method) else {
        let cause = format!("there is no {} {path} here", parts.method);
        return Err(error(StatusCode::NOT_FOUND, "Not found", &cause));
    };
    let name = percent_decode_str(name).decode_utf8_lossy();
    match shared.engine.directory().app(&name) {
        Some(app) => Ok((endpoint, app)),
        None => {
            let cause = format!("there is no application '{name}'");
            Err(error(StatusCode::NOT_FOUND, "Not found", &cause))
        }
    }
}

async fn predict(shared: &Shared, app: &Application, body: &[u8]) -> Response {
    let questions = match questions(shared, app, body) {
        Ok(questions) => questions,
        Err(refused) => return refused,
    };
    // All are asked before the first answer is waited for; those left when this ends early are taken back.
    let ask = |question| shared.tickets.ask(&shared.engine, question);
    let tickets: Vec<_> = questions.into_iter().map(ask).collect();
    let single = tickets.len() == 1;
    let mut out = Vec::with_capacity(64);
    if !single {
        out.extend_from_slice(b"{\"batch_predictions\":[");
    }
    let mut reason = None;
    for (index, ticket) in tickets.into_iter().enumerate() {
        let query_id = ticket.number;
        let Some(answered) = ticket.answer().await else {
            return stopping();
        };
        if let Ended::Refused(refusal) = &answered.ended {
            return refused(refusal);
        }
        reason = reason.or_else(|| default_reason(&answered));
        if index > 0 {
            out.push(b',');
        }
        answer::write(query_id, &answered, &mut out);
    }
    if !single {
        out.extend_from_slice(b"]}");
    }
    let mut response = ([(header::CONTENT_TYPE, "application/json")], out).into_response();
    if let Some(reason) = reason {
        response.headers_mut().insert(DEFAULT_REASON, reason);
    }
    response
}

/// What the engine is to be asked, or what is wrong, in Clipper's order.
fn questions(shared: &Shared, app: &Application, body: &[u8]) -> Result<Vec<Question>, Response> {
    let input_type = app.app.input_type;
    let wrong = |cause: String| {
        let cause = format!("Error parsing JSON: {cause}. Expected JSON schema: {PREDICT_SCHEMA}");
        error(StatusCode::BAD_REQUEST, "Json error", &cause)
    };
    let mut body = json::Body::read(body, input_type).map_err(wrong)?;
    let version = body.version().map_err(wrong)?;
    if let (Some(version), Some(model)) = (&version, &app.model)
        && !shared.engine.directory().has_version(model, version)
    {
        let cause = format!("Requested version: {version} does not exist for model: {model}");
        return Err(error(
            StatusCode::BAD_REQUEST,
            "Query processing error",
            &cause,
        ));
    }
    let inputs = body.inputs().map_err(wrong)?.into_iter();
    let question = |input| Question {
        app: app.app.name.clone(),
        version: version.clone(),
        input_type,
        within: None,
        input,
    };
    Ok(inputs.map(question).collect())
}

/// Feedback is taken and, by Clipper's only policy, not used. It has a query id like any other query.
fn update(shared: &Shared, app: &Application, body: &[u8]) -> Response {
    let feedback = json::Body::read(body, app.app.input_type);
    match feedback.and_then(json::Body::check_feedback) {
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

fn refused(refusal: &Refusal) -> Response {
    let (status, name) = match refusal {
        Refusal::UnknownApp => (StatusCode::NOT_FOUND, "Not found"),
        Refusal::InputType { .. } | Refusal::UnknownVersion(_) => {
            (StatusCode::BAD_REQUEST, "Query processing error")
        }
        Refusal::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Overloaded"),
    };
    error(status, name, &refusal.to_string())
}

/// As a header can hold it: in ASCII, and not too long.
fn default_reason(answered: &Answered) -> Option<HeaderValue> {
    let reason = answered.ended.reason();
    let printable = |letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    };
    let text: String = reason.chars().take(200).map(printable).collect();
    HeaderValue::try_from(text)
        .ok()
        .filter(|text| !text.is_empty())
}

/// Clipper's error body.
fn error(status: StatusCode, name: &str, cause: &str) -> Response {
    let mut body = String::from("{\"error\":");
    body += &json!(name).to_string();
    body += ",\"cause\":";
    body += &json!(cause).to_string();
    body.push('}');
    text_response(status, body)
}
