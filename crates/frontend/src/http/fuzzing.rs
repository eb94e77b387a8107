//! The decoders of bodies, for the fuzz targets only.

use std::time::Duration;

use axum::http::HeaderValue;
use model::DataType;
use serde_json::Value;

use super::{
    admin, answer,
    json::PredictBody,
    oip,
    scan::{Scanner, SyntaxError},
};
use crate::{
    query_result::{QueryResult, QueryStatus},
    timeline::Timeline,
};

/// Returns true if the text is JSON.
pub fn scan(text: &[u8]) -> bool {
    Scanner::new(text).document(Scanner::skip).is_ok()
}

/// Decodes the inputs of a body of Clipper's query API.
pub fn predict(text: &[u8], input_type: DataType) -> Result<Vec<Vec<u8>>, String> {
    let mut body = PredictBody::read(text, input_type)?;
    body.version()?;
    body.inputs()
}

/// Checks that a body is feedback.
pub fn update(text: &[u8], input_type: DataType) -> Result<(), String> {
    PredictBody::read(text, input_type)?.check_feedback()
}

/// Parses a body of the admin API.
pub fn admin(text: &[u8]) -> Result<Value, String> {
    admin::tree::read(text).map_err(|error: SyntaxError| error.to_string())
}

/// Decodes the rows of an inference request. `length` is the header with the length of its JSON.
pub fn infer(
    length: Option<&str>,
    body: &[u8],
    input_type: DataType,
) -> Result<Vec<Vec<u8>>, String> {
    let length = length.and_then(|length| HeaderValue::from_str(length).ok());
    let (json, binary) = oip::split(length.as_ref(), body)?;
    let spec = oip::shape::TensorSpec::input(input_type, None);
    let (_, rows) = oip::InferRequest::read(json, binary, &spec)?;
    Ok(rows.inputs)
}

/// Encodes a model server's outputs: an answer in Clipper's JSON for each, and one tensor of all.
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
    let tensor = oip::tensor::OutputTensor::of(&answers).and_then(|output| output.to_json());
    (answers.iter().map(written).collect(), tensor.ok())
}
