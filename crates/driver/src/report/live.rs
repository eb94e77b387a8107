//! The live view of a sweep: it takes the terminal while points are measured, and leaves the lines of the plain one behind.
//!
//! The thread that watches draws it.

mod draw;
mod scene;
mod screen;

pub use screen::{is_possible, restore};

use std::{
    env, io,
    path::Path,
    time::{Duration, Instant},
};

use host::Resources;
use loadgen::Progress;
use results::{Outcome, PhaseKind, PointResult};

use super::{Step, View, plain};
use crate::{plan::Plan, settings::Settings};
use scene::{Now, Scene, State, Tile};
use screen::Screen;

/// A view that has the terminal. Dropping it gives the terminal back and prints what has been said.
pub struct Live {
    screen: Screen,
    scene: Scene,
    model: &'static str,
    /// How long a point is under load, and one of the no-op model before them.
    durations: [Duration; 2],
    step: Option<Began>,
    /// What it leaves behind.
    said: Vec<String>,
}

/// The measurement that runs.
#[derive(Clone, Copy, Debug)]
struct Began {
    step: Step,
    at: Instant,
    /// When a second was added the last time, since the beginning of its load.
    counted: Duration,
}

impl Live {
    /// Takes the terminal. Without NO_COLOR in the environment the view has colours.
    pub fn start(settings: &Settings, plan: &Plan) -> io::Result<Live> {
        let tiles = plan
            .points
            .iter()
            .map(|point| (point.config(), State::ToCome));
        let never = plan
            .impossible
            .iter()
            .map(|point| (point.config, State::NotRun));
        let tiles = tiles
            .chain(never)
            .map(|(config, state)| Tile { config, state });
        Ok(Live {
            screen: Screen::take()?,
            scene: Scene {
                title: format!("{}, {}", settings.model.name, settings.mode.name()),
                tiles: tiles.collect(),
                colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
                ..Scene::default()
            },
            model: settings.model.name,
            durations: [settings.duration, plan.zero_duration],
            step: None,
            said: Vec::new(),
        })
    }

    fn draw(&mut self) {
        let now = Instant::now();
        let left = self.step.and_then(|began| {
            let left = began.step.left?;
            Some(left.saturating_sub(now.saturating_duration_since(began.at)))
        });
        self.scene.left = left;
        self.screen
            .draw(now, |frame| draw::draw(&self.scene, frame));
    }
}

impl View for Live {
    fn begin(&mut self, step: &Step) {
        if step.model == self.model {
            self.scene.mark(step.config, State::Running);
        }
        self.scene.now = Now {
            point: step.to_string(),
            phase: "starting".to_owned(),
            batch_size: step.config.batch_size,
            ..Now::default()
        };
        self.step = Some(Began {
            step: *step,
            at: Instant::now(),
            counted: Duration::ZERO,
        });
        self.draw();
    }

    fn look(&mut self, kind: PhaseKind, at: &Progress, used: &Resources) {
        let Some(began) = &mut self.step else { return };
        let now = &mut self.scene.now;
        if at.elapsed.saturating_sub(began.counted).as_secs_f64() >= 1.0 {
            now.add_second(at.ok_per_second, at.last_slice);
            began.counted = at.elapsed;
        }
        if !self.screen.is_due(Instant::now()) {
            return;
        }
        let [model, zero] = self.durations;
        let planned = if began.step.model == self.model {
            model
        } else {
            zero
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
        self.scene.resources = used.clone();
        self.draw();
    }

    fn end(&mut self, result: &PointResult, file: &Path) {
        let Some(Began { step, .. }) = self.step else {
            return;
        };
        if step.model == self.model {
            let state = match result.outcome {
                Outcome::NotRun { .. } => State::NotRun,
                _ => State::Done(result.verdict.status),
            };
            self.scene.mark(step.config, state);
        }
        let found = plain::found(result);
        let message = format!("{}/{} {found}", step.number, step.count);
        self.said.push(format!("{message}: {}", file.display()));
        self.scene.messages.push(message);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        restore();
        self.said.iter().for_each(|line| plain::note(line));
    }
}
