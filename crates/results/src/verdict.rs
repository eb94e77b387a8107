//! The verdict on the numbers of a trial, and its reasons.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict on the numbers of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The worst status of the reasons.
    pub status: VerdictStatus,
    /// All findings of the checks; empty if the trial is VALID.
    pub reasons: Vec<VerdictReason>,
}

/// Status of a verdict, ordered from good to bad.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerdictStatus {
    /// The numbers measure what was requested, and no check found anything.
    Valid,
    /// The numbers measure what was requested; read the reasons before relying on them.
    Suspect,
    /// The numbers do not measure what was requested.
    Invalid,
}

/// A finding of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReason {
    /// Severity.
    pub status: VerdictStatus,
    /// Name of the check, for scripts: `batch_fill`, `send_lag`, `shared_cores`, ...
    pub check: String,
    /// One sentence for people, with figure, limit and remedy. The same fact has the same text at
    /// all configurations.
    pub text: String,
}

impl Verdict {
    /// Returns the verdict with these reasons.
    pub fn of(reasons: Vec<VerdictReason>) -> Verdict {
        let worst = reasons.iter().map(|reason| reason.status).max();
        Verdict {
            status: worst.unwrap_or(VerdictStatus::Valid),
            reasons,
        }
    }
}

impl fmt::Display for VerdictStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            VerdictStatus::Valid => "VALID",
            VerdictStatus::Suspect => "SUSPECT",
            VerdictStatus::Invalid => "INVALID",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_that_of_the_worst_reason() {
        let reason = |status| VerdictReason {
            status,
            check: String::new(),
            text: String::new(),
        };
        assert_eq!(Verdict::of(vec![]).status, VerdictStatus::Valid);
        let both = vec![
            reason(VerdictStatus::Invalid),
            reason(VerdictStatus::Suspect),
        ];
        assert_eq!(Verdict::of(both).status, VerdictStatus::Invalid);
    }
}
