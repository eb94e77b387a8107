//! The summary of a survey: a sentence, and a row for each model.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use results::{self, Status, Trial};

use crate::{
    names::{self, Names},
    summary::{best, throughput},
    text::number,
};

/// A model of a survey, and what came of it.
#[derive(Debug)]
pub struct Surveyed {
    /// The model's name.
    pub model: &'static str,
    /// The sweep; or, in words, why there is none.
    pub outcome: Result<Swept, String>,
}

/// The sweep of a model.
#[derive(Debug)]
pub struct Swept {
    /// One result for each point.
    pub results: Vec<Trial>,
    /// The page of the sweep.
    pub report: PathBuf,
}

impl Surveyed {
    /// True if some point of the model was measured, whatever its verdict.
    pub fn is_measured(&self) -> bool {
        let results = self.outcome.as_ref().map(|swept| swept.results.iter());
        results.is_ok_and(|mut results| results.any(|result| result.not_run().is_none()))
    }
}

/// The highest throughput of each model, with how many of its points have which verdict and where its report is.
pub fn survey(models: &[Surveyed]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "model",
        "queries/s",
        "with",
        "p50 ms",
        "at",
        "points",
        "report",
    ]);
    let mut rates = Vec::new();
    let mut missing = String::new();
    for Surveyed { model, outcome } in models {
        match outcome {
            Ok(swept) => {
                let row = row(swept);
                rates.push(format!("{model} {}", row.rate));
                table.add_row([
                    (*model).to_owned(),
                    row.rate,
                    row.combination,
                    row.p50_ms,
                    row.load,
                    verdicts(&swept.results),
                    swept.report.display().to_string(),
                ]);
            }
            Err(why) => missing.push_str(&format!("* {model} was not measured: {why}\n")),
        }
    }
    for numeric in [1, 3] {
        if let Some(column) = table.column_mut(numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let sentence = match rates.is_empty() {
        true => "No model was measured.".to_owned(),
        false => format!("Highest throughput in queries/s: {}.", rates.join(", ")),
    };
    format!(
        "\n{sentence}\n\n{table}\n\
         * queries/s: the best point, INVALID ones left out. Each report says what speaks against its numbers.\n{missing}"
    )
}

/// The best point of a model, as text.
struct Row {
    rate: String,
    combination: String,
    p50_ms: String,
    load: String,
}

fn row(swept: &Swept) -> Row {
    let none = || "-".to_owned();
    let points = results::by_config(&swept.results);
    let Some(best) = best(points.values(), throughput) else {
        return Row {
            rate: none(),
            combination: none(),
            p50_ms: none(),
            load: none(),
        };
    };
    let node = &best.first.node_configs[0];
    let phase = best.first.speed().and_then(|speed| speed.latency());
    let p50 = phase.and_then(|phase| phase.latency.as_ref()?.percentile(0.5));
    Row {
        rate: number(best.median),
        combination: Names::new(swept.results.iter()).combination(node),
        p50_ms: p50.map_or_else(none, |p50| number(p50.ms.value)),
        load: phase.map_or_else(none, names::load),
    }
}

/// For instance `3 SUSPECT, 1 INVALID`; points that did not run are apart.
fn verdicts(results: &[Trial]) -> String {
    let ran = || results.iter().filter(|result| result.not_run().is_none());
    let mut counts: Vec<(usize, String)> = [Status::Valid, Status::Suspect, Status::Invalid]
        .into_iter()
        .map(|status| {
            let of = ran().filter(|result| result.verdict.status == status);
            (of.count(), status.to_string())
        })
        .collect();
    counts.push((results.len() - ran().count(), "NOT RUN".to_owned()));
    let texts = counts.into_iter().filter(|(count, _)| *count > 0);
    let texts: Vec<_> = texts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::fixture::profiled;

    #[test]
    fn summary_leaves_out_invalid_rates_and_names_models_not_measured() {
        let mut invalid = profiled();
        invalid.node_configs[0].batch_size = 64;
        let speed = results::fixture::speed(&mut invalid);
        speed.phases[0].throughput.value = 1e6;
        invalid.verdict.status = Status::Invalid;
        let swept = |results| Swept {
            results,
            report: "results/noop/report.html".into(),
        };
        let models = [
            Surveyed {
                model: "noop",
                outcome: Ok(swept(vec![profiled(), invalid.clone()])),
            },
            Surveyed {
                model: "svm",
                outcome: Ok(swept(vec![invalid])),
            },
            Surveyed {
                model: "vgg",
                outcome: Err("no artifact".to_owned()),
            },
        ];
        let text = survey(&models);
        assert!(!text.contains("1,000,000"), "{text}");
        assert!(text.contains("svm -."), "{text}");
        assert!(text.contains("1 VALID, 1 INVALID"), "{text}");
        assert!(text.contains("results/noop/report.html"), "{text}");
        assert!(
            text.contains("* vgg was not measured: no artifact"),
            "{text}"
        );
        let measured = models.iter().map(Surveyed::is_measured);
        assert_eq!(measured.collect::<Vec<_>>(), [true, true, false]);
    }
}
