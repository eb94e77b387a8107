//! The table of baselines: the no-op model at the configurations of the sweep.

use maud::{Markup, html};
use results::{Baseline, Folder, Speed, TrialFile, percent_to_tenths};

use crate::{
    names::Names,
    text::{number, optional},
};

/// Returns the throughput as a share of the no-op model's.
pub(super) fn share_of_baseline(speed: &Speed) -> String {
    match &speed.baseline {
        Some(baseline) if baseline.throughput_qps > 0.0 => {
            percent_to_tenths(speed.throughput_qps / baseline.throughput_qps)
        }
        _ => "-".to_owned(),
    }
}

/// Returns the table; empty if there is no baseline.
pub(super) fn table(folder: &Folder, names: &Names) -> Markup {
    let points: Vec<_> = folder
        .results()
        .filter_map(|trial| {
            let speed = trial.speed()?;
            Some((trial, speed, speed.baseline.as_ref()?))
        })
        .collect();
    if points.is_empty() {
        return html! {};
    }
    html! {
        section id="baseline" {
            h2 { "Baseline: the no-op model at the same points" }
            p.reading {
                "The baseline is the same configuration with a model that computes nothing, and inputs of the same size. It \
                 shows the limit of frontend and protocol. The closer a point is to this limit, the less its throughput \
                 depends on the model."
            }
            div.scroll {
                table {
                    thead { tr {
                        th { "point" } th { "queries/s" } th { "baseline queries/s" } th { "share of baseline" } th { "no-op mean batch" }
                        th { "no-op p50 with one query in flight (ms)" } th { "baseline verdict" }
                    } }
                    tbody {
                        @for (trial, speed, baseline) in points { tr {
                            td { (names.point(trial)) }
                            td { (number(speed.throughput_qps)) }
                            td { (number(baseline.throughput_qps)) }
                            td { (share_of_baseline(speed)) }
                            td { (optional(baseline.mean_batch)) }
                            td { (optional(baseline.single_p50_ms)) }
                            td { (verdict_of(baseline, &folder.baselines)) }
                        } }
                    }
                }
            }
        }
    }
}

fn verdict_of(baseline: &Baseline, baselines: &[TrialFile]) -> Markup {
    let found = baselines
        .iter()
        .find(|filed| baseline.file.ends_with(&filed.file));
    html! {
        @match found {
            Some(found) => span class=(found.trial.verdict.status) { (found.trial.verdict.status) },
            None => "-",
        }
    }
}
