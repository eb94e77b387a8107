//! What a reader of `--help`, of the man page or of a shell's completions gets besides the flags' own texts.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::Line;

/// Under `driver -h`.
pub(super) const FIRST_STEPS: &str = "\
Examples:
  driver -m vgg -r 1 2 4 -b 1 8 32 -d 120     9 points of two minutes
  driver -m vgg -r 1 2 4 -b 1 8 32 --dry_run  what would be measured, and how long it would take
`driver --help` explains every flag, and has more examples.";

/// Under `driver --help`.
pub(super) const SWEEPS: &str = "\
In a flag's name - and _ are the same.

Examples:
  driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 120    24 points of two minutes
  driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 --dry_run what that would take
  driver -m inception --input_dir ~/photographs       real pictures
  driver -m svm -c 2-7 -r 1 2 3 -p 1 2 -b 32          replicas on cores of their own
  driver -m lgbm -b 1 8 64 --slo_ms 20 --target_qps 5000
                                                      the highest rate within 20 ms, and what 5000 a second take
  driver -m lgbm -b 8 64 --repeats 5                  five rounds: the median, and how much it varies
  driver -m noop -b 32 -d 5 --mode saturate           what frontend and protocol cost
  driver -m vgg --manager docker -r 1 2 -p 2          in containers with cores of their own
  driver -m svm --accuracy -r 1 2 -b 1 32             are the served answers right?
  driver --config nightly.toml -d 30                  flags from a file, but half a minute for each point
  driver --resume results/vgg-261126_090000           go on where a sweep was stopped
  driver compare results/before results/after         is it faster, and is that significant?

A file for --config has flags by their long names, for instance:
  model_name = \"lgbm\"
  batch_sizes = [1, 8, 64]
  model_cpus = \"2-7\"
  no_zero = true
What is typed wins over the file, and the file over the environment.

Each sweep makes a folder of its own, MODEL-YYMMDD_HHMMSS, with sweep.json (what was asked for, of which machine),
a results-*.json for each point, written before the next one begins, those of the no-op model in zero/, the logs of all
processes in logs/, and report.html, summary.csv and summary.md at the end.

Exit status:
  0    every number is of what was asked for
  1    a point could not run, failed, has a query that was not answered or the verdict INVALID, or is not as accurate as
       the artifact's offline evaluation; or standard output takes nothing (a pipe that its reader closes is no error)
  2    a flag that makes no sense, nothing of what is asked for can run, or another driver measures into the folder:
       nothing was started
  130  stopped by Ctrl-C; --resume goes on";

pub(super) const SURVEY: &str = "\
A trial of a few seconds shows how long the points of a model take. A point that is SUSPECT or INVALID is reported, and the
survey continues.

Examples:
  driver survey                                    all four models in ten minutes
  driver survey --pictures ~/photographs --minutes 20
  driver survey --models svm lgbm --batch_sizes 1 32

Exit status:
  0    every model was measured, whatever the verdicts
  1    a model could not be measured at all
  2    a flag that makes no sense
  130  stopped by Ctrl-C";

pub(super) const SELF_TEST: &str = "\
Examples:
  driver self-test                            one client, small and large inputs
  driver self-test -n 4 --in_flight 512       is it faster with four threads?";

pub(super) const REPORT: &str = "\
Example:
  driver report results/vgg-261126_090000     then open report.html in a browser";

pub(super) const COMPARE: &str = "\
Examples:
  driver compare results/before results/after
  driver compare results/main results/branch --fail_below 0.95 --junit compare.xml
                                              for CI: fails if 5 % of the throughput are lost

Exit status:
  0  no limit is broken, or none was given
  1  one is broken, or a point could not be judged: it is missing, NOT RUN, INVALID or without an interval in A or B, in
     one of its rounds or in all (--allow_missing lets these pass, as long as there is a point that could be judged);
     a throughput of 0 in B always fails --fail_below
  2  folders that cannot be compared";

pub(super) const IMPORT: &str = "\
Examples:
  driver import old/results-*.json       one table; what the old files lack is marked
  driver import old results/vgg-*        the original's beside ours";

pub(super) const CLEAN: &str = "\
Containers of a killed driver end by themselves; this removes what is left of them.

Example:
  driver clean";

pub(super) const SCHEMA: &str = "\
Example:
  driver schema > results.schema.json         for a validator or an editor";

pub(super) const COMPLETIONS: &str = "\
Examples:
  driver completions bash > ~/.local/share/bash-completion/completions/driver
  driver completions fish > ~/.config/fish/completions/driver.fish
  driver completions zsh > ~/.zfunc/_driver   with ~/.zfunc in fpath";

pub(super) const MAN: &str = "\
Examples:
  driver man > ~/.local/share/man/man1/driver.1
  driver man | man -l -                       without installing it";

/// What a shell reads to complete the driver's flags and subcommands.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut Line::command(), "driver", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The man page, in roff: what the helps say, those of the subcommands too.
pub fn man() -> String {
    // It leaves out the text of a flag that the short help hides.
    let mut line = Line::command().mut_args(|flag| flag.hide_short_help(false));
    line.build();
    let verbatim = |page: &mut Roff, text: &str| {
        page.control("nf", []).text([roman(text)]).control("fi", []);
    };
    let mut page = Roff::new();
    page.control("SH", ["SUBCOMMANDS"]);
    let commands = line.get_subcommands_mut();
    for command in commands.filter(|command| command.get_name() != "help") {
        let help = command.render_long_help().to_string();
        page.control("SS", [command.get_name()]);
        verbatim(&mut page, &help);
    }
    page.control("SH", ["EXAMPLES"]);
    verbatim(&mut page, SWEEPS);
    let written = written(line, &page).expect("writing to memory does not fail");
    String::from_utf8_lossy(&written).into_owned()
}

/// What clap knows of the command, then the rest of the page.
fn written(line: Command, rest: &Roff) -> io::Result<Vec<u8>> {
    let (man, mut text) = (Man::new(line), Vec::new());
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    rest.to_writer(&mut text)?;
    man.render_version_section(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_each_subcommand_has_an_example() {
        let mut line = Line::command();
        line.build();
        for command in line.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            let shown = help.contains(&format!("  driver {name}"));
            assert!(shown || name == "help", "{name}: {help}");
        }
    }

    #[test]
    fn the_short_help_is_shorter_and_has_an_example_too() {
        let short = Line::command().render_help().to_string();
        let long = Line::command().render_long_help().to_string();
        assert!(short.contains("Examples:\n  driver -m vgg"), "{short}");
        assert!(short.lines().count() < 80, "{short}");
        assert!(long.lines().count() > 120, "{long}");
        assert!(long.contains("--gpu_mem_frac") && !short.contains("--gpu_mem_frac"));
    }

    #[test]
    fn every_shell_completes_flags_and_subcommands() {
        use clap::ValueEnum;
        for &shell in Shell::value_variants() {
            let text = completions(shell);
            for part in ["batch_sizes", "self-test", "fail_below"] {
                assert!(text.contains(part), "{shell}: {part}");
            }
        }
    }

    #[test]
    fn the_man_page_has_its_sections_and_the_examples() {
        let text = man();
        for part in [
            ".TH driver 1",
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH DESCRIPTION",
            ".SH OPTIONS",
            ".SH SUBCOMMANDS",
            ".SS compare",
            "driver compare results/before",
            ".SH EXAMPLES",
            "driver \\-\\-resume results/vgg",
            "Exit status:",
            // A flag that the short help leaves out.
            "Share of its GPU\\*(Aqs memory",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
