//! Drawing of the view model on a screen of any size.

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
use results::{Config, CoreUse, GpuUse, ProcessUse, VerdictStatus, cores, percent};

use super::{
    glyphs::Glyphs,
    view_model::{ConfigProgress, ConfigState, ViewModel},
};
use crate::text::{rounded, whole};

/// Minimum width and height of the full view; a smaller screen shows a few lines.
const FULL_VIEW: (u16, u16) = (60, 16);

/// Draws everything that the screen has room for.
pub(super) fn draw(shown: &ViewModel, frame: &mut Frame<'_>) {
    let area = frame.area();
    let pen = Pen {
        colour: shown.colour,
        glyphs: &shown.glyphs,
    };
    if area.width < FULL_VIEW.0 || area.height < FULL_VIEW.1 {
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
    messages(shown, pen, frame, right);
}

/// Styles, with colours or without, and characters.
#[derive(Clone, Copy)]
struct Pen<'a> {
    colour: bool,
    glyphs: &'a Glyphs,
}

impl<'a> Pen<'a> {
    fn colour(self, colour: Color) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns the colour of a share: red and yellow mark what is nearly used up.
    fn share(self, share: f64) -> Style {
        self.colour(match share {
            0.9.. => Color::Red,
            0.7.. => Color::Yellow,
            _ => Color::Green,
        })
    }

    /// Returns the full part of a bar in a style, and the empty part.
    fn bar(self, share: f64, width: u16, style: Style) -> [Span<'static>; 2] {
        let (full, empty) = self.glyphs.bar(share, width);
        let dim = Style::new().add_modifier(Modifier::DIM);
        [Span::styled(full, style), Span::styled(empty, dim)]
    }

    fn panel(self, title: String) -> Block<'a> {
        Block::bordered()
            .border_set(self.glyphs.border)
            .title(title)
    }
}

