//! How a query ended: what its client, the metrics and the traces are told.

use std::{borrow::Cow, time::Duration};

use model::DataType;
use scheduler::{Now, Reason, Refusal};
use wire::query::{Lineage, Status, Timing};

/// How a query ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    /// With the model's answer.
    Ok,
    /// With the default output, because no model answered it in time.
    Default(Reason),
    /// The model failed on it, and why.
    Failed(String),
    /// It was not taken.
    Refused(Refusal),
}

impl Ended {
    pub(crate) fn status(&self) -> Status {
        match self {
            Ended::Ok => Status::Ok,
            Ended::Default(_) => Status::Default,
            Ended::Failed(_) => Status::Error,
            Ended::Refused(_) => Status::Refused,
        }
    }

    /// Why there is no answer of the model; empty if there is one.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        match self {
            Ended::Ok => "".into(),
            Ended::Default(reason) => reason.as_str().into(),
            Ended::Failed(reason) => reason.into(),
            Ended::Refused(refusal) => refusal.to_string().into(),
        }
    }
}

/// What a query's client is told.
#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) ended: Ended,
    pub(crate) output_type: DataType,
    pub(crate) output: &'a [u8],
    pub(crate) timing: Timing,
    pub(crate) passed: Passed,
}

/// When a query passed where, by the engine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) arrived: Now,
    /// Its batch was sent, if it came into one that was answered.
    pub(crate) sent: Option<Now>,
    /// What a high-performance model server says when it received the batch and when it answered.
    pub(crate) container: Option<[u64; 2]>,
    pub(crate) answered: Now,
}

impl Passed {
    /// A query that came into no batch that was answered.
    pub(crate) fn unsent(arrived: Now, answered: Now) -> Passed {
        Passed {
            arrived,
            sent: None,
            container: None,
            answered,
        }
    }

    /// The same by a clock that showed `started` when the engine's began.
    pub(crate) fn lineage(&self, started: Duration) -> Lineage {
        let micros = |time: Now| u64::try_from((started + time).as_micros()).unwrap_or(u64::MAX);
        Lineage {
            arrived: micros(self.arrived),
            sent: self.sent.map(micros),
            container: self.container,
            answered: micros(self.answered),
        }
    }
}

impl<'a> Outcome<'a> {
    /// A query that no model answered: it gets the default output, which is text.
    pub(crate) fn without_output(ended: Ended, default: &'a [u8], passed: Passed) -> Self {
        Outcome {
            ended,
            output_type: DataType::Strings,
            output: default,
            timing: Timing::default(),
            passed,
        }
    }
}
