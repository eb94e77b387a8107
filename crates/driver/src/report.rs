//! What a person sees: the plan, how far it is, and the table. The table goes to standard output, the rest to standard
//! error.

mod anew;
mod comparison;
mod csv;
mod files;
mod import;
pub mod live;
mod names;
mod page;
mod plain;
mod plan;
mod summary;
mod survey;
mod table;

pub use anew::report;
pub use comparison::comparison;
pub use files::{write, write_all};
pub use import::import;
pub use plain::Plain;
pub use plan::plan;
pub use survey::survey;
pub use table::table;

use std::{
    fmt,
    io::{Write, stderr, stdout},
    path::Path,
    time::Duration,
};

use host::Resources;
use jiff::{SignedDuration, fmt::friendly::SpanPrinter};
use loadgen::Progress;
use results::{Config, PhaseKind, PointResult};

use crate::{Error, plan::Plan, settings::Settings};
use live::Live;

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// Shows how a sweep goes, one measurement after the other.
pub trait View {
    /// A measurement begins.
    fn begin(&mut self, step: &Step);
    /// It goes on in a phase of this kind, and has used `used` until now; about ten times a second while it is under load.
    fn look(&mut self, kind: PhaseKind, at: &Progress, used: &Resources);
    /// It has ended, and its result is in `file`.
    fn end(&mut self, result: &PointResult, file: &Path);
}

/// The live view where there is a terminal for it, else plain lines. It ends when it is dropped.
pub fn view(settings: &Settings, plan: &Plan) -> Box<dyn View> {
    let live = !settings.plain && live::is_possible();
    match live.then(|| Live::start(settings, plan)) {
        Some(Ok(live)) => Box::new(live),
        _ => Box::new(Plain::default()),
    }
}

/// A measurement that begins.
#[derive(Clone, Copy, Debug)]
pub struct Step {
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
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step {
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

/// To the second, or to the minute from an hour up: `1m 5s`.
fn rounded(time: Duration) -> String {
    let unit = if time.as_secs() < 3600 { 1 } else { 60 };
    let rounded = time.as_secs().div_ceil(unit) * unit;
    let rounded = SignedDuration::from_secs(rounded.cast_signed());
    SpanPrinter::new().duration_to_string(&rounded)
}

/// Prints a whole document on standard output; an error unless all of it is there or its reader has gone.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    Error::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A line on standard error; nothing can be done if that is closed.
pub fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
