//! The live view of a sweep: it takes the terminal while points are measured, and gives it back whatever happens.
//!
//! It is drawn four times a second at most, by the thread that watches.

mod draw;
mod scene;

pub use scene::{Cell, Now, Scene, State};

use std::{
    env,
    io::{self, BufWriter, IsTerminal, Stderr, stderr},
    panic,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen},
    },
};
use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};

/// The shortest time between two pictures.
const PERIOD: Duration = Duration::from_millis(250);

/// How the terminal was before a view took it; `None` while none has it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A view that has the terminal. Dropping it gives the terminal back and prints its messages.
pub struct Live {
    /// What is on the screen, or will be when it is drawn again.
    pub scene: Scene,
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    drawn: Option<Instant>,
}

/// True if standard error is a terminal that a view may take: not that of a job in the background.
pub fn is_possible() -> bool {
    let stderr = stderr();
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    stderr.is_terminal() && !dumb && tcgetpgrp(&stderr).is_ok_and(|group| group == getpgrp())
}

/// Gives the terminal back, if a view has it. What ends the process without unwinding must call it.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // If the terminal is gone there is nothing to give back.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = tcsetattr(stderr(), OptionalActions::Flush, &before);
    }
}

impl Live {
    /// Takes the terminal. Without NO_COLOR in the environment the scene may use colours.
    pub fn start(mut scene: Scene) -> io::Result<Live> {
        scene.colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(stderr())))?;
        take().inspect_err(|_| restore())?;
        let mut live = Live {
            scene,
            terminal,
            drawn: None,
        };
        live.draw();
        Ok(live)
    }

    /// Changes the scene and draws it, if the last picture is a quarter of a second old.
    pub fn show(&mut self, now: Instant, change: impl FnOnce(&mut Scene)) {
        if self
            .drawn
            .is_none_or(|then| now.saturating_duration_since(then) >= PERIOD)
        {
            change(&mut self.scene);
            self.draw();
            self.drawn = Some(now);
        }
    }

    fn draw(&mut self) {
        // After a panic in another thread the terminal has been given back already.
        if BEFORE.lock().is_ok_and(|before| before.is_some()) {
            let scene = &self.scene;
            // A picture that cannot be drawn is no reason to stop measuring.
            let _ = self.terminal.draw(|frame| draw::draw(scene, frame));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        restore();
        self.scene
            .messages
            .iter()
            .for_each(|line| super::note(line));
    }
}

/// Another screen, on which what is typed does not show; Ctrl-C is a signal as before.
fn take() -> io::Result<()> {
    let before = tcgetattr(stderr())?;
    let mut quiet = before.clone();
    quiet
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        print(panic);
    }));
    tcsetattr(stderr(), OptionalActions::Now, &quiet)?;
    execute!(stderr(), EnterAlternateScreen)
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("scene", &self.scene)
            .finish_non_exhaustive()
    }
}
