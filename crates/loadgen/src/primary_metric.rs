//! Primary metric of a load, and the parts of its window that give the metric's spread.

pub use crate::stats::interval::{Estimate, Window};
use crate::stats::{Slice, Span, Tally, interval};

/// Returns the primary metric over the first `count` slices, with its interval: throughput in a
/// `closed` loop, the 99th percentile of the latency in an open one. `None` if it cannot be stated,
/// or if the slices are too few for a spread.
pub(crate) fn primary_metric(
    closed: bool,
    tally: &mut Tally,
    span: &Span,
    count: usize,
) -> Option<Estimate> {
    if count < interval::MIN_PARTS {
        return None;
    }
    if closed {
        let seconds = (span.slice * count as u32).as_secs_f64();
        return Some(interval::throughput(&windows(tally, count, seconds)));
    }
    let (first, others) = tally.slices.get(..count)?.split_first()?;
    let mut whole = first.clone();
    others.iter().for_each(|slice| whole.merge(slice));
    interval::percentile(&whole.latency, &tally.slices[..count], 0.99)
}

/// Returns `count` equal parts of a window of `seconds`; a part without counts is empty.
pub fn windows(tally: &mut Tally, count: usize, seconds: f64) -> Vec<Window> {
    if let Some(last) = count.checked_sub(1) {
        tally.slice(last);
    }
    let each = seconds / count as f64;
    let window = |(index, slice): (usize, &Slice)| {
        let of = |micros: f64| (!slice.latency.is_empty()).then_some(micros / 1e3);
        Window {
            begins: each * index as f64,
            seconds: each,
            ok: slice.arrived.ok,
            mean_ms: of(slice.latency.mean()),
            p99_ms: of(slice.latency.value_at_quantile(0.99) as f64),
        }
    };
    tally
        .slices
        .iter()
        .take(count)
        .enumerate()
        .map(window)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_without_answers_has_rate_zero_and_no_latency() {
        let mut tally = Tally::new(None);
        tally.slice(1).arrived.ok = 10;
        tally.slice(1).latency.record(2_000_000).unwrap();
        let windows = windows(&mut tally, 4, 8.0);
        let counts: Vec<_> = windows.iter().map(|window| window.ok).collect();
        assert_eq!(counts, [0, 10, 0, 0]);
        assert_eq!(windows[1].begins, 2.0);
        assert_eq!(windows[0].mean_ms, None);
        assert!((windows[1].mean_ms.unwrap() - 2000.0).abs() < 2.0);
    }
}
