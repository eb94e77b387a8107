//! The live view of a sweep: it takes the terminal while points are measured, and leaves the lines of the plain one
//! behind.
//!
//! The thread that watches draws it.

mod draw;
mod screen;
mod view_model;

pub use screen::{is_possible, restore};

use std::{
    env, io,
    path::Path,
    time::{Duration, Instant},
};

use results::{Outcome, PhaseKind, Progress, Resources, Trial};

use crate::{
    output::note,
    plain,
    view::{NextTrial, Outline, View},
};
use screen::Screen;
use view_model::{ConfigState, Now, State, ViewModel};

/// A view that has the terminal. Dropping it gives the terminal back and prints what has been said.
pub struct Live {
    screen: Screen,
    shown: ViewModel,
    model: &'static str,
    /// How long a trial is under load.
    duration: Duration,
    /// How long one of the no-op model is.
    zero_duration: Duration,
    began: Option<Began>,
    /// What it leaves behind.
    said: Vec<String>,
}

/// The measurement that runs.
#[derive(Clone, Copy, Debug)]
struct Began {
    next: NextTrial,
    at: Instant,
    /// When a second was added the last time, since the beginning of its load.
    counted: Duration,
}

impl Live {
    /// Takes the terminal. Without NO_COLOR in the environment the view has colours.
    ///
    /// # Errors
    /// If the terminal cannot be taken.
    pub fn start(outline: &Outline) -> io::Result<Live> {
        let all = [
            (&outline.configs, State::ToCome),
            (&outline.impossible, State::NotRun),
        ];
        let states = all.into_iter().flat_map(|(configs, state)| {
            let configs = configs.iter();
            configs.map(move |&config| ConfigState { config, state })
        });
        Ok(Live {
            screen: Screen::take()?,
            shown: ViewModel {
                title: format!("{}, {}", outline.model, outline.mode),
                configs: states.collect(),
                colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
                ..ViewModel::default()
            },
            model: outline.model,
            duration: outline.duration,
            zero_duration: outline.zero_duration,
            began: None,
            said: Vec::new(),
        })
    }

    fn draw(&mut self) {
        let now = Instant::now();
        let left = self.began.and_then(|began| {
            let left = began.next.left?;
            Some(left.saturating_sub(now.saturating_duration_since(began.at)))
        });
        self.shown.left = left;
        self.screen
            .draw(now, |frame| draw::draw(&self.shown, frame));
    }
}

impl View for Live {
    fn begin(&mut self, next: &NextTrial) {
        if next.model == self.model {
            self.shown.mark(next.config, State::Running);
        }
        self.shown.now = Now {
            point: next.to_string(),
            phase: "starting".to_owned(),
            batch_size: next.config.batch_size,
            ..Now::default()
        };
        self.began = Some(Began {
            next: *next,
            at: Instant::now(),
            counted: Duration::ZERO,
        });
        self.draw();
    }

    fn look(&mut self, kind: PhaseKind, at: &Progress, used: &Resources) {
        let Some(began) = &mut self.began else { return };
        let now = &mut self.shown.now;
        if at.elapsed.saturating_sub(began.counted).as_secs_f64() >= 1.0 {
            now.add_second(at.ok_per_second, at.last_slice);
            began.counted = at.elapsed;
        }
        if !self.screen.is_due(Instant::now()) {
            return;
        }
        let planned = match began.next.model == self.model {
            true => self.duration,
            false => self.zero_duration,
        };
        let left = planned.saturating_sub(at.elapsed);
        // An accuracy run has no length.
        let sends = at.planned.is_zero() || at.in_phase < at.planned;
        let doing = match (at.measuring, sends) {
            (false, _) => "warming up",
            (true, true) => "measuring",
            (true, false) => "waiting for the last answers",
        };
        now.phase = format!("{kind}: {doing}");
        now.done = at.elapsed.as_secs_f64() / planned.as_secs_f64().max(f64::MIN_POSITIVE);
        now.left = (!planned.is_zero()).then_some(left);
        now.answered = at.answered;
        now.in_flight = at.in_flight;
        now.queued = at.queued;
        now.mean_batch = at.mean_batch;
        self.shown.resources = used.clone();
        self.draw();
    }

    fn end(&mut self, result: &Trial, file: &Path) {
        let Some(Began { next, .. }) = self.began else {
            return;
        };
        if next.model == self.model {
            let state = match result.outcome {
                Outcome::NotRun { .. } => State::NotRun,
                _ => State::Done(result.verdict.status),
            };
            self.shown.mark(next.config, state);
        }
        let found = plain::found(result);
        let message = format!("{}/{} {found}", next.number, next.count);
        self.said.push(format!("{message}: {}", file.display()));
        self.shown.messages.push(message);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        restore();
        self.said.iter().for_each(|line| note(line));
    }
}
