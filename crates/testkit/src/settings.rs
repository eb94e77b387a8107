//! Settings of a frontend under test.

use clap::Parser;
use frontend::Settings;
use wire::BoundPorts;

/// Returns settings with loopback, free ports and state in memory.
pub fn settings() -> Settings {
    settings_with(&[])
}

/// Returns the same settings with further flags.
pub fn settings_with(flags: &[&str]) -> Settings {
    let flags = flags.iter().map(|flag| (*flag).to_owned());
    Settings::parse_from(
        std::iter::once("frontend".to_owned())
            .chain(free_ports())
            .chain(flags),
    )
}

/// Returns flags that bind every port to a free one.
pub(crate) fn free_ports() -> impl Iterator<Item = String> {
    BoundPorts::FREE.into_iter().map(str::to_owned)
}