fn short(shown: &ViewModel, pen: Pen<'_>) -> Vec<Line<'static>> {
    let trial = &shown.trial;
    let used = shown.resources.processes.iter();
    let used: Vec<_> = used
        .map(|p| format!("{} {:.2}", p.name, last(&p.cpu)))
        .collect();
    let [of_trial, of_sweep] = left(shown).map(Option::unwrap_or_default);
    vec![
        Line::styled(trial.name.clone(), pen.bold()),
        Line::raw(trial.phase.clone()),
        Line::raw(rate(shown)),
        Line::raw(latency(shown)),
        Line::raw(format!("{of_trial} {of_sweep}")),
        Line::raw(format!("CPU: {}", used.join(", "))),
    ]
}

/// Returns the time left of the trial's load and of the sweep, where it is known.
fn left(shown: &ViewModel) -> [Option<String>; 2] {
    [("", shown.trial.left), ("sweep: ", shown.left)]
        .map(|(of, time)| Some(format!("{of}{} left", rounded(time?))))
}

fn header(shown: &ViewModel, pen: Pen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let trial = &shown.trial;
    let line = |left: String, right: Option<String>| {
        let right = right.unwrap_or_default();
        let gap =
            usize::from(area.width).saturating_sub(left.chars().count() + right.chars().count());
        Line::raw(format!("{left}{}{right}", " ".repeat(gap.max(1))))
    };
    let [of_trial, of_sweep] = left(shown);
    let lines = vec![
        line(format!("driver: {}", shown.title), of_sweep),
        line(format!("{}, {}", trial.name, trial.phase), of_trial).style(pen.bold()),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

fn progress(shown: &ViewModel, pen: Pen<'_>, width: u16) -> Line<'static> {
    let bar = pen.bar(shown.trial.done, width, pen.colour(Color::Cyan));
    Line::from(bar.to_vec())
}

/// Draws throughput and latency over time, answers and batch size.
fn load(shown: &ViewModel, pen: Pen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let trial = &shown.trial;
    let [above, middle, below] = Layout::vertical([Fill(1), Fill(1), Length(2)]).areas(area);
    for (area, title, values, colour) in [
        (above, rate(shown), &trial.rates, Color::Cyan),
        (middle, latency(shown), &trial.p99s, Color::Magenta),
    ] {
        let block = pen.panel(format!(" {title} "));
        let width = usize::from(block.inner(area).width);
        let shown = &values[values.len().saturating_sub(width)..];
        // A sparkline takes whole numbers only.
        let thousandths: Vec<u64> = shown.iter().map(|value| (value * 1e3) as u64).collect();
        let line = Sparkline::default()
            .block(block)
            .bar_set(pen.glyphs.bars.clone())
            .style(pen.colour(colour));
        frame.render_widget(line.data(&thousandths), area);
    }
    let mut facts = vec![
        format!(" {} answers", whole(trial.answered as f64)),
        format!("{} in flight", trial.in_flight),
    ];
    facts.extend(trial.queued.map(|queued| format!("{queued:.0} queued")));
    let mut lines = vec![Line::raw(facts.join(", "))];
    if let Some(mean) = trial.mean_batch {
        let share = mean / trial.batch_size.max(1) as f64;
        let text = Span::raw(format!(" batches {mean:.1} of {} ", trial.batch_size));
        let [full, empty] = pen.bar(share, area.width / 3, pen.colour(Color::Cyan));
        lines.push(Line::from(vec![text, full, empty]));
    }
    frame.render_widget(Paragraph::new(lines), below);
}

/// Draws a bar for each process, GPU and core. If there are too many cores for a line each, each
/// has a character.
fn machine(shown: &ViewModel, pen: Pen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let used = &shown.resources;
    let stolen = match last(&used.stolen) {
        0.01.. => format!("({} stolen) ", percent(last(&used.stolen))),
        _ => String::new(),
    };
    let block = pen.panel(format!(" CPU: cores in use {stolen}"));
    let inner = block.inner(area);
    let processes = used.processes.iter();
    let mut rows: Vec<UsageBar> = processes
        .map(|process| UsageBar::of_process(process, used.cores.len()))
        .collect();
    rows.extend(used.gpus.iter().map(UsageBar::of_gpu));
    let room = usize::from(inner.height).saturating_sub(rows.len());
    let mut strips = Vec::new();
    if used.cores.len() <= room {
        rows.extend(used.cores.iter().map(UsageBar::of_core));
    } else {
        let levels: Vec<&str> = used
            .cores
            .iter()
            .map(|core| pen.glyphs.level(last(&core.busy)))
            .collect();
        let width = usize::from(inner.width).max(1);
        strips.extend(levels.chunks(width).map(|row| Line::raw(row.concat())));
    }
    let mut lines = bars(&rows, pen, inner.width);
    lines.extend(strips);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Returns a line for each bar, all of one width, with names and texts in columns.
fn bars(bars: &[UsageBar], pen: Pen<'_>, width: u16) -> Vec<Line<'static>> {
    let longest = |text: fn(&UsageBar) -> &str| {
        let lengths = bars.iter().map(|bar| text(bar).chars().count());
        lengths.max().unwrap_or(0)
    };
    let names = longest(|bar| &bar.name);
    let texts = longest(|bar| &bar.text);
    let width = width.saturating_sub((names + texts + 2) as u16);
    let line = |UsageBar { name, share, text }: &UsageBar| {
        let [full, empty] = pen.bar(*share, width, pen.share(*share));
        let name = Span::raw(format!("{name:names$} "));
        let text = Span::raw(format!(" {text:>texts$}"));
        Line::from(vec![name, full, empty, text])
    };
    bars.iter().map(line).collect()
}

/// Use of a process, core or GPU.
struct UsageBar {
    name: String,
    /// Used share, 0 to 1.
    share: f64,
    text: String,
}

impl UsageBar {
    fn of_process(process: &ProcessUse, all_cores: usize) -> UsageBar {
        let pinned = process
            .pinned
            .clone()
            .and_then(|list| cores::parse(&[list]).ok());
        let cores = pinned.map_or(all_cores, |cores| cores.len());
        let used = last(&process.cpu);
        UsageBar {
            name: process.name.clone(),
            share: used / cores.max(1) as f64,
            text: format!("{used:.2} of {cores}"),
        }
    }

    fn of_core(core: &CoreUse) -> UsageBar {
        let busy = last(&core.busy);
        UsageBar {
            name: format!("core {}", core.core),
            share: busy,
            text: percent(busy),
        }
    }

    fn of_gpu(gpu: &GpuUse) -> UsageBar {
        let busy = last(&gpu.busy);
        UsageBar {
            name: format!("GPU {}", gpu.index),
            share: busy,
            text: format!(
                "{} {:.0} MiB {:.0} W",
                percent(busy),
                last(&gpu.memory_mib),
                last(&gpu.power_watts)
            ),
        }
    }
}

/// Draws the grid: a row for each number of replicas and CPUs, a column for each batch size.
fn grid(shown: &ViewModel, pen: Pen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let sizes = shown.configs.iter().map(|of| of.config.batch_size);
    let columns: BTreeSet<usize> = sizes.collect();
    let rows = rows(shown);
    let block = pen.panel(" points: replicas x CPUs, batch ".to_owned());
    let room = usize::from(block.inner(area).height).saturating_sub(1);
    // The rows scroll so that the running one is visible.
    let mut configs = shown.configs.iter();
    let running = configs.find(|of| of.state == ConfigState::Running);
    let row_of = |of: &ConfigProgress| rows.iter().position(|&row| row == row_key(of));
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

fn row_key(of: &ConfigProgress) -> (usize, usize) {
    (of.config.replicas, of.config.cpus_per_replica)
}

fn mark(state: ConfigState, pen: Pen<'_>) -> (&'static str, Style) {
    match state {
        ConfigState::Pending => (".", Style::new()),
        ConfigState::Running => (">", pen.colour(Color::Cyan).add_modifier(Modifier::BOLD)),
        ConfigState::Done(VerdictStatus::Valid) => ("ok", pen.colour(Color::Green)),
        ConfigState::Done(VerdictStatus::Suspect) => ("?", pen.colour(Color::Yellow)),
        ConfigState::Done(VerdictStatus::Invalid) => ("x", pen.colour(Color::Red)),
        ConfigState::NotRun => ("-", Style::new()),
    }
}

/// Draws the latest messages in full.
fn messages(shown: &ViewModel, pen: Pen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let block = pen.panel(" done ".to_owned());
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
    match shown.trial.rates.last() {
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
        ms(&shown.trial.p50s),
        ms(&shown.trial.p99s)
    )
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
