//! `validate`: simulates measurements with a known truth and prints how often each promise was kept.
//!
//! `validate --short` takes a minute, `--cells` also prints each case, and `--searches` leaves out the intervals.

use std::{env, process::ExitCode};

use validate::{
    intervals::{self, CellCounts, Kept},
    promises::{self, HEADING},
    searches,
};

fn main() -> ExitCode {
    let has = |flag| env::args().any(|arg| arg == flag);
    let (short, shown) = (has("--short"), has("--cells"));
    let mut all = Vec::new();
    all.extend(promises::of_searches(&searches::simulate(short)));
    for stalls in [false, true] {
        if has("--searches") {
            break;
        }
        let counts = intervals::simulate(short, stalls, |cell| {
            if shown {
                println!("{}", line(cell));
            }
        });
        all.extend(promises::of_intervals(&counts, stalls));
    }
    println!("{HEADING}");
    all.iter().for_each(|promise| println!("{promise}"));
    match all.iter().all(|promise| promise.kept) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Returns share stated, coverage and relative half-width of each figure in a cell.
fn line(counts: &CellCounts) -> String {
    let show = |kept: Kept| {
        let (stated, coverage) = (kept.share_stated(), kept.coverage());
        format!("{stated:.2} {coverage:.3} {:.2}", kept.width)
    };
    let cell = counts.cell;
    format!(
        "{:13} {:.1} {:4}/s {:4}s | thr {} | p50 {} | p99 {} | valid {:4} off {:3} of {}",
        cell.server.service.name(),
        cell.load,
        cell.server.rate,
        cell.seconds,
        show(counts.throughput),
        show(counts.p50),
        show(counts.p99),
        counts.valid,
        counts.off,
        counts.p99.runs,
    )
}
