//! Content of the screen, in windows of every size.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use results::Resources;

use super::*;
use crate::live::view_model::RunningTrial;

fn buffer(shown: &ViewModel, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(shown, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn screen(shown: &ViewModel, width: u16, height: u16) -> String {
    let buffer = buffer(shown, width, height);
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

fn config_state(replicas: usize, batch_size: usize, state: ConfigState) -> ConfigProgress {
    let config = Config {
        replicas,
        cpus_per_replica: 2,
        batch_size,
    };
    ConfigProgress { config, state }
}

fn process(name: &str, used: f64, pinned: Option<&str>) -> ProcessUse {
    ProcessUse {
        name: name.to_owned(),
        cpu: vec![0.0, used],
        pinned: pinned.map(str::to_owned),
        ..ProcessUse::default()
    }
}

/// Returns the view of the third of four trials, which runs.
fn shown() -> ViewModel {
    let core = |core, busy| CoreUse {
        core,
        busy: vec![busy],
    };
    ViewModel {
        title: "noop, saturate".to_owned(),
        configs: vec![
            config_state(1, 1, ConfigState::Done(VerdictStatus::Valid)),
            config_state(1, 8, ConfigState::Done(VerdictStatus::Invalid)),
            config_state(2, 1, ConfigState::Running),
            config_state(2, 8, ConfigState::Pending),
        ],
        trial: RunningTrial {
            name: "3/4 noop: replicas 2, CPUs 2, batch 1".to_owned(),
            phase: "measuring".to_owned(),
            done: 0.25,
            left: Some(Duration::from_secs(90)),
            answered: 1_234_567,
            in_flight: 48,
            queued: Some(16.2),
            mean_batch: Some(7.5),
            batch_size: 8,
            rates: vec![40_000.0, 45_210.4],
            p50s: vec![0.5, 0.25],
            p99s: vec![2.0, 1.5],
        },
        resources: Resources {
            processes: vec![
                process("driver", 0.5, Some("2")),
                process("frontend", 1.25, Some("3-4")),
                process("noop-0", 0.0, None),
            ],
            cores: vec![core(0, 0.0), core(1, 1.0)],
            gpus: vec![GpuUse {
                index: 3,
                name: String::new(),
                busy: vec![0.5],
                memory_mib: vec![1024.0],
                power_watts: vec![250.4],
            }],
            ..Resources::default()
        },
        left: Some(Duration::from_secs(125)),
        messages: vec!["1/4 done".to_owned(), "2/4 done".to_owned()],
        colour: true,
        glyphs: Glyphs::of(true),
    }
}

#[test]
fn usual_windows_show_everything() {
    for (width, height) in [(80, 24), (100, 30), (120, 40)] {
        let screen = screen(&shown(), width, height);
        for part in [
            "driver: noop, saturate",
            "sweep: 2m 5s left",
            "3/4 noop: replicas 2, CPUs 2, batch 1, measuring",
            "1m 30s left",
            "45,210 queries/s",
            "latency p50 0.25 ms, p99 1.50 ms",
            "1,234,567 answers, 48 in flight, 16 queued",
            "batches 7.5 of 8 ██",
            "0.50 of 1",
            "1.25 of 2",
            "noop-0",
            "core 1",
            "100 %",
            "50 % 1024 MiB 250 W",
            "2/4 done",
        ] {
            assert!(
                screen.contains(part),
                "{part} on {width}x{height}:\n{screen}"
            );
        }
    }
}

#[test]
fn grid_shows_the_state_of_each_config() {
    let screen = screen(&shown(), 80, 24);
    for row in [
        "           1    8",
        "  1 x 2   ok    x",
        "  2 x 2    >    .",
    ] {
        assert!(screen.contains(row), "{row}:\n{screen}");
    }
}

#[test]
fn running_row_is_visible_among_too_many_rows() {
    let mut shown = shown();
    shown.configs = (1..=40)
        .map(|replicas| config_state(replicas, 1, ConfigState::Pending))
        .collect();
    shown.configs[30].state = ConfigState::Running;
    let screen = screen(&shown, 80, 24);
    assert!(screen.contains(" 31 x 2    >"), "{screen}");
}

#[test]
fn many_cores_have_one_character_each() {
    let mut shown = shown();
    let core = |core| CoreUse {
        core,
        busy: vec![if core == 63 { 1.0 } else { 0.5 }],
    };
    shown.resources.cores = (0..64).map(core).collect();
    shown.resources.stolen = vec![0.125];
    let screen = screen(&shown, 120, 30);
    let halves: usize = screen.matches('▄').count();
    assert!(halves >= 63 && !screen.contains("core 0"), "{screen}");
    assert!(screen.contains("(12 % stolen)"), "{screen}");
}

#[test]
fn long_messages_show_their_end() {
    let mut shown = shown();
    shown.messages = vec![format!("{} the end", "x".repeat(100))];
    assert!(screen(&shown, 80, 24).contains("the end"));
}

#[test]
fn tiny_window_shows_a_few_lines() {
    let screen = screen(&shown(), 40, 10);
    for part in [
        "3/4 noop: replicas 2, CPUs 2, batch 1",
        "45,210 queries/s",
        "1m 30s left sweep: 2m 5s left",
        "CPU: driver 0.50, frontend 1.25",
    ] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
}

#[test]
fn without_utf8_the_screen_is_ascii() {
    let mut shown = shown();
    shown.glyphs = Glyphs::of(false);
    for cores in [2, 64] {
        let core = |core| CoreUse {
            core,
            busy: vec![0.5],
        };
        shown.resources.cores = (0..cores).map(core).collect();
        for (width, height) in [(40, 10), (80, 24), (120, 40)] {
            let screen = screen(&shown, width, height);
            assert!(screen.is_ascii(), "{screen}");
        }
    }
    let screen = screen(&shown, 80, 24);
    for part in ["batches 7.5 of 8 ##", "+ 45,210 queries/s -", "===="] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
}

#[test]
fn no_window_size_panics() {
    for shown in [ViewModel::default(), shown()] {
        for width in (0..20).chain([40, 59, 60, 61, 80, 200]) {
            for height in (0..20).chain([24, 80]) {
                screen(&shown, width, height);
            }
        }
    }
}

#[test]
fn without_colours_no_cell_is_coloured() {
    let coloured = |shown: &ViewModel| {
        let buffer = buffer(shown, 80, 24);
        let mut cells = buffer.content().iter();
        cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    let mut shown = shown();
    assert!(coloured(&shown));
    shown.colour = false;
    assert!(!coloured(&shown));
}
