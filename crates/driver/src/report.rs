//! What a person sees: the plan, how far it is, and the table. The table goes to standard output, the rest to standard
//! error.

pub mod live;
mod plain;
mod plan;
mod screen;
mod table;

pub use plan::plan;
pub use table::table;

use std::{
    io::{Write, stderr},
    path::Path,
    time::Duration,
};

use jiff::SignedDuration;

use crate::{
    load::Progress,
    plan::{Cell, Plan},
    results::{PointResult, Resources},
    settings::Settings,
};
use plain::Plain;
use screen::Screen;

const DEBUG_BUILD: &str =
    "this driver is a debug build, which may limit what it measures: use --release for a number";

/// Shows how a sweep goes, one measurement after the other.
pub trait View {
    /// A measurement begins.
    fn begin(&mut self, step: &Step);
    /// It goes on, and has used `used` until now; about ten times a second while it is under load.
    fn look(&mut self, at: &Progress, used: &Resources);
    /// It has ended, and its result is in `file`.
    fn end(&mut self, result: &PointResult, file: &Path);
    /// None follows, whether all are done or not.
    fn finish(&mut self);
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
    pub cell: Cell,
    /// How long it is under load; zero if nobody knows.
    pub duration: Duration,
    /// In which round, if there are several.
    pub round: Option<usize>,
    /// How long this one and all after it take, as far as anybody knows.
    pub left: Option<Duration>,
}

/// The live view if standard error is a terminal that it may take, else plain lines.
pub fn view(settings: &Settings, plan: &Plan) -> Box<dyn View> {
    let screen = (!settings.plain && live::is_possible())
        .then(|| Screen::start(settings, plan).ok())
        .flatten();
    match screen {
        Some(screen) => Box::new(screen),
        None => Box::new(Plain::default()),
    }
}

/// Whole seconds, as a person writes them: `1m 20s`.
fn in_words(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// A line on standard error; nothing can be done if that is closed.
fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
