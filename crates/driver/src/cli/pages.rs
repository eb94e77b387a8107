//! Prints the man page and the completions of a shell.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::{line::Cli, texts::SWEEPS};

/// Returns the script by which a shell completes the driver's flags and subcommands.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "driver", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the man page in roff: the help of the driver and of each subcommand.
pub fn man() -> String {
    // clap_mangen omits flags that are hidden in the short help.
    let mut command = Cli::command().mut_args(|flag| flag.hide_short_help(false));
    command.build();
    let verbatim = |page: &mut Roff, text: &str| {
        page.control("nf", []).text([roman(text)]).control("fi", []);
    };
    let mut page = Roff::new();
    page.control("SH", ["SUBCOMMANDS"]);
    let subcommands = command.get_subcommands_mut();
    for subcommand in subcommands.filter(|of| of.get_name() != "help") {
        let help = subcommand.render_long_help().to_string();
        page.control("SS", [subcommand.get_name()]);
        verbatim(&mut page, &help);
    }
    page.control("SH", ["EXAMPLES"]);
    verbatim(&mut page, SWEEPS);
    let rendered = render(command, &page).expect("writing to memory does not fail");
    String::from_utf8_lossy(&rendered).into_owned()
}

/// Renders the sections of clap_mangen with `rest` before the version.
fn render(command: Command, rest: &Roff) -> io::Result<Vec<u8>> {
    let (man, mut text) = (Man::new(command), Vec::new());
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
    fn every_subcommand_help_has_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            let shown = help.contains(&format!("  driver {name}"));
            assert!(shown || name == "help", "{name}: {help}");
        }
    }

    #[test]
    fn short_help_is_short_and_has_an_example() {
        let short = Cli::command().render_help().to_string();
        let long = Cli::command().render_long_help().to_string();
        assert!(short.contains("Examples:"), "{short}");
        assert!(short.contains("    driver -m vgg"), "{short}");
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
    fn man_page_has_all_sections_and_examples() {
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
            // A flag that is hidden in the short help.
            "Share of its GPU\\*(Aqs memory",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
