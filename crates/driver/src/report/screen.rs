//! Progress on a terminal: the live view, fed with what is measured.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Step, View,
    live::{self, Live, Now, Scene, State},
    plain::{beginning, ending},
};
use crate::{
    load::Progress,
    plan::{Plan, Point},
    results::{Outcome, PointResult, Resources},
    settings::Settings,
};

/// A view that has the terminal until it is finished.
#[derive(Debug)]
pub(super) struct Screen {
    live: Option<Live>,
    /// The model that the grid is of: measurements of another one do not show in it.
    model: &'static str,
    step: Option<Step>,
    /// When answers were counted, and how many.
    counted: (Duration, u64),
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn start(settings: &Settings, plan: &Plan) -> io::Result<Screen> {
        let cell = |point: &Point| live::Cell {
            replicas: point.replicas(),
            cpus_per_replica: point.cpus_per_replica(),
            batch_size: point.batch_size,
            state: State::ToCome,
        };
        let scene = Scene {
            title: format!("{}, {}", settings.model.name, settings.mode.name()),
            cells: plan.points.iter().map(cell).collect(),
            ..Scene::default()
        };
        Ok(Screen {
            live: Some(Live::start(scene)?),
            model: settings.model.name,
            step: None,
            counted: (Duration::ZERO, 0),
        })
    }

    /// Shows the grid's cell that is being measured in this state.
    fn mark(&mut self, to: State) {
        let (Some(live), Some(step)) = (&mut self.live, &self.step) else {
            return;
        };
        if step.model == self.model {
            let cell = step.cell;
            let scene = &mut live.scene;
            scene.mark(cell.replicas, cell.cpus_per_replica, cell.batch_size, to);
        }
    }
}

impl View for Screen {
    fn begin(&mut self, step: &Step) {
        (self.step, self.counted) = (Some(*step), (Duration::ZERO, 0));
        self.mark(State::Running);
        let Some(live) = &mut self.live else { return };
        live.scene.left = step.left.unwrap_or_default();
        live.scene.now = Now {
            point: beginning(step),
            phase: "starting".to_owned(),
            left: step.duration,
            batch_size: step.cell.batch_size,
            ..Now::default()
        };
        live.show(Instant::now(), |_| ());
    }

    fn look(&mut self, at: &Progress, used: &Resources) {
        let (Some(live), Some(step)) = (&mut self.live, &self.step) else {
            return;
        };
        let seconds = at.elapsed.saturating_sub(self.counted.0).as_secs_f64();
        if seconds >= 1.0 {
            let rate = (at.answered - self.counted.1) as f64 / seconds;
            live.scene.now.add_second(rate, None, None);
            self.counted = (at.elapsed, at.answered);
        }
        let left = step.duration.saturating_sub(at.elapsed);
        let phase = match (at.measuring, left.is_zero()) {
            (false, _) => "warming up",
            (true, false) => "measuring",
            (true, true) if step.duration.is_zero() => "asking once",
            (true, true) => "waiting for the last answers",
        };
        live.show(Instant::now(), |scene| {
            scene.now.phase = phase.to_owned();
            scene.now.done = match step.duration.is_zero() {
                true => 0.0,
                false => 1.0 - left.div_duration_f64(step.duration),
            };
            scene.now.left = left;
            scene.now.answered = at.answered;
            scene.left = step.left.unwrap_or_default().saturating_sub(at.elapsed);
            scene.resources = used.clone();
        });
    }

    fn end(&mut self, result: &PointResult, file: &Path) {
        self.mark(match &result.outcome {
            Outcome::NotRun { .. } => State::NotRun,
            _ => State::Done(result.verdict.status),
        });
        if let (Some(live), Some(step)) = (&mut self.live, &self.step) {
            let (number, count) = (step.number, step.count);
            let message = format!("{number}/{count} {}", ending(result, file));
            live.scene.messages.push(message);
        }
    }

    fn finish(&mut self) {
        self.live = None;
    }
}
