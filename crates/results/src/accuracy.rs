//! How right the served answers are, as an accuracy run has counted it.

use std::fmt;

use loadgen::stats::KeptOutput;
use model::{Accuracy, Artifact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{error::Error, text::percent_to_tenths};

/// Every labelled input was sent once: how many answers were right, and whether they should have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccuracyRun {
    /// Says that nothing here is a speed.
    pub note: String,
    /// Right answers, of as many inputs as have a label: one that was not answered is not right.
    #[serde(flatten)]
    #[schemars(with = "Counts")]
    pub served: Accuracy,
    /// The same as a share, 0 to 1.
    pub share: f64,
    /// The artifact's offline evaluation, if it was of as many inputs; else absent, and nothing is compared.
    #[schemars(with = "Option<Counts>")]
    pub offline: Option<Accuracy>,
    /// Whether the two are equal.
    pub equals_offline: Option<bool>,
}

/// How many of some labelled inputs were named rightly.
#[derive(JsonSchema)]
#[schemars(rename = "Accuracy")]
#[expect(
    dead_code,
    reason = "the schema of `Accuracy`, which lives in a crate without schemas"
)]
struct Counts {
    /// Inputs whose label was named.
    right: u64,
    /// Inputs.
    of: u64,
}

impl AccuracyRun {
    /// Compares what was `served` with the artifact's `offline` evaluation, if that was of as many inputs.
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

    /// Counts the right answers: `labels` has one for each input.
    ///
    /// # Errors
    /// `Unjudged` if an output names no class.
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

    /// True if the answers are more or less often right than offline.
    pub fn differs(&self) -> bool {
        self.equals_offline == Some(false)
    }
}

/// For instance `117 of 120 right (97.5 %), as offline`.
impl fmt::Display for AccuracyRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Accuracy { right, of } = self.served;
        write!(
            f,
            "{right} of {of} right ({})",
            percent_to_tenths(self.share)
        )?;
        match self.offline {
            Some(_) if !self.differs() => write!(f, ", as offline"),
            Some(offline) => write!(f, ", but {} offline", offline.right),
            None => Ok(()),
        }
    }
}
