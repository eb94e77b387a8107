//! The measured window.

use std::time::{Duration, Instant};

/// The measured window, from its opening (inclusive) to its close (exclusive).
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// End of the warm-up.
    pub opens: Instant,
    /// End of sending.
    pub closes: Instant,
    /// Length of each slice.
    pub slice: Duration,
}

impl Span {
    /// Creates a window of equal slices, each a second long or a little more.
    pub fn new(opens: Instant, closes: Instant) -> Span {
        let length = closes - opens;
        let slices = u32::try_from(length.as_secs().max(1)).unwrap_or(u32::MAX);
        Span {
            opens,
            closes,
            // Rounded up, so that the division's remainder does not become another slice.
            slice: length / slices + Duration::from_nanos(1),
        }
    }

    /// Creates the span to use before the window opens: it is empty, and sending stops at `closes`.
    pub fn unopened(closes: Instant) -> Span {
        Span::new(closes, closes)
    }

    /// Returns true if `at` is inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.opens <= at && at < self.closes
    }

    /// Returns the length of the window.
    pub fn length(&self) -> Duration {
        self.closes - self.opens
    }

    /// Returns the number of slices.
    pub fn slices(&self) -> usize {
        (self.length().div_duration_f64(self.slice).round() as usize).max(1)
    }

    /// Returns the number of the slice that contains `at`, which must not be before the opening.
    pub fn slice_at(&self, at: Instant) -> usize {
        (at - self.opens).div_duration_f64(self.slice) as usize
    }

    /// Returns the start of slice number `index`.
    pub fn slice_start(&self, index: usize) -> Instant {
        self.opens + self.slice * u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Returns the part of the time from `from` to `to` that is inside.
    pub(super) fn overlap(&self, from: Instant, to: Instant) -> Duration {
        let from = from.max(self.opens);
        to.min(self.closes).saturating_duration_since(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_closed_between_slices_has_whole_slices_only() {
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
