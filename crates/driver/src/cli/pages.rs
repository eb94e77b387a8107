//! The man page, and the completions of a shell.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::{line::Line, texts::SWEEPS};

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
