//! The trait of views of a running sweep, and their input.

use std::{fmt, path::Path, time::Duration};

use results::{Config, PhaseKind, Progress, Resources, Trial};

/// Shows the progress of a sweep, one trial after the other.
pub trait View {
    /// Shows that a trial begins.
    fn begin(&mut self, next: &NextTrial);
    /// Shows the progress in the current phase, and the resources used so far. It is called about
    /// ten times a second under load.
    fn update(&mut self, kind: PhaseKind, at: &Progress, used: &Resources);
    /// Shows that the trial has ended; its result is in `file`.
    fn end(&mut self, result: &Trial, file: &Path);
}

/// Description of a sweep that is about to begin.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Name of the model.
    pub model: &'static str,
    /// Load mode, as on the command line.
    pub mode: &'static str,
    /// Configurations that are measured.
    pub configs: Vec<Config>,
    /// Configurations that cannot run.
    pub impossible: Vec<Config>,
    /// Time of a trial of the model under load; zero for an accuracy run, which has no fixed
    /// length.
    pub duration: Duration,
    /// Time of a trial of the no-op model under load.
    pub baseline_duration: Duration,
    /// True for plain lines instead of the live view.
    pub plain: bool,
}

/// Description of a trial that begins.
#[derive(Clone, Copy, Debug)]
pub struct NextTrial {
    /// Number of the trial, from 1.
    pub number: usize,
    /// Number of trials, including those of the no-op model.
    pub count: usize,
    /// Name of the model: that of the sweep, or the no-op model.
    pub model: &'static str,
    /// Configuration that is deployed.
    pub config: Config,
    /// Number of the round, if there are several.
    pub round: Option<usize>,
    /// Estimate of the time until the sweep ends; `None` if it is unknown.
    pub left: Option<Duration>,
}

/// For instance `3/8 vgg: replicas 2, CPUs 1, batch 4, round 2`.
impl fmt::Display for NextTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NextTrial {
            number,
            count,
            model,
            config,
            ..
        } = self;
        write!(f, "{number}/{count} {model}: {config}")?;
        match self.round {
            Some(round) => write!(f, ", round {round}"),
            None => Ok(()),
        }
    }
}
