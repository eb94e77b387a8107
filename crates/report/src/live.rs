//! The live view of a sweep: it takes the terminal while trials run, and leaves the lines of the
//! plain view behind.
//!
//! The thread that watches the sweep draws it.

mod draw;
mod glyphs;
mod screen;
mod view_model;

pub use screen::{is_possible, restore};

use std::{
    env, io,
    path::Path,
    time::{Duration, Instant},
};

use results::{PhaseKind, Progress, Resources, Trial, TrialOutcome};

use crate::{
    locale,
    output::note,
    plain,
    view::{NextTrial, Outline, View},
};
use glyphs::Glyphs;
use screen::Screen;
use view_model::{ConfigProgress, ConfigState, RunningTrial, ViewModel};

/// View that takes the terminal. Dropping it restores the terminal and prints the lines of the
/// trials.
pub struct Live {
    screen: Screen,
    shown: ViewModel,
    model: &'static str,
    /// Time of a trial under load.
    duration: Duration,
    /// Time of a trial of the no-op model under load.
    baseline_duration: Duration,
    current: Option<CurrentTrial>,
    /// Lines to print when the view ends.
    lines: Vec<String>,
}

/// The trial that runs.
#[derive(Clone, Copy, Debug)]
struct CurrentTrial {
    next: NextTrial,
    began: Instant,
    /// Time under load at which the latest value was added to the sparklines.
    sampled: Duration,
}

impl Live {
    /// Takes the terminal. The view has colours unless NO_COLOR is set, and is ASCII unless the
    /// locale is UTF-8.
    ///
    /// # Errors
    /// If the terminal cannot be taken.
    pub fn start(outline: &Outline) -> io::Result<Live> {
        let all = [
            (&outline.configs, ConfigState::Pending),
            (&outline.impossible, ConfigState::NotRun),
        ];
        let states = all.into_iter().flat_map(|(configs, state)| {
            let configs = configs.iter();
            configs.map(move |&config| ConfigProgress { config, state })
        });
        Ok(Live {
            screen: Screen::take()?,
            shown: ViewModel {
                title: format!("{}, {}", outline.model, outline.mode),
                configs: states.collect(),
                colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
                glyphs: Glyphs::of(locale::is_utf8()),
                ..ViewModel::default()
            },
            model: outline.model,
            duration: outline.duration,
            baseline_duration: outline.baseline_duration,
            current: None,
            lines: Vec::new(),
        })
    }

    fn draw(&mut self) {
        let now = Instant::now();
        let left = self.current.and_then(|current| {
            let left = current.next.left?;
            Some(left.saturating_sub(now.saturating_duration_since(current.began)))
        });
        self.shown.left = left;
        self.screen
            .draw(now, |frame| draw::draw(&self.shown, frame));
    }
}

impl View for Live {
    fn begin(&mut self, next: &NextTrial) {
        if next.model == self.model {
            self.shown.mark(next.config, ConfigState::Running);
        }
        self.shown.trial = RunningTrial {
            name: next.to_string(),
            phase: "starting".to_owned(),
            batch_size: next.config.batch_size,
            ..RunningTrial::default()
        };
        self.current = Some(CurrentTrial {
            next: *next,
            began: Instant::now(),
            sampled: Duration::ZERO,
        });
        self.draw();
    }

    fn update(&mut self, kind: PhaseKind, at: &Progress, used: &Resources) {
        let Some(current) = &mut self.current else {
            return;
        };
        let trial = &mut self.shown.trial;
        if at.elapsed.saturating_sub(current.sampled).as_secs_f64() >= 1.0 {
            trial.add_second(at.ok_per_second, at.last_slice);
            current.sampled = at.elapsed;
        }
        if !self.screen.is_due(Instant::now()) {
            return;
        }
        let planned = match current.next.model == self.model {
            true => self.duration,
            false => self.baseline_duration,
        };
        let left = planned.saturating_sub(at.elapsed);
        // An accuracy run has no fixed length.
        let sends = at.planned.is_zero() || at.in_phase < at.planned;
        let state = match (at.measuring, sends) {
            (false, _) => "warming up",
            (true, true) => "measuring",
            (true, false) => "waiting for the last answers",
        };
        trial.phase = format!("{kind}: {state}");
        trial.done = at.elapsed.as_secs_f64() / planned.as_secs_f64().max(f64::MIN_POSITIVE);
        trial.left = (!planned.is_zero()).then_some(left);
        trial.answered = at.answered;
        trial.in_flight = at.in_flight;
        trial.queued = at.queued;
        trial.mean_batch = at.mean_batch;
        self.shown.resources = used.clone();
        self.draw();
    }

    fn end(&mut self, result: &Trial, file: &Path) {
        let Some(CurrentTrial { next, .. }) = self.current else {
            return;
        };
        if next.model == self.model {
            let state = match result.outcome {
                TrialOutcome::NotRun { .. } => ConfigState::NotRun,
                TrialOutcome::Speed(_) | TrialOutcome::Accuracy { .. } => {
                    ConfigState::Done(result.verdict.status)
                }
            };
            self.shown.mark(next.config, state);
        }
        let outcome = plain::outcome(result);
        let message = format!("{}/{} {outcome}", next.number, next.count);
        self.lines.push(format!("{message}: {}", file.display()));
        self.shown.messages.push(message);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        restore();
        self.lines.iter().for_each(|line| note(line));
    }
}
