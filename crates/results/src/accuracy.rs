//! Accuracy of the served answers, as an accuracy run counts it.

use std::fmt;

use loadgen::stats::KeptOutput;
use model::{Accuracy, Artifact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{error::Error, text::percent_to_tenths};

/// Result of an accuracy run: each labelled input is sent once, and the right answers are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccuracyRun {
    /// Note that nothing here is a speed.
    pub note: String,
    /// Right answers among all labelled inputs; an unanswered input counts as wrong.
    #[serde(flatten)]
    #[schemars(with = "AccuracySchema")]
    pub served: Accuracy,
    /// Share of right answers, 0 to 1.
    pub share: f64,
    /// Offline evaluation of the artifact; absent, and not compared, if it has another number of
    /// inputs.
    #[schemars(with = "Option<AccuracySchema>")]
    pub offline: Option<Accuracy>,
    /// True if the served accuracy equals the offline one; absent without one.
    pub equals_offline: Option<bool>,
}

/// Counts of labelled inputs.
#[derive(JsonSchema)]
#[schemars(rename = "Accuracy")]
#[expect(
    dead_code,
    reason = "the schema of `Accuracy`, whose crate has no schemas"
)]
struct AccuracySchema {
    /// Number of inputs with the right answer.
    right: u64,
    /// Number of inputs.
    of: u64,
}

impl AccuracyRun {
    /// Compares the `served` accuracy with the artifact's `offline` evaluation, if both have the
    /// same number of inputs.
    pub fn new(served: Accuracy, offline: Option<Accuracy>) -> AccuracyRun {
        let offline = offline.filter(|offline| offline.of == served.of);
        AccuracyRun {
            note: "accuracy run: each labelled input was sent once; no measurement of speed"
                .to_owned(),
            served,
            share: served.share(),
            offline,
            equals_offline: offline.map(|offline| offline == served),
        }
    }

    /// Counts the right answers; `labels` has one entry per input.
    ///
    /// # Errors
    /// `Unjudged` if an output does not name a class.
    pub fn count(
        outputs: &[KeptOutput],
        labels: &[String],
        artifact: Option<&Artifact>,
    ) -> Result<AccuracyRun, Error> {
        let classes = artifact.map_or(&[][..], |artifact| &artifact.classes);
        let mut right = 0;
        for KeptOutput { input, output } in outputs {
            let named = output
                .class(classes)
                .map_err(|why| Error::Unjudged { input: *input, why })?;
            right += u64::from(named == labels[*input]);
        }
        let of = labels.len() as u64;
        let offline = artifact.and_then(|artifact| artifact.accuracy);
        Ok(AccuracyRun::new(Accuracy { right, of }, offline))
    }

    /// True if the accuracy differs from the offline evaluation.
    pub fn differs(&self) -> bool {
        self.equals_offline == Some(false)
    }
}

/// For instance `117 of 120 right (97.5 %), same as offline`.
impl fmt::Display for AccuracyRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Accuracy { right, of } = self.served;
        write!(
            f,
            "{right} of {of} right ({})",
            percent_to_tenths(self.share)
        )?;
        match self.offline {
            Some(_) if !self.differs() => write!(f, ", same as offline"),
            Some(offline) => write!(f, ", offline: {}", offline.right),
            None => Ok(()),
        }
    }
}
