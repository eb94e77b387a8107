//! Whether a number may be acted on, and why not.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be thought of a point's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The worst of the reasons.
    pub status: Status,
    /// Everything that speaks against the number; empty if it is valid.
    pub reasons: Vec<Reason>,
}

/// In words that the tables show. The order is from good to bad.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// The number is of what was asked for, and nothing speaks against it.
    Valid,
    /// The number is of what was asked for; read the reasons before you act on it.
    Suspect,
    /// The number is not of what was asked for.
    Invalid,
}

/// One thing that speaks against a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// How bad it is.
    pub status: Status,
    /// What was looked at, for a script: `batch_fill`, `send_lag`, `shared_cores`, ...
    pub check: String,
    /// What was seen, and what to do, for a person.
    pub text: String,
}

impl Verdict {
    /// The verdict that these reasons make.
    pub fn of(reasons: Vec<Reason>) -> Verdict {
        let worst = reasons.iter().map(|reason| reason.status).max();
        Verdict {
            status: worst.unwrap_or(Status::Valid),
            reasons,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Valid => "VALID",
            Status::Suspect => "SUSPECT",
            Status::Invalid => "INVALID",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_as_bad_as_its_worst_reason() {
        let reason = |status| Reason {
            status,
            check: String::new(),
            text: String::new(),
        };
        assert_eq!(Verdict::of(vec![]).status, Status::Valid);
        let both = vec![reason(Status::Invalid), reason(Status::Suspect)];
        assert_eq!(Verdict::of(both).status, Status::Invalid);
    }
}
