//! The decoders of bodies, for fuzz targets: nothing else is built with this.

use std::time::Duration;

use axum::http::HeaderValue;
use model::DataType;
use serde_json::Value;

use super::{
    admin, answer,
    json::Body,
    oip,
    scan::{Scanner, Syntax},
};
use crate::{
    query_result::{QueryResult, QueryStatus},
    timeline::Timeline,
};

/// Whether the text is JSON.
pub fn scan(text: &[u8]) -> bool {
    Scanner::new(text).document(Scanner::skip).is_ok()
}

/// The inputs of a body of Clipper's query API.
pub fn predict(text: &[u8], input_type: DataType) -> Result<Vec<Vec<u8>>, String> {
    let mut body = Body::read(text, input_type)?;
    body.version()?;
    body.inputs()
}

/// Whether a body is feedback.
pub fn update(text: &[u8], input_type: DataType) -> Result<(), String> {
    Body::read(text, input_type)?.check_feedback()
}

/// A body of the admin API.
pub fn admin(text: &[u8]) -> Result<Value, String> {
    admin::tree::read(text).map_err(|error: Syntax| error.to_string())
}

/// The rows of an inference request, whose JSON is as long as a header says, if it does.
pub fn infer(
    length: Option<&str>,
    body: &[u8],
    input_type: DataType,
) -> Result<Vec<Vec<u8>>, String> {
    let length = length.and_then(|length| HeaderValue::from_str(length).ok());
    let (json, behind) = oip::split(length.as_ref(), body)?;
    let spec = oip::shape::TensorSpec::input(input_type, None);
    let (_, rows) = oip::InferRequest::read(json, behind, &spec)?;
    Ok(rows.inputs)
}

/// What a model server's outputs become: an answer of Clipper's for each, and the one tensor of all.
pub fn answers(output_type: DataType, outputs: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Option<Value>) {
    let result = |output: Vec<u8>| QueryResult {
        status: QueryStatus::Ok,
        output_type,
        output: output.into(),
        timeline: Timeline::unsent(Duration::ZERO, Duration::ZERO),
    };
    let answers: Vec<_> = outputs.into_iter().map(result).collect();
    let written = |result| {
        let mut out = Vec::new();
        answer::write(0, result, &mut out);
        out
    };
    let tensor = oip::tensor::Output::of(&answers).and_then(|output| output.to_json());
    (answers.iter().map(written).collect(), tensor.ok())
}
