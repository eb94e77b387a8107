//! The result of a query, for its client, the metrics and the traces.

use std::borrow::Cow;

use model::DataType;
use scheduler::{DefaultReason, Refusal};
use wire::query::AnswerStatus;

use crate::timeline::Timeline;

/// The way in which a query ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueryStatus {
    /// The model answered it.
    Ok,
    /// It got the default output, because no model answered it in time.
    Default(DefaultReason),
    /// The model failed on it, with this error text. It got the default output.
    Failed(String),
    /// It was refused.
    Refused(Refusal),
}

impl QueryStatus {
    /// Returns the status that clients of the native dialect get.
    pub(crate) fn code(&self) -> AnswerStatus {
        match self {
            QueryStatus::Ok => AnswerStatus::Ok,
            QueryStatus::Default(_) => AnswerStatus::Default,
            QueryStatus::Failed(_) => AnswerStatus::Error,
            QueryStatus::Refused(_) => AnswerStatus::Refused,
        }
    }

    /// Returns the reason for which the model did not answer; empty if it did.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        match self {
            QueryStatus::Ok => "".into(),
            QueryStatus::Default(reason) => reason.as_str().into(),
            QueryStatus::Failed(reason) => reason.into(),
            QueryStatus::Refused(refusal) => refusal.to_string().into(),
        }
    }
}

/// The result of a query. The output is borrowed if it is sent at once, and owned if it goes to
/// another thread.
#[derive(Clone, Debug)]
pub(crate) struct QueryResult<'a> {
    pub(crate) status: QueryStatus,
    pub(crate) output_type: DataType,
    /// Encoded elements: the model's output, or the application's default output as text.
    pub(crate) output: Cow<'a, [u8]>,
    pub(crate) timeline: Timeline,
}

impl<'a> QueryResult<'a> {
    /// Creates the result of a query that no model answered. Its output is the default output,
    /// which is text.
    pub(crate) fn without_output(
        status: QueryStatus,
        default: &'a [u8],
        timeline: Timeline,
    ) -> QueryResult<'a> {
        QueryResult {
            status,
            output_type: DataType::Strings,
            output: default.into(),
            timeline,
        }
    }

    /// Returns a copy that owns its output, for another thread.
    pub(crate) fn to_static(&self) -> QueryResult<'static> {
        QueryResult {
            status: self.status.clone(),
            output_type: self.output_type,
            output: self.output.to_vec().into(),
            timeline: self.timeline,
        }
    }
}
