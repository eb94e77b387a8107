//! The report of a sweep as one HTML page, which opens from disk and loads nothing.

mod grid;
mod latency;
mod plots;
mod points;
mod setting;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotly::Plot;
use results::{Folder, Speed, Trial};

use crate::{names::Names, summary};
use plots::Figure;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/page.js");
/// Nothing is fetched, whatever the page says.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/// The whole document.
pub(crate) fn page(folder: &Folder) -> String {
    let names = Names::new(folder.results());
    let title = summary::title(folder);
    let figures = figures(folder, &names);
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
                (header(folder, &names, &title, &figures))
                main {
                    (points::table(folder, &names))
                    (points::left_out(folder))
                    (points::choice(&summary::choice(folder)))
                    @for figure in &figures { (section(figure)) }
                    (points::zeros(folder, &names))
                    (setting::setting(folder))
                    @if !figures.is_empty() { (setting::reading()) }
                }
                @if !figures.is_empty() {
                    (PreEscaped(library()))
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    };
    document.into_string()
}

/// None in a sweep of accuracy runs.
fn figures(folder: &Folder, names: &Names) -> Vec<Figure> {
    let results: Vec<&Trial> = folder.results().collect();
    let speeds: Vec<(&Trial, &Speed)> = results
        .iter()
        .filter_map(|result| Some((*result, result.speed()?)))
        .collect();
    if speeds.is_empty() {
        return Vec::new();
    }
    vec![
        plots::throughput(names, &speeds),
        grid::grid(names, &results),
        latency::against_load(names, &speeds),
        latency::distribution(names, &speeds),
        plots::breakdown(names, &speeds),
        timeline::timeline(names, &latency::ranked(&speeds)),
    ]
}

fn header(folder: &Folder, names: &Names, title: &str, figures: &[Figure]) -> Markup {
    html! {
        header {
            h1 { (title) }
            p.summary { (summary::sentence(folder, names)) }
            ul.counts {
                @for (status, count) in summary::counts(folder) {
                    @if count > 0 { li { (count) " " span class=(status) { (status) } } }
                }
            }
            nav {
                a href="#points" { "Points" }
                @if !figures.is_empty() { a href="#choice" { "Which to take" } }
                @for figure in figures { a href=(format!("#{}", figure.id)) { (figure.heading) } }
                a href="#setting" { "Machine and versions" }
                @if !figures.is_empty() { a href="#reading" { "How to read this" } }
            }
        }
    }
}

fn section(figure: &Figure) -> Markup {
    let plot = format!("{}-plot", figure.id);
    html! {
        section id=(figure.id) {
            h2 { (figure.heading) }
            p.reading { (figure.reading) }
            @if figure.plots.len() > 1 {
                select data-for=(plot) aria-label="Point" {
                    @for (name, _) in &figure.plots { option { (name) } }
                }
            }
            @if !figure.plots.is_empty() {
                figure { div.plot id=(plot) {} }
                noscript { p.note { "Without JavaScript there are no plots; the table above has the numbers." } }
                @for (_, figure) in &figure.plots {
                    script type="application/json" data-for=(plot) { (PreEscaped(json(figure))) }
                }
            }
        }
    }
}

/// As JSON that cannot end the script element which holds it: `<` occurs within its strings only.
fn json(plot: &Plot) -> String {
    plot.to_json().replace('<', "\\u003c")
}

/// plotly.js, without the library for formulas that comes along with it.
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
    fn no_text_in_a_plot_ends_the_script_that_holds_it() {
        let mut plot = Plot::new();
        plot.set_layout(Layout::new().title(Title::with_text("</script><script>alert(1)")));
        let json = json(&plot);
        assert!(!json.contains('<'), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["layout"]["title"]["text"], "</script><script>alert(1)");
    }
}
