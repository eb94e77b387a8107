//! Characters of the live view: block elements in a UTF-8 locale, else ASCII.

use ratatui::symbols::{bar, border};

/// Characters of bars, sparklines and frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glyphs {
    /// Filled part of a bar.
    pub(super) full: char,
    /// Empty part of a bar.
    pub(super) empty: char,
    /// Levels of a sparkline.
    pub(super) bars: bar::Set<'static>,
    /// Frame of a panel.
    pub(super) border: border::Set<'static>,
}

const BLOCKS: Glyphs = Glyphs {
    full: '█',
    empty: '░',
    bars: bar::NINE_LEVELS,
    border: border::PLAIN,
};

const ASCII: Glyphs = Glyphs {
    full: '#',
    empty: '.',
    bars: bar::Set {
        empty: " ",
        one_eighth: ".",
        one_quarter: ":",
        three_eighths: "-",
        half: "=",
        five_eighths: "+",
        three_quarters: "*",
        seven_eighths: "%",
        full: "#",
    },
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
};

impl Glyphs {
    /// Returns block elements if `utf8` is true, else ASCII characters.
    pub(super) fn of(utf8: bool) -> Glyphs {
        if utf8 { BLOCKS } else { ASCII }
    }

    /// Returns the full and the empty part of a bar that is `width` characters long.
    pub(super) fn bar(&self, share: f64, width: u16) -> (String, String) {
        let width = usize::from(width);
        let full = ((share * width as f64).round() as usize).min(width);
        let repeat = |glyph: char, count| glyph.to_string().repeat(count);
        (repeat(self.full, full), repeat(self.empty, width - full))
    }

    /// Returns a share as one character.
    pub(super) fn level(&self, share: f64) -> &'static str {
        let bars = &self.bars;
        match (share * 8.0).round() as usize {
            0 => bars.empty,
            1 => bars.one_eighth,
            2 => bars.one_quarter,
            3 => bars.three_eighths,
            4 => bars.half,
            5 => bars.five_eighths,
            6 => bars.three_quarters,
            7 => bars.seven_eighths,
            8.. => bars.full,
        }
    }
}

impl Default for Glyphs {
    fn default() -> Glyphs {
        BLOCKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_shares() {
        for (share, full) in [(0.0, 0), (0.5, 5), (1.0, 10), (1.7, 10), (f64::NAN, 0)] {
            let (filled, empty) = BLOCKS.bar(share, 10);
            assert_eq!(filled.chars().count(), full, "{share}");
            assert_eq!(empty.chars().count(), 10 - full, "{share}");
        }
    }
}
