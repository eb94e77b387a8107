//! The character encoding of the terminal, as the locale states it.

use std::{
    env,
    ffi::{OsStr, OsString},
};

/// Returns true if the locale's encoding is UTF-8. Otherwise the output has ASCII characters only.
pub(crate) fn is_utf8() -> bool {
    names_utf8(|variable| env::var_os(variable))
}

/// Reads LC_ALL, LC_CTYPE and LANG: the first that is set and not empty decides, as in POSIX.
fn names_utf8(read: impl Fn(&str) -> Option<OsString>) -> bool {
    let mut values = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(read);
    values
        .find(|value| !value.is_empty())
        .is_some_and(|locale| is_utf8_locale(&locale))
}

fn is_utf8_locale(locale: &OsStr) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    ["utf-8", "utf8"]
        .iter()
        .any(|encoding| locale.contains(encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_variable_that_is_set_decides() {
        let utf8 = |values: [&str; 3]| {
            let variables = ["LC_ALL", "LC_CTYPE", "LANG"];
            names_utf8(|name| {
                let index = variables.iter().position(|variable| *variable == name)?;
                Some(values[index])
                    .filter(|value| *value != "unset")
                    .map(Into::into)
            })
        };
        assert!(utf8(["C.UTF-8", "C", "C"]));
        assert!(utf8(["", "en_US.utf8", "C"]));
        assert!(utf8(["unset", "unset", "de_DE.UTF-8"]));
        assert!(!utf8(["C", "en_US.UTF-8", "en_US.UTF-8"]));
        assert!(!utf8(["POSIX", "unset", "unset"]));
        assert!(!utf8(["unset", "unset", "en_US.ISO-8859-1"]));
        assert!(!utf8(["unset", "", "unset"]));
    }
}
