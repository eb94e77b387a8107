//! The report of a sweep as one HTML page, which opens from disk and loads nothing.

mod baselines;
mod environment;
mod glossary;
mod grid;
mod latency;
mod lists;
mod plots;
mod points;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotly::Plot;
use results::{Folder, Speed, Trial, pareto::ParetoFront};

use crate::{config_row::config_rows, facts::facts, names::Names, reasons::Reasons, summary};
use plots::PlotSection;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/page.js");
/// Forbids every fetch, whatever the page contains.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/// Returns the whole document.
pub(crate) fn page(folder: &Folder) -> String {
    let trials: Vec<Trial> = folder.results().cloned().collect();
    let all: Vec<&Trial> = trials.iter().collect();
    let rows = config_rows(trials.iter());
    let reasons = Reasons::of(&rows);
    let front = ParetoFront::of(&trials, folder.target_qps);
    let names = Names::new(trials.iter());
    let title = summary::title(&all);
    let sections = plot_sections(&all, &names);
    let (first, others) = match sections.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, &[][..]),
    };
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.summary { (summary::answer(&trials)) }
                    (lists::recommendation(&front, rows.len()))
                    (counts(&all))
                }
                main {
                    @match first {
                        Some(first) => (section(first)),
                        None => p.note { (no_plot(&all)) },
                    }
                    (navigation(&sections, &front))
                    (lists::facts(&facts(&all, &rows, &reasons)))
                    (points::table(&all, &names, &reasons))
                    (lists::left_out(folder))
                    (lists::pareto(&front))
                    @for plots in others { (section(plots)) }
                    (baselines::table(folder, &names))
                    (environment::section(&all))
                    @if !sections.is_empty() { (glossary::section()) }
                }
                @if !sections.is_empty() {
                    (PreEscaped(library()))
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    };
    document.into_string()
}

/// Returns the sections with plots; none for a sweep of accuracy runs, or if nothing ran.
fn plot_sections(trials: &[&Trial], names: &Names) -> Vec<PlotSection> {
    let speeds: Vec<(&Trial, &Speed)> = trials
        .iter()
        .filter_map(|trial| Some((*trial, trial.speed()?)))
        .collect();
    if speeds.is_empty() {
        return Vec::new();
    }
    vec![
        plots::throughput(names, &speeds),
        grid::grid(names, trials),
        latency::against_load(names, &speeds),
        latency::distribution(names, &speeds),
        plots::breakdown(names, &speeds),
        timeline::timeline(names, &latency::ranked(&speeds)),
    ]
}

/// States why the page has no plot.
fn no_plot(trials: &[&Trial]) -> &'static str {
    match trials.iter().any(|trial| trial.accuracy().is_some()) {
        true => "No plot: an accuracy run measures no speed.",
        false => "No plot: no point was measured.",
    }
}

/// Returns the number of trials of each verdict.
fn counts(trials: &[&Trial]) -> Markup {
    html! {
        ul.counts {
            @for (verdict, count) in summary::counts(trials) {
                @if count > 0 { li { (count) " " (points::verdict(verdict)) } }
            }
        }
    }
}

fn navigation(sections: &[PlotSection], front: &ParetoFront) -> Markup {
    html! {
        nav {
            a href="#points" { "Points" }
            @if !front.configs.is_empty() { a href="#pareto" { "Pareto-optimal" } }
            @for section in sections { a href=(format!("#{}", section.id)) { (section.heading) } }
            a href="#environment" { "Machine and versions" }
            @if !sections.is_empty() { a href="#glossary" { "How to read this" } }
        }
    }
}

fn section(section: &PlotSection) -> Markup {
    let plot = format!("{}-plot", section.id);
    html! {
        section id=(section.id) {
            h2 { (section.heading) }
            p.reading { (section.reading) }
            @if section.plots.len() > 1 {
                select data-for=(plot) aria-label="Point" {
                    @for (name, _) in &section.plots { option { (name) } }
                }
            }
            @if !section.plots.is_empty() {
                figure { div.plot id=(plot) {} }
                noscript { p.note { "Without JavaScript there are no plots; the table of points has the numbers." } }
                @for (_, plotted) in &section.plots {
                    script type="application/json" data-for=(plot) { (PreEscaped(json(plotted))) }
                }
            }
        }
    }
}

/// Returns JSON that cannot end the script element around it: `<` occurs only in strings, where it
/// is escaped.
fn json(plot: &Plot) -> String {
    plot.to_json().replace('<', "\\u003c")
}

/// Returns plotly.js, without the library for formulas that plotly adds.
fn library() -> String {
    const END: &str = "</script>";
    let mut scripts = Plot::offline_js_sources();
    let end = scripts.find(END).map_or(scripts.len(), |at| at + END.len());
    scripts.truncate(end);
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotly::{Layout, common::Title};

    #[test]
    fn text_in_a_plot_cannot_end_its_script() {
        let mut plot = Plot::new();
        plot.set_layout(Layout::new().title(Title::with_text("</script><script>alert(1)")));
        let json = json(&plot);
        assert!(!json.contains('<'), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["layout"]["title"]["text"], "</script><script>alert(1)");
    }
}
