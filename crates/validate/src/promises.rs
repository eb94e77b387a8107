//! The table of promises: each with what is required, and how it was kept.

use std::fmt;

use crate::{
    intervals::{CellCounts, Kept},
    searches::SearchCounts,
};

/// A promise of the instrument about its own numbers.
#[derive(Clone, Debug)]
pub struct Promise {
    /// Promised property.
    pub name: String,
    /// Requirement, for instance `>= 93 %`.
    pub required: String,
    /// Result of the simulations.
    pub counted: String,
    /// Their result before the statistics were changed.
    pub before: &'static str,
    /// True if the requirement is met.
    pub kept: bool,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Promise {
            name,
            required,
            counted,
            before,
            kept,
        } = self;
        let kept = if *kept { "yes" } else { "NO" };
        write!(f, "| {name} | {required} | {counted} | {kept} | {before} |")
    }
}

/// Heading of the table, in Markdown.
pub const HEADING: &str = "| promise | required | now | kept | before |\n|---|---|---|---|---|";

/// Returns a figure's intervals in a cell.
type FigureOf = fn(&CellCounts) -> Kept;

/// Returns the promises about intervals. `stalls` names the simulations in the table.
pub fn of_intervals(cells: &[CellCounts], stalls: bool) -> Vec<Promise> {
    let place = if stalls { ", stalls of 1 s" } else { "" };
    let figures: [(&str, FigureOf, &str); 3] = [
        ("throughput", |cell| cell.throughput, "94.1 %"),
        ("p50", |cell| cell.p50, "89.0 %"),
        ("p99", |cell| cell.p99, "82.4 %"),
    ];
    let mut promises = Vec::new();
    for (name, of, before) in figures {
        let kept: Vec<Kept> = cells.iter().map(of).collect();
        let stated: usize = kept.iter().map(|cell| cell.stated).sum();
        let contained: usize = kept.iter().map(|cell| cell.contained).sum();
        let coverage = contained as f64 / stated.max(1) as f64;
        // Cells in which few runs state an interval are few intervals.
        let usual = || kept.iter().filter(|cell| cell.share_stated() >= 0.5);
        let worst = usual().map(|cell| cell.coverage()).fold(1.0, f64::min);
        let widest = usual().map(|cell| cell.width).fold(0.0, f64::max);
        promises.push(Promise {
            name: format!("{name} intervals contain the truth{place}"),
            required: ">= 93 % of those stated".to_owned(),
            counted: format!(
                "{:.1} % of {stated}; {:.1} % in the worst case that most runs state",
                1e2 * coverage,
                1e2 * worst
            ),
            before: if stalls { "-" } else { before },
            kept: coverage >= 0.93,
        });
        promises.push(Promise {
            name: format!("{name}, median half-width{place}"),
            required: "<= 1.5 true spreads".to_owned(),
            counted: format!("{widest:.2} in the widest case that most runs state"),
            before: "-",
            kept: widest <= 1.5,
        });
    }
    let required = cells.iter().filter(|counts| {
        let cell = counts.cell;
        cell.seconds == 120.0 && cell.server.rate == 500.0 && cell.load <= 0.8
    });
    let least = required.map(|cell| {
        let shares = figures.map(|(_, of, _)| of(cell).share_stated());
        shares.into_iter().fold(1.0, f64::min)
    });
    let least = least.fold(1.0, f64::min);
    promises.push(Promise {
        name: format!("intervals stated: 120 s, 500/s, load <= 0.8{place}"),
        required: ">= 90 % of runs".to_owned(),
        counted: format!("{:.0} % in the rarest case", 1e2 * least),
        before: if stalls { "-" } else { "97 %" },
        kept: least >= 0.9,
    });
    let valid: usize = cells.iter().map(|cell| cell.valid).sum();
    let off: usize = cells.iter().map(|cell| cell.off).sum();
    let share = off as f64 / valid.max(1) as f64;
    promises.push(Promise {
        name: format!("VALID p99s off by more than 20 %{place}"),
        required: "<= 1 %".to_owned(),
        counted: format!("{:.2} % of {valid}", 1e2 * share),
        before: if stalls { "-" } else { "8.2 %" },
        kept: share <= 0.01,
    });
    promises
}

/// Returns the promises about searches for the highest rate within an objective.
pub fn of_searches(all: &[SearchCounts]) -> Vec<Promise> {
    let mut promises = Vec::new();
    for counts in all {
        let case = counts.case;
        let name = format!(
            "search: {}, {}/s, {} ms, -d {}",
            case.service.name(),
            case.capacity,
            1e3 * case.objective,
            case.seconds
        );
        let of = |part: usize| 1e2 * part as f64 / counts.searches as f64;
        let (confirmed, above) = (of(counts.confirmed), of(counts.above));
        let decides = case.capacity >= 500.0 && case.seconds >= 120.0;
        promises.push(Promise {
            name: format!("{name}: confirms a rate above the truth"),
            required: "<= 5 % of searches".to_owned(),
            counted: format!("{above:.1} % of {}", counts.searches),
            before: "72 to 99 % (a review's simulation)",
            kept: above <= 5.0,
        });
        if decides {
            promises.push(Promise {
                name: format!("{name}: confirms a rate"),
                required: ">= 80 %, median >= 0.85 of the truth".to_owned(),
                counted: format!("{confirmed:.1} %, median {:.3}", counts.median),
                before: "-",
                kept: confirmed >= 80.0 && counts.median >= 0.85,
            });
        }
    }
    promises
}
