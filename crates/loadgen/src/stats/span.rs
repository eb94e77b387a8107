//! The measured window.

use std::time::{Duration, Instant};

/// The measured window, from its opening (included) to its close (not included).
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// After the warm-up.
    pub opens: Instant,
    /// When sending stops.
    pub closes: Instant,
    /// The length of each of its slices.
    pub slice: Duration,
}

impl Span {
    /// A window in equal slices of a second or a little more.
    pub fn new(opens: Instant, closes: Instant) -> Span {
        let length = closes - opens;
        let slices = u32::try_from(length.as_secs().max(1)).unwrap_or(u32::MAX);
        Span {
            opens,
            closes,
            // What the division leaves over must not be one slice more.
            slice: length / slices + Duration::from_nanos(1),
        }
    }

    /// Before the window opens: it contains nothing, and sending stops at `closes`.
    pub fn unopened(closes: Instant) -> Span {
        Span::new(closes, closes)
    }

    /// True if `at` is inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.opens <= at && at < self.closes
    }

    /// The length.
    pub fn length(&self) -> Duration {
        self.closes - self.opens
    }

    /// How many slices it has.
    pub fn slices(&self) -> usize {
        (self.length().div_duration_f64(self.slice).round() as usize).max(1)
    }

    /// The number of the slice that `at`, a time not before the opening, falls in.
    pub fn slice_at(&self, at: Instant) -> usize {
        (at - self.opens).div_duration_f64(self.slice) as usize
    }

    /// When slice number `index` begins.
    pub fn slice_begins(&self, index: usize) -> Instant {
        self.opens + self.slice * u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// How much of the time from `from` to `to` is inside.
    pub(super) fn overlap(&self, from: Instant, to: Instant) -> Duration {
        let from = from.max(self.opens);
        to.min(self.closes).saturating_duration_since(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closed_between_slices_has_whole_ones_only() {
        let opens = Instant::now();
        let whole = Span::new(opens, opens + Duration::from_secs(10));
        let cut = Span {
            closes: whole.opens + whole.slice * 4,
            ..whole
        };
        assert_eq!((whole.slices(), cut.slices()), (10, 4));
        assert_eq!(whole.slice_at(whole.closes - Duration::from_nanos(1)), 9);
    }
}
