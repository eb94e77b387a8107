//! Which view a sweep gets.

use crate::{
    live::{self, Live},
    plain::Plain,
    view::{Outline, View},
};

/// The live view where there is a terminal for it, else plain lines. It ends when it is dropped.
pub fn view(outline: &Outline) -> Box<dyn View> {
    let live = !outline.plain && live::is_possible();
    match live.then(|| Live::start(outline)) {
        Some(Ok(live)) => Box::new(live),
        _ => Box::new(Plain::default()),
    }
}
