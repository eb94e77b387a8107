//! The terminal of the live view: taken, drawn on four times a second at most, and given back whatever happens.

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

/// The shortest time between two pictures.
const PERIOD: Duration = Duration::from_millis(250);

/// How the terminal was before it was taken; `None` while it is not.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal, while it is taken.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    drawn: Option<Instant>,
}

/// True if standard error is a terminal that may be taken: not that of a job in the background.
pub fn is_possible() -> bool {
    let stderr = stderr();
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    stderr.is_terminal() && !dumb && tcgetpgrp(&stderr).is_ok_and(|group| group == getpgrp())
}

/// Gives the terminal back, if it is taken. What ends the process without unwinding must call it.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // If the terminal is gone there is nothing to give back.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = tcsetattr(stderr(), OptionalActions::Flush, &before);
    }
}

impl Screen {
    /// Takes the terminal: another screen, on which what is typed does not show. Ctrl-C stays a signal.
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

    /// True if the last picture is a quarter of a second old. After a panic in another thread it never is: then the
    /// terminal has been given back already.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let old = |then| now.saturating_duration_since(then) >= PERIOD;
        self.drawn.is_none_or(old) && BEFORE.lock().is_ok_and(|before| before.is_some())
    }

    /// Draws a picture. One that cannot be drawn is no reason to stop measuring.
    pub(super) fn draw(&mut self, now: Instant, picture: impl FnOnce(&mut Frame<'_>)) {
        let _ = self.terminal.draw(picture);
        self.drawn = Some(now);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
