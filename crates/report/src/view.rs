//! What shows how a sweep goes: its outline before it begins, then trial after trial.

use std::{fmt, path::Path, time::Duration};

use results::{Config, PhaseKind, Progress, Resources, Trial};

/// Shows how a sweep goes, one trial after the other.
pub trait View {
    /// A trial begins.
    fn begin(&mut self, next: &NextTrial);
    /// It goes on in a phase of this kind, and has used `used` until now; about ten times a second while it is under
    /// load.
    fn look(&mut self, kind: PhaseKind, at: &Progress, used: &Resources);
    /// It has ended, and its result is in `file`.
    fn end(&mut self, result: &Trial, file: &Path);
}

/// A sweep that is about to begin.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The model.
    pub model: &'static str,
    /// How it is loaded, as on the command line.
    pub mode: &'static str,
    /// The combinations that are measured.
    pub configs: Vec<Config>,
    /// Those that cannot run.
    pub impossible: Vec<Config>,
    /// How long a trial of the model is under load; zero if that has no length.
    pub duration: Duration,
    /// How long a trial of the no-op model is.
    pub zero_duration: Duration,
    /// Plain lines instead of the live view.
    pub plain: bool,
}

/// A trial that begins.
#[derive(Clone, Copy, Debug)]
pub struct NextTrial {
    /// Which one, from 1.
    pub number: usize,
    /// Of how many, those of the no-op model included.
    pub count: usize,
    /// The model: the one that the sweep is of, or the no-op model before it.
    pub model: &'static str,
    /// What is deployed.
    pub config: Config,
    /// In which round, if there are several.
    pub round: Option<usize>,
    /// How long this one and all after it take, as far as anybody knows.
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
