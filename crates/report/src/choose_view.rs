//! Choice of the view of a sweep.

use crate::{
    live::{self, Live},
    plain::Plain,
    view::{Outline, View},
};

/// Returns the live view if there is a terminal for it, else plain lines. The view ends when it is
/// dropped.
pub fn view(outline: &Outline) -> Box<dyn View> {
    let live = !outline.plain && live::is_possible();
    match live.then(|| Live::start(outline)) {
        Some(Ok(live)) => Box::new(live),
        _ => Box::new(Plain::default()),
    }
}
