//! How a query ended: what its client, the metrics and the traces get.

use std::borrow::Cow;

use model::DataType;
use scheduler::{Reason, Refusal};
use wire::query::Status;

use crate::timeline::Timeline;

/// How a query ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueryStatus {
    /// With the model's answer.
    Ok,
    /// With the default output, because no model answered it in time.
    Default(Reason),
    /// The model failed on it, and why.
    Failed(String),
    /// It was not taken.
    Refused(Refusal),
}

impl QueryStatus {
    /// As clients of the native dialect get it.
    pub(crate) fn code(&self) -> Status {
        match self {
            QueryStatus::Ok => Status::Ok,
            QueryStatus::Default(_) => Status::Default,
            QueryStatus::Failed(_) => Status::Error,
            QueryStatus::Refused(_) => Status::Refused,
        }
    }

    /// Why there is no answer of the model; empty if there is one.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        match self {
            QueryStatus::Ok => "".into(),
            QueryStatus::Default(reason) => reason.as_str().into(),
            QueryStatus::Failed(reason) => reason.into(),
            QueryStatus::Refused(refusal) => refusal.to_string().into(),
        }
    }
}

/// The end of a query. Its output is borrowed where it is sent on at once, and owned on its way to another thread.
#[derive(Clone, Debug)]
pub(crate) struct QueryResult<'a> {
    pub(crate) status: QueryStatus,
    pub(crate) output_type: DataType,
    /// Elements as on the wire: the model's, or the application's default output as text.
    pub(crate) output: Cow<'a, [u8]>,
    pub(crate) timeline: Timeline,
}

impl<'a> QueryResult<'a> {
    /// Of a query that no model answered: it gets the default output, which is text.
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

    /// A copy for another thread.
    pub(crate) fn to_static(&self) -> QueryResult<'static> {
        QueryResult {
            status: self.status.clone(),
            output_type: self.output_type,
            output: self.output.to_vec().into(),
            timeline: self.timeline,
        }
    }
}
