//! A view model on a screen of any size: nothing but a function of the two.

use std::collections::BTreeSet;

use ratatui::{
    Frame,
    layout::{
        Constraint::{Fill, Length, Percentage},
        Layout, Rect,
    },
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Paragraph, Sparkline},
};
use results::{Config, CoreUse, GpuUse, ProcessUse, Status, cores, percent};

use super::view_model::{ConfigState, State, ViewModel};
use crate::text::{rounded, whole};

/// Below this there is room for a few lines only.
const ROOM: (u16, u16) = (60, 16);

/// Draws everything that there is room for.
pub(super) fn draw(shown: &ViewModel, frame: &mut Frame<'_>) {
    let area = frame.area();
    let pen = Pen {
        colour: shown.colour,
    };
    if area.width < ROOM.0 || area.height < ROOM.1 {
        frame.render_widget(Paragraph::new(short(shown, pen)), area);
        return;
    }
    let below = rows(shown).len() as u16 + 3;
    let below = below.clamp(4, area.height / 3);
    let [head, bar, body, foot] =
        Layout::vertical([Length(2), Length(1), Fill(1), Length(below)]).areas(area);
    header(shown, pen, frame, head);
    frame.render_widget(progress(shown, pen, bar.width), bar);
    let [left, right] = Layout::horizontal([Percentage(58), Fill(1)]).areas(body);
    load(shown, pen, frame, left);
    machine(shown, pen, frame, right);
    let [left, right] = Layout::horizontal([Percentage(40), Fill(1)]).areas(foot);
    grid(shown, pen, frame, left);
    messages(shown, frame, right);
}

/// Styles, with colours or without.
#[derive(Clone, Copy)]
struct Pen {
    colour: bool,
}

impl Pen {
    fn colour(self, colour: Color) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A share of what there is: nearly all of it is worth a look.
    fn share(self, share: f64) -> Style {
        self.colour(match share {
            0.9.. => Color::Red,
            0.7.. => Color::Yellow,
            _ => Color::Green,
        })
    }
}

fn short(shown: &ViewModel, pen: Pen) -> Vec<Line<'static>> {
    let now = &shown.now;
    let used = shown.resources.processes.iter();
    let used: Vec<_> = used
        .map(|p| format!("{} {:.2}", p.name, last(&p.cpu)))
        .collect();
    let [of_point, of_sweep] = left(shown).map(Option::unwrap_or_default);
    vec![
        Line::styled(now.point.clone(), pen.bold()),
        Line::raw(now.phase.clone()),
        Line::raw(rate(shown)),
        Line::raw(latency(shown)),
        Line::raw(format!("{of_point} {of_sweep}")),
        Line::raw(format!("CPU: {}", used.join(", "))),
    ]
}

/// The time left of the point's load and of the sweep, where it is known.
fn left(shown: &ViewModel) -> [Option<String>; 2] {
    [("", shown.now.left), ("sweep: ", shown.left)]
        .map(|(of, time)| Some(format!("{of}{} left", rounded(time?))))
}

