//! The terminal of the live view: taken, drawn at most four times a second, and restored on drop
//! and on panic.

use std::{
    env,
    io::{self, BufWriter, IsTerminal, Stderr, stderr},
    panic,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ratatui::{
    Frame, Terminal,
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

/// Minimum time between two frames.
const PERIOD: Duration = Duration::from_millis(250);

/// Settings of the terminal before it was taken; `None` while it is not taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal, while it is taken.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    drawn: Option<Instant>,
}

/// Returns true if standard error is a terminal that may be taken. A background job may not take
/// it.
pub fn is_possible() -> bool {
    let stderr = stderr();
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    stderr.is_terminal() && !dumb && tcgetpgrp(&stderr).is_ok_and(|group| group == getpgrp())
}

/// Restores the terminal if it is taken. Code that ends the process without unwinding must call it.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that was closed cannot be restored.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = tcsetattr(stderr(), OptionalActions::Flush, &before);
    }
}

impl Screen {
    /// Takes the terminal: switches to the alternate screen and turns echo off. Ctrl-C stays a
    /// signal.
    pub(super) fn take() -> io::Result<Screen> {
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(stderr())))?;
        let before = tcgetattr(stderr())?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON);
        let screen = Screen {
            terminal,
            drawn: None,
        };
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            print(panic);
        }));
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stderr(), OptionalActions::Now, &quiet)?;
        execute!(stderr(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Returns true if the last frame is a quarter of a second old. Returns false after a panic in
    /// another thread, which has restored the terminal.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let old = |then| now.saturating_duration_since(then) >= PERIOD;
        self.drawn.is_none_or(old) && BEFORE.lock().is_ok_and(|before| before.is_some())
    }

    /// Draws a frame. An error is ignored: the measurement goes on.
    pub(super) fn draw(&mut self, now: Instant, render: impl FnOnce(&mut Frame<'_>)) {
        let _ = self.terminal.draw(render);
        self.drawn = Some(now);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
