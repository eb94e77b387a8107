//! A JSON scanner that accepts what Clipper's parser (RapidJSON) accepts, with the same error
//! texts.
//!
//! It reads in one pass, without a tree of values: the caller states which value it expects next.

use std::{fmt, str};

/// Largest nesting depth. RapidJSON has no limit and overflows its stack.
const MAX_DEPTH: u32 = 256;

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Integers up to here are exact as doubles.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// The error of a text that is not JSON, with the byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    what: &'static str,
    offset: usize,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyntaxError { what, offset } = self;
        // Clipper ends the text with a line feed.
        writeln!(f, "JSON parse error: {what} (offset {offset})")
    }
}

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonKind {
    Null,
    False,
    True,
    Object,
    Array,
    String,
    Number,
}

/// A JSON number. It is a double if it has a fraction or an exponent, or does not fit in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Double(f64),
}

/// A position in a text. A NUL ends the text, as in Clipper.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Scanner<'a> {
        let (at, depth) = (0, 0);
        Scanner { text, at, depth }
    }

    /// Reads a text that consists of one value.
    pub(super) fn document<T>(
        mut self,
        value: impl FnOnce(&mut Scanner<'a>) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.skip_space();
        if self.peek() == 0 {
            return Err(self.error("The document is empty."));
        }
        let value = value(&mut self)?;
        self.skip_space();
        match self.peek() {
            0 => Ok(value),
            _ => Err(self.error("The document root must not be followed by other values.")),
        }
    }

    /// Returns the kind of the next value, judged by its first byte.
    pub(super) fn kind(&self) -> JsonKind {
        match self.peek() {
            b'n' => JsonKind::Null,
            b'f' => JsonKind::False,
            b't' => JsonKind::True,
            b'{' => JsonKind::Object,
            b'[' => JsonKind::Array,
            b'"' => JsonKind::String,
            _ => JsonKind::Number,
        }
    }

    /// Reads an object. `member` receives each name and must read the value.
    pub(super) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.enter()?;
        let mut name = Vec::new();
        while !self.take(b'}') {
            loop {
                if self.peek() != b'"' {
                    return Err(self.error("Missing a name for object member."));
                }
                name.clear();
                self.string(|part| name.extend_from_slice(part))?;
                self.skip_space();
                if !self.take(b':') {
                    return Err(self.error("Missing a colon after a name of object member."));
                }
                self.skip_space();
                member(self, &name)?;
                self.skip_space();
                if !self.take(b',') {
                    break;
                }
                self.skip_space();
            }
            if self.peek() != b'}' {
                return Err(self.error("Missing a comma or '}' after an object member."));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array. `element` must read each value.
    pub(super) fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.enter()?;
        while !self.take(b']') {
            loop {
                element(self)?;
                self.skip_space();
                if !self.take(b',') {
                    break;
                }
                self.skip_space();
            }
            if self.peek() != b']' {
                return Err(self.error("Missing a comma or ']' after an array element."));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Skips a value of any kind.
    pub(super) fn skip(&mut self) -> Result<(), SyntaxError> {
        match self.kind() {
            JsonKind::Object => self.members(|scanner, _| scanner.skip()),
            JsonKind::Array => self.elements(Scanner::skip),
            JsonKind::String => self.string(|_| {}),
            JsonKind::Number => self.number().map(drop),
            JsonKind::Null => self.word(b"null"),
            JsonKind::True => self.word(b"true"),
            JsonKind::False => self.word(b"false"),
        }
    }

    /// Reads a string. `part` receives it piece by piece, with escapes resolved.
    pub(super) fn string(&mut self, mut part: impl FnMut(&[u8])) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            let plain = &self.text[self.at.min(self.text.len())..];
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            let length = plain.iter().position(special).unwrap_or(plain.len());
            part(&plain[..length]);
            self.at += length;
            match self.peek() {
                b'"' => break,
                b'\\' => self.escape(&mut part)?,
                0 => return Err(self.error("Missing a closing quotation mark in string.")),
                _ => return Err(self.error("Invalid escape character in string.")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self, part: &mut impl FnMut(&[u8])) -> Result<(), SyntaxError> {
        let start = self.at;
        self.at += 1;
        let resolved = match self.peek() {
            quoted @ (b'"' | b'\\' | b'/') => quoted,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode(start)?;
                part(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(at(start, "Invalid escape character in string.")),
        };
        part(&[resolved]);
        self.at += 1;
        Ok(())
    }

    /// Reads `uXXXX`, or two of them for a surrogate pair. A low surrogate alone becomes the
    /// replacement character.
    fn unicode(&mut self, start: usize) -> Result<char, SyntaxError> {
        let first = self.hex4(start)?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let broken = at(start, "The surrogate pair in string is invalid.");
        if !self.take(b'\\') || self.peek() != b'u' {
            return Err(broken);
        }
        let second = self.hex4(start)?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
        let code = 0x10000 + ((first - 0xd800) << 10) + low.ok_or(broken)?;
        char::from_u32(code).ok_or(broken)
    }

    fn hex4(&mut self, start: usize) -> Result<u32, SyntaxError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16);
            let wrong = at(start, "Incorrect hex digit after \\u escape in string.");
            code = code << 4 | digit.ok_or(wrong)?;
            self.at += 1;
        }
        Ok(code)
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<Number, SyntaxError> {
        self.number_from(MAX_EXACT_INTEGER)
    }

    /// Reads a number quickly. A double may be off by one unit in the last place, which is far more
    /// exact than a float.
    pub(super) fn number_for_float(&mut self) -> Result<Number, SyntaxError> {
        self.number_from(u64::MAX)
    }

    /// Reads a number. One whose digits are below `quick` is computed from them directly.
    fn number_from(&mut self, quick: u64) -> Result<Number, SyntaxError> {
        let start = self.at;
        let minus = self.take(b'-');
        let whole = match self.peek() {
            b'0' => {
                self.at += 1;
                0
            }
            b'1'..=b'9' => self.digits(0),
            _ => return Err(self.error("Invalid value.")),
        };
        let (mut digits, mut scale, mut exponent) = (whole, 0, false);
        let point = self.take(b'.');
        if point {
            let fraction = self.at;
            digits = self.digits(whole);
            scale = self.at - fraction;
            if scale == 0 {
                return Err(self.error("Miss fraction part in number."));
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            exponent = true;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if !self.peek().is_ascii_digit() {
                return Err(self.error("Miss exponent in number."));
            }
            self.digits(0);
        }
        let limit = if minus { 1 << 63 } else { u64::MAX - 1 };
        if !point && !exponent && digits <= limit {
            let value = i128::from(digits);
            return Ok(Number::Integer(if minus { -value } else { value }));
        }
        if digits < quick && !exponent && scale < POWERS_OF_TEN.len() {
            let value = digits as f64 / POWERS_OF_TEN[scale];
            return Ok(Number::Double(if minus { -value } else { value }));
        }
        let written = str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        match written.parse() {
            Ok(value) if f64::is_finite(value) => Ok(Number::Double(value)),
            _ => Err(at(start, "Number too big to be stored in double.")),
        }
    }

    /// Reads digits that continue `value`, saturating at the largest number.
    fn digits(&mut self, mut value: u64) -> u64 {
        while let Some(eight) = self.text.get(self.at..).and_then(|rest| rest.first_chunk())
            && let Some(eight) = eight_digits(*eight)
        {
            value = value.saturating_mul(100_000_000).saturating_add(eight);
            self.at += 8;
        }
        while let Some(digit) = self.text.get(self.at).map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
        {
            value = value.saturating_mul(10).saturating_add(digit.into());
            self.at += 1;
        }
        value
    }

    fn word(&mut self, word: &[u8]) -> Result<(), SyntaxError> {
        for letter in word {
            if !self.take(*letter) {
                return Err(self.error("Invalid value."));
            }
        }
        Ok(())
    }

    /// Skips the bracket that opens an object or array.
    fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("Nested too deeply."));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there
    }

    /// Returns the next byte, or 0 at the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        at(self.at, what)
    }
}

/// Parses eight digits at once: in pairs, then fours, then both halves.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(text) ^ 0x3030_3030_3030_3030;
    let above_nine = digits.wrapping_add(0x7676_7676_7676_7676) | digits;
    if above_nine & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let odd = (pairs & 0xff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let even = (pairs >> 16 & 0xff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some(odd.wrapping_add(even) >> 32)
}

fn at(offset: usize, what: &'static str) -> SyntaxError {
    SyntaxError { what, offset }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Number, SyntaxError> {
        Scanner::new(text.as_bytes()).document(Scanner::number)
    }

    proptest! {
        #[test]
        fn parses_numbers_like_rust(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?") {
            let expected: f64 = text.parse().unwrap();
            let integer = text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from));
            match read(&text).unwrap() {
                Number::Integer(value) => prop_assert_eq!(Ok(value), integer),
                Number::Double(value) => prop_assert_eq!(value, expected),
            }
            let roughly = Scanner::new(text.as_bytes()).document(Scanner::number_for_float);
            if let Number::Double(value) = roughly.unwrap() {
                prop_assert!((value - expected).abs() <= expected.abs() * 4.0 * f64::EPSILON);
            }
        }

        #[test]
        fn accepts_exactly_what_serde_json_accepts(text in "[\\[\\]{},:\"\\\\u0-9a-f.eE+ -]{0,12}|(\\[|\\{\"a\":|-?[01.e]{1,4}|true|false|null|,|\"\\\\?.?\"|\\]|\\}| ){0,8}") {
            let ours = Scanner::new(text.as_bytes()).document(Scanner::skip);
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }
    }
}