fn header(shown: &ViewModel, pen: Pen, frame: &mut Frame<'_>, area: Rect) {
    let now = &shown.now;
    let line = |left: String, right: Option<String>| {
        let right = right.unwrap_or_default();
        let gap =
            usize::from(area.width).saturating_sub(left.chars().count() + right.chars().count());
        Line::raw(format!("{left}{}{right}", " ".repeat(gap.max(1))))
    };
    let [of_point, of_sweep] = left(shown);
    let lines = vec![
        line(format!("driver: {}", shown.title), of_sweep),
        line(format!("{}, {}", now.point, now.phase), of_point).style(pen.bold()),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

fn progress(shown: &ViewModel, pen: Pen, width: u16) -> Line<'static> {
    let (full, empty) = bar(shown.now.done, width);
    Line::from(vec![
        Span::styled(full, pen.colour(Color::Cyan)),
        Span::styled(empty, Style::new().add_modifier(Modifier::DIM)),
    ])
}

/// Throughput and latency over time, and what is under way.
fn load(shown: &ViewModel, pen: Pen, frame: &mut Frame<'_>, area: Rect) {
    let now = &shown.now;
    let [above, middle, below] = Layout::vertical([Fill(1), Fill(1), Length(2)]).areas(area);
    for (area, title, values, colour) in [
        (above, rate(shown), &now.rates, Color::Cyan),
        (middle, latency(shown), &now.p99s, Color::Magenta),
    ] {
        let block = Block::bordered().title(format!(" {title} "));
        let width = usize::from(block.inner(area).width);
        let shown = &values[values.len().saturating_sub(width)..];
        // Thousandths, because a sparkline has whole numbers only.
        let thousandths: Vec<u64> = shown.iter().map(|value| (value * 1e3) as u64).collect();
        let line = Sparkline::default().block(block).style(pen.colour(colour));
        frame.render_widget(line.data(&thousandths), area);
    }
    let mut facts = vec![
        format!(" {} answers", whole(now.answered as f64)),
        format!("{} in flight", now.in_flight),
    ];
    facts.extend(now.queued.map(|queued| format!("{queued:.0} queued")));
    let mut lines = vec![Line::raw(facts.join(", "))];
    if let Some(mean) = now.mean_batch {
        let share = mean / now.batch_size.max(1) as f64;
        let (full, empty) = bar(share, area.width / 3);
        lines.push(Line::from(vec![
            Span::raw(format!(" batches {mean:.1} of {} ", now.batch_size)),
            Span::styled(full, pen.colour(Color::Cyan)),
            Span::styled(empty, Style::new().add_modifier(Modifier::DIM)),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), below);
}

/// Bars of processes, GPUs and cores; cores that have no room for a line each have a character each.
fn machine(shown: &ViewModel, pen: Pen, frame: &mut Frame<'_>, area: Rect) {
    let used = &shown.resources;
    let stolen = match last(&used.stolen) {
        0.01.. => format!("({} stolen) ", percent(last(&used.stolen))),
        _ => String::new(),
    };
    let block = Block::bordered().title(format!(" CPU: cores in use {stolen}"));
    let inner = block.inner(area);
    let processes = used.processes.iter();
    let mut rows: Vec<Row> = processes
        .map(|p| process_row(p, used.cores.len()))
        .collect();
    rows.extend(used.gpus.iter().map(gpu_row));
    let room = usize::from(inner.height).saturating_sub(rows.len());
    let mut strips = Vec::new();
    if used.cores.len() <= room {
        rows.extend(used.cores.iter().map(core_row));
    } else {
        let levels: Vec<char> = used
            .cores
            .iter()
            .map(|core| level(last(&core.busy)))
            .collect();
        let width = usize::from(inner.width).max(1);
        strips.extend(
            levels
                .chunks(width)
                .map(|row| Line::raw(row.iter().collect::<String>())),
        );
    }
    let mut lines = bars(&rows, pen, inner.width);
    lines.extend(strips);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A line for each row, all of one width, with names and texts in columns.
fn bars(rows: &[Row], pen: Pen, width: u16) -> Vec<Line<'static>> {
    let names = rows
        .iter()
        .map(|(name, ..)| name.chars().count())
        .max()
        .unwrap_or(0);
    let texts = rows
        .iter()
        .map(|(.., text)| text.chars().count())
        .max()
        .unwrap_or(0);
    let width = width.saturating_sub((names + texts + 2) as u16);
    let line = |(name, share, text): &Row| {
        let (full, empty) = bar(*share, width);
        Line::from(vec![
            Span::raw(format!("{name:names$} ")),
            Span::styled(full, pen.share(*share)),
            Span::styled(empty, Style::new().add_modifier(Modifier::DIM)),
            Span::raw(format!(" {text:>texts$}")),
        ])
    };
    rows.iter().map(line).collect()
}

/// A name, a share of what there is, and a text.
type Row = (String, f64, String);

fn process_row(process: &ProcessUse, all: usize) -> Row {
    let pinned = process
        .pinned
        .clone()
        .and_then(|list| cores::parse(&[list]).ok());
    let own = pinned.map_or(all, |cores| cores.len());
    let used = last(&process.cpu);
    (
        process.name.clone(),
        used / own.max(1) as f64,
        format!("{used:.2} of {own}"),
    )
}

fn core_row(core: &CoreUse) -> Row {
    let busy = last(&core.busy);
    (format!("core {}", core.core), busy, percent(busy))
}

fn gpu_row(gpu: &GpuUse) -> Row {
    let busy = last(&gpu.busy);
    let text = format!(
        "{} {:.0} MiB {:.0} W",
        percent(busy),
        last(&gpu.memory_mib),
        last(&gpu.power_watts)
    );
    (format!("GPU {}", gpu.index), busy, text)
}

/// A row for each number of replicas and cores, a column for each batch size.
fn grid(shown: &ViewModel, pen: Pen, frame: &mut Frame<'_>, area: Rect) {
    let sizes = shown.configs.iter().map(|of| of.config.batch_size);
    let columns: BTreeSet<usize> = sizes.collect();
    let rows = rows(shown);
    let block = Block::bordered().title(" points: replicas x CPUs, batch ");
    let room = usize::from(block.inner(area).height).saturating_sub(1);
    // As many rows as there is room for, the running one among them.
    let mut configs = shown.configs.iter();
    let running = configs.find(|of| of.state == State::Running);
    let row_of = |of: &ConfigState| rows.iter().position(|&row| row == row_key(of));
    let last_shown = running
        .and_then(row_of)
        .unwrap_or(0)
        .max(room.saturating_sub(1));
    let first = (last_shown + 1).saturating_sub(room);
    let mut lines = vec![Line::raw(
        columns
            .iter()
            .fold(" ".repeat(7), |line, batch| format!("{line}{batch:>5}")),
    )];
    for &(replicas, cpus) in rows.iter().skip(first).take(room) {
        let mut spans = vec![Span::raw(format!("{:>7}", format!("{replicas} x {cpus}")))];
        for &batch in &columns {
            let config = Config {
                replicas,
                cpus_per_replica: cpus,
                batch_size: batch,
            };
            let found = shown.configs.iter().find(|of| of.config == config);
            let (symbol, style) = found.map_or((" ", Style::new()), |of| mark(of.state, pen));
            spans.push(Span::styled(format!("{symbol:>5}"), style));
        }
        lines.push(Line::from(spans));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn rows(shown: &ViewModel) -> Vec<(usize, usize)> {
    let rows: BTreeSet<_> = shown.configs.iter().map(row_key).collect();
    rows.into_iter().collect()
}

fn row_key(of: &ConfigState) -> (usize, usize) {
    (of.config.replicas, of.config.cpus_per_replica)
}

fn mark(state: State, pen: Pen) -> (&'static str, Style) {
    match state {
        State::ToCome => (".", Style::new()),
        State::Running => (">", pen.colour(Color::Cyan).add_modifier(Modifier::BOLD)),
        State::Done(Status::Valid) => ("ok", pen.colour(Color::Green)),
        State::Done(Status::Suspect) => ("?", pen.colour(Color::Yellow)),
        State::Done(Status::Invalid) => ("x", pen.colour(Color::Red)),
        State::NotRun => ("-", Style::new()),
    }
}

/// The latest messages, in full.
fn messages(shown: &ViewModel, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(" done ");
    let inner = block.inner(area);
    let width = usize::from(inner.width).max(1);
    let lines = shown.messages.iter().flat_map(|message| {
        let letters: Vec<char> = message.chars().collect();
        let lines = letters
            .chunks(width)
            .map(|line| Line::raw(line.iter().collect::<String>()));
        lines.collect::<Vec<_>>()
    });
    let mut lines: Vec<_> = lines.collect();
    lines.drain(..lines.len().saturating_sub(usize::from(inner.height)));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn rate(shown: &ViewModel) -> String {
    match shown.now.rates.last() {
        Some(&rate) => format!("{} queries/s", whole(rate)),
        None => "no answer yet".to_owned(),
    }
}

fn latency(shown: &ViewModel) -> String {
    let ms = |values: &[f64]| {
        values
            .last()
            .map_or("-".to_owned(), |ms| format!("{ms:.2}"))
    };
    format!(
        "latency p50 {} ms, p99 {} ms",
        ms(&shown.now.p50s),
        ms(&shown.now.p99s)
    )
}

/// The full and the empty part of a bar.
fn bar(share: f64, width: u16) -> (String, String) {
    let width = usize::from(width);
    let full = ((share * width as f64).round() as usize).min(width);
    ("█".repeat(full), "░".repeat(width - full))
}

/// A share as one character.
fn level(share: f64) -> char {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    LEVELS[((share * 8.0).round() as usize).min(8)]
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
