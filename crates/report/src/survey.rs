//! The summary of a survey: a sentence, a row for each model, and the models that were not
//! measured.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use results::{self, Trial};

use crate::{
    names,
    summary::{best, counts, throughput},
    text::number,
};

/// Result of a survey for one model.
#[derive(Debug)]
pub struct Surveyed {
    /// Name of the model.
    pub model: &'static str,
    /// The sweep of the model, or the reason why there is none.
    pub outcome: Result<ModelSweep, String>,
}

/// The sweep of one model in a survey.
#[derive(Debug)]
pub struct ModelSweep {
    /// Results of the sweep, one for each point.
    pub results: Vec<Trial>,
    /// Path of the sweep's page.
    pub report: PathBuf,
}

impl Surveyed {
    /// Returns true if a point of the model was measured, whatever its verdict.
    pub fn is_measured(&self) -> bool {
        let results = self.outcome.as_ref().map(|sweep| sweep.results.iter());
        results.is_ok_and(|mut results| results.any(|trial| trial.not_run().is_none()))
    }
}

/// Returns the maximum throughput of each model, with the verdicts of its points and the path of
/// its report.
pub fn survey(models: &[Surveyed]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "model",
        "queries/s",
        "with",
        "p50 ms",
        "load",
        "points",
        "report",
    ]);
    let mut rates = Vec::new();
    let mut reasons = String::new();
    for Surveyed { model, outcome } in models {
        match outcome {
            Ok(sweep) => {
                let row = BestRow::of(sweep);
                match row.rate.as_str() {
                    "-" => reasons.push_str(&format!(
                        "* {model} has no VALID or SUSPECT point; its report has the reasons\n"
                    )),
                    rate => rates.push(format!("{model} {rate}")),
                }
                table.add_row([
                    (*model).to_owned(),
                    row.rate,
                    row.config,
                    row.p50_ms,
                    row.load,
                    verdicts(&sweep.results),
                    sweep.report.display().to_string(),
                ]);
            }
            Err(why) => reasons.push_str(&format!("* {model} was not measured: {why}\n")),
        }
    }
    for numeric in [1, 3] {
        if let Some(column) = table.column_mut(numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let answer = match rates.is_empty() {
        true => "No model was measured.".to_owned(),
        false => format!("Maximum queries/s: {}.", rates.join(", ")),
    };
    let not_measured = match reasons.is_empty() {
        true => reasons,
        false => format!("\nReasons:\n{reasons}"),
    };
    format!("\n{answer}\n\n{table}\n{not_measured}")
}

/// Cells of a model's best point: that with the maximum throughput, without INVALID ones.
struct BestRow {
    rate: String,
    config: String,
    p50_ms: String,
    load: String,
}

impl BestRow {
    fn of(sweep: &ModelSweep) -> BestRow {
        let none = || "-".to_owned();
        let configs = results::by_config(&sweep.results);
        let Some(best) = best(configs.values(), throughput) else {
            return BestRow {
                rate: none(),
                config: none(),
                p50_ms: none(),
                load: none(),
            };
        };
        let node = &best.first.node_configs[0];
        let phase = best.first.speed().and_then(|speed| speed.latency());
        let p50 = phase.and_then(|phase| phase.latency.as_ref()?.percentile(0.5));
        BestRow {
            rate: number(best.median),
            config: names::config(node),
            p50_ms: p50.map_or_else(none, |p50| number(p50.ms.value)),
            load: phase.map_or_else(none, names::load),
        }
    }
}

/// For instance `3 SUSPECT, 1 INVALID`.
fn verdicts(results: &[Trial]) -> String {
    let counts = counts(&results.iter().collect::<Vec<_>>());
    let texts = counts.into_iter().filter(|(_, count)| *count > 0);
    let texts: Vec<_> = texts
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{VerdictStatus, fixture::profiled};

    #[test]
    fn summary_leaves_out_invalid_rates_and_names_models_not_measured() {
        let mut invalid = profiled();
        invalid.node_configs[0].batch_size = 64;
        let speed = results::fixture::speed(&mut invalid);
        speed.phases[0].throughput.value = 1e6;
        invalid.verdict.status = VerdictStatus::Invalid;
        let sweep = |results| ModelSweep {
            results,
            report: "results/noop/report.html".into(),
        };
        let models = [
            Surveyed {
                model: "noop",
                outcome: Ok(sweep(vec![profiled(), invalid.clone()])),
            },
            Surveyed {
                model: "svm",
                outcome: Ok(sweep(vec![invalid])),
            },
            Surveyed {
                model: "vgg",
                outcome: Err("no artifact".to_owned()),
            },
        ];
        let text = survey(&models);
        assert!(
            text.starts_with("\nMaximum queries/s: noop 200.0.\n"),
            "{text}"
        );
        for part in [
            "2 replicas x 1 CPU at batch 4",
            "1 VALID, 1 INVALID",
            "results/noop/report.html",
            "* svm has no VALID or SUSPECT point",
            "* vgg was not measured: no artifact",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.is_ascii() && !text.contains("1,000,000"), "{text}");
        let measured = models.iter().map(Surveyed::is_measured);
        assert_eq!(measured.collect::<Vec<_>>(), [true, true, false]);
    }
}
