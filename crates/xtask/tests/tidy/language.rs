//! The rules of language that a program can check: openings of documentation, words, names and line lengths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{Item, Visibility};

use crate::{
    sources::Crate,
    text::{sources, workspace_root},
};

/// Words that documentation does not open with: a sentence has a subject or begins with its verb.
const OPENINGS: [&str; 4] = ["What", "Who", "Whoever", "So many"];
/// Words and phrases that do not occur in Rust sources.
const WORDS: [&str; 6] = [
    "nobody",
    "whoever",
    "anew",
    "is told",
    "is let in",
    "hears of",
];
/// Maximum number of characters in a line that is a comment.
const COMMENT_WIDTH: usize = 120;
/// Maximum number of words in the name of a test.
const TEST_NAME_WORDS: usize = 10;
/// Names that several crates may use for a public type of their own.
const SHARED_NAMES: [&str; 2] = ["Error", "Settings"];

#[test]
fn sources_follow_the_rules_of_language() {
    let root = workspace_root();
    let found: Vec<_> = sources()
        .iter()
        .filter(|path| !path.ends_with("tests/tidy/language.rs"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            breaches(path.strip_prefix(&root).unwrap(), &text)
        })
        .collect();
    assert!(
        found.is_empty(),
        "see \"Language\" in ARCHITECTURE.md:\n{}",
        found.join("\n")
    );
}

/// Lists the lines of one file that break a rule.
fn breaches(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_documentation = false;
    let mut is_test = false;
    for (index, line) in text.lines().enumerate() {
        let mut breach = |what: String| {
            found.push(format!("{}:{}: {what}", file.display(), index + 1));
        };
        let code = line.trim_start();
        let documentation = code
            .strip_prefix("///")
            .or_else(|| code.strip_prefix("//!"))
            .map(str::trim_start);
        if let Some(opening) = documentation.filter(|_| !in_documentation)
            && let Some(word) = OPENINGS.iter().find(|word| opens_with(opening, word))
        {
            breach(format!("documentation begins with \"{word}\""));
        }
        in_documentation = documentation.is_some();
        if let Some(word) = WORDS.iter().find(|word| has_word(line, word)) {
            breach(format!("\"{word}\" is not a word for code"));
        }
        let width = line.chars().count();
        if code.starts_with("//") && width > COMMENT_WIDTH {
            breach(format!(
                "a comment of {width} characters, {COMMENT_WIDTH} at most"
            ));
        }
        is_test |= code.starts_with("#[test]") || code.starts_with("#[tokio::test");
        if let Some(name) = function_name(code) {
            let words = name.split('_').filter(|word| !word.is_empty()).count();
            if is_test && words > TEST_NAME_WORDS {
                breach(format!(
                    "test {name} has {words} words, {TEST_NAME_WORDS} at most"
                ));
            }
            is_test = false;
        }
    }
    found
}

fn opens_with(documentation: &str, word: &str) -> bool {
    let rest = documentation.strip_prefix(word);
    rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// True if `line` has `word` with no letter beside it, in any case.
fn has_word(line: &str, word: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        !is_letter(before) && !is_letter(after)
    })
}

/// The name of the function that begins in this line, without its parameters.
fn function_name(code: &str) -> Option<&str> {
    let code = code.strip_prefix("pub ").unwrap_or(code);
    let code = code.strip_prefix("async ").unwrap_or(code);
    let rest = code.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// Lists the public type names that more than one package uses, with the packages.
pub(crate) fn shared_type_names(crates: &[Crate]) -> Vec<String> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in crates.iter().flat_map(|of| &of.modules) {
        let package: Vec<_> = module.file.iter().take(2).collect();
        let package = package.join("/".as_ref()).display().to_string();
        for name in module.items.iter().filter_map(public_type) {
            packages.entry(name).or_default().insert(package.clone());
        }
    }
    packages.retain(|name, packages| packages.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    let lines = packages.into_iter().map(|(name, packages)| {
        let packages: Vec<_> = packages.into_iter().collect();
        format!("{name} is a public type of {}", packages.join(" and of "))
    });
    lines.collect()
}

fn public_type(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    matches!(visibility, Visibility::Public(_)).then(|| name.to_string())
}

mod tests {
    use super::*;
    use crate::sources;

    fn found_in(text: &str) -> Vec<String> {
        breaches(Path::new("lib.rs"), text)
    }

    #[test]
    fn openings_of_documentation_are_found() {
        assert_eq!(
            found_in("/// So many queries.\n/// What a second line says.\nfn f() {}\n"),
            ["lib.rs:1: documentation begins with \"So many\""]
        );
        assert!(found_in("/// Whole queries.\n// What a comment asks.\n").is_empty());
    }

    #[test]
    fn words_are_found_in_code_and_text() {
        assert_eq!(
            found_in("let Nobody = \"the query is told\";\n").len(),
            1,
            "one finding a line"
        );
        assert!(found_in("let nobodys_fault = \"canewood, this told\";\n").is_empty());
    }

    #[test]
    fn wide_comments_are_found() {
        let comment = |width: usize| format!("//{}\n", "-".repeat(width - 2));
        assert!(found_in(&comment(120)).is_empty());
        assert_eq!(
            found_in(&comment(121)),
            ["lib.rs:1: a comment of 121 characters, 120 at most"]
        );
    }

    #[test]
    fn long_names_of_tests_are_found() {
        let function = "async fn a_b_c_d_e_f_g_h_i_j_k() {}\n";
        assert!(found_in(function).is_empty());
        assert_eq!(
            found_in(&format!("#[tokio::test]\n{function}")),
            ["lib.rs:2: test a_b_c_d_e_f_g_h_i_j_k has 11 words, 10 at most"]
        );
    }

    #[test]
    fn public_types_of_two_packages_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let of = |package: &str, text: &str| {
            let source = folder.path().join("crates").join(package);
            fs::create_dir_all(&source).unwrap();
            let path = source.join("lib.rs");
            fs::write(&path, text).unwrap();
            Crate {
                is_library: true,
                modules: sources::modules(folder.path(), &path),
            }
        };
        let one = of(
            "one",
            "pub struct Row;\npub enum Error {}\npub struct Own;\n",
        );
        let other = of(
            "other",
            "pub type Row = u8;\npub struct Error;\nstruct Own;\n",
        );
        assert_eq!(
            shared_type_names(&[one, other]),
            ["Row is a public type of crates/one and of crates/other"]
        );
    }
}
