//! Finds import circles between the files of a crate.
//!
//! A file needs another if it names something that is defined there: by `use`, or by a path written out, in macros
//! and attributes too. `crate::`, `super::` and `self::` are resolved, and `pub use` is followed to the file of the
//! definition. `mod` and `pub use` alone do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Item, UseTree, Visibility, visit::Visit};

use crate::sources::{Crate, Module};

/// For each file, the files that it needs, each with one of the paths that show it.
type Arrows = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// The circles of a crate, one line for each group of files that reach each other.
pub(crate) fn find(of: &Crate) -> Vec<String> {
    circles(&arrows(&of.modules))
}

fn circles(arrows: &Arrows) -> Vec<String> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = arrows
        .keys()
        .map(|file| (file.as_path(), reach(arrows, file)))
        .collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reached {
        let back = |other: &&&Path| reached.get(**other).is_some_and(|back| back.contains(file));
        let group: BTreeSet<&Path> = others.iter().filter(back).copied().collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.iter().map(|group| describe(arrows, group)).collect()
}

/// The files that a file needs, over any number of others.
fn reach<'a>(arrows: &'a Arrows, file: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        for other in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(other.as_path()) {
                open.push(other);
            }
        }
    }
    reached
}

fn describe(arrows: &Arrows, group: &BTreeSet<&Path>) -> String {
    let mut lines = vec!["files that need each other:".to_owned()];
    for file in group {
        for (other, by) in &arrows[*file] {
            if group.contains(other.as_path()) {
                let (file, other) = (file.display(), other.display());
                lines.push(format!("    {file} -> {other} ({by})"));
            }
        }
    }
    lines.join("\n")
}

fn arrows(modules: &[Module]) -> Arrows {
    let scopes: Vec<Scope> = modules.iter().map(Scope::new).collect();
    let tree = Tree { modules, scopes };
    let mut arrows = Arrows::new();
    for (here, (module, scope)) in modules.iter().zip(&tree.scopes).enumerate() {
        for path in scope.imported().chain(&scope.paths) {
            let Some(there) = tree.resolve(here, path, 0) else {
                continue;
            };
            let other = &modules[there].file;
            if *other != module.file {
                let others = arrows.entry(module.file.clone()).or_default();
                others
                    .entry(other.clone())
                    .or_insert_with(|| path.join("::"));
            }
        }
    }
    arrows
}

/// The names that a module defines and imports, and the paths in its code.
#[derive(Default)]
struct Scope {
    items: BTreeSet<String>,
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
}

/// A name that `use` brings in; `*` is all names.
struct Import {
    name: String,
    path: Vec<String>,
    is_private: bool,
}

impl Scope {
    fn new(module: &Module) -> Scope {
        let mut scope = Scope::default();
        for item in &module.items {
            scope.items.extend(name_of(item));
            scope.visit_item(item);
        }
        scope
    }

    /// Paths in the module's own code.
    fn imported(&self) -> impl Iterator<Item = &Vec<String>> {
        let own = self.imports.iter().filter(|import| import.is_private);
        own.map(|import| &import.path)
    }

    fn import(&mut self, tree: &UseTree, before: &[String], is_private: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => return self.import(&path.tree, &with(&path.ident), is_private),
            UseTree::Group(group) => {
                let trees = group.items.iter();
                return trees.for_each(|tree| self.import(tree, before, is_private));
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.to_vec())
            }
            UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(name) => (name.rename.to_string(), with(&name.ident)),
            UseTree::Glob(_) => ("*".to_owned(), before.to_vec()),
        };
        self.imports.push(Import {
            name,
            path,
            is_private,
        });
    }

    /// Collects paths from the tokens of a macro or an attribute.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Literal(literal) => self.scan_text(&literal.to_string()),
                TokenTree::Punct(_) => {}
            }
            self.end(&mut path);
            colons = 0;
        }
        self.end(&mut path);
    }

    /// Collects a path from a string: serde's attributes have them there.
    fn scan_text(&mut self, literal: &str) {
        let text = literal.trim_matches('"');
        if ["crate::", "super::", "self::"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            self.paths
                .push(text.split("::").map(str::to_owned).collect());
        }
    }

    /// Ends a path. A single word in lower case may be a variable, and is left out.
    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 || path.first().is_some_and(|word| is_type(word)) {
            self.paths.push(path.clone());
        }
        path.clear();
    }
}

fn is_type(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
}

impl<'ast> Visit<'ast> for Scope {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_private = matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], is_private);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.paths.push(vec![name.to_string()]);
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let mut words: Vec<_> = words.collect();
        self.end(&mut words);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.scan(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::List(list) => self.scan(list.tokens.clone()),
            _ => syn::visit::visit_attribute(self, attribute),
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

/// Maximum number of `pub use` steps that are followed, since they may form a circle.
const LONGEST: usize = 20;

/// All modules of a crate.
struct Tree<'a> {
    modules: &'a [Module],
    scopes: Vec<Scope>,
}

impl Tree<'_> {
    /// The module that defines the item of a path in module `here`; `None` for other crates' items.
    fn resolve(&self, here: usize, path: &[String], depth: usize) -> Option<usize> {
        let (mut at, mut rest) = (here, path);
        let mut is_rooted = false;
        while let [first, others @ ..] = rest {
            at = match first.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.modules[at].parent?,
                _ => break,
            };
            (rest, is_rooted) = (others, true);
        }
        if rest.is_empty() {
            return is_rooted.then_some(at);
        }
        self.descend(at, rest, depth)
    }

    /// The module that defines the item of a path, whose first segment is looked up in module `at`.
    fn descend(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        let [first, rest @ ..] = path else {
            return Some(at);
        };
        if depth > LONGEST {
            return None;
        }
        if let Some(child) = self.child(at, first) {
            return self.descend(child, rest, depth);
        }
        let scope = &self.scopes[at];
        if scope.items.contains(first) {
            return Some(at);
        }
        let named = scope.imports.iter().filter(|import| import.name == *first);
        let named = named.map(|import| [&import.path, rest].concat());
        let all = scope.imports.iter().filter(|import| import.name == "*");
        let all = all.map(|import| [&import.path, path].concat());
        named
            .chain(all)
            .filter(|full| full != path)
            .find_map(|full| self.resolve(at, &full, depth + 1))
    }

    fn child(&self, parent: usize, name: &str) -> Option<usize> {
        let is_it = |module: &Module| module.parent == Some(parent) && module.name == name;
        self.modules.iter().position(is_it)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sources;

    /// The circles of a crate with these files.
    fn circles_of(files: &[[&str; 2]]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for [name, text] in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let modules = sources::modules(folder.path(), &folder.path().join("lib.rs"));
        circles(&arrows(&modules))
    }

    #[track_caller]
    fn assert_circle(files: &[[&str; 2]]) {
        assert_eq!(circles_of(files).len(), 1);
    }

    const ROOT: [&str; 2] = ["lib.rs", "mod a; mod b;"];
    const A: [&str; 2] = [
        "a.rs",
        "use crate::b::B; pub(crate) struct A(B); pub(crate) fn make() {}",
    ];

    #[test]
    fn files_that_import_each_other_are_a_circle() {
        assert_circle(&[ROOT, A, ["b.rs", "use super::a::A; pub(crate) struct B;"]]);
        assert!(circles_of(&[ROOT, A, ["b.rs", "pub(crate) struct B;"]]).is_empty());
    }

    #[test]
    fn written_out_paths_count_everywhere() {
        for body in [
            "fn f() { crate::a::make() }",
            "fn f() { let _: Option<super::a::A> = None; }",
            "fn f() { println!(\"{:?}\", crate::a::make()); }",
            "#[arg(default_value_t = crate::a::make())] struct Flags;",
            "#[serde(with = \"crate::a::make\")] struct Row;",
        ] {
            let b = format!("pub(crate) struct B; {body}");
            assert_circle(&[ROOT, A, ["b.rs", &b]]);
        }
    }

    #[test]
    fn a_reexport_counts_for_its_defining_file() {
        let root = ["lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"];
        let a = ["a.rs", "use crate::B; pub struct A(B);"];
        assert!(circles_of(&[root, a, ["b.rs", "pub struct B;"]]).is_empty());
        assert_circle(&[root, a, ["b.rs", "pub struct B(crate::A);"]]);
    }

    #[test]
    fn a_child_and_its_parent_may_be_a_circle() {
        let child = [
            "a.rs",
            "use super::Shared; pub(crate) fn make(_: Shared) {}",
        ];
        let root = "mod a; struct Shared; fn f(shared: Shared) { a::make(shared) }";
        assert_circle(&[["lib.rs", root], child]);
        assert!(circles_of(&[["lib.rs", "mod a; struct Shared;"], child]).is_empty());
    }

    #[test]
    fn test_code_is_ignored() {
        let b = "pub(crate) struct B; #[cfg(test)] mod tests { use crate::a::A; }";
        assert!(circles_of(&[ROOT, A, ["b.rs", b]]).is_empty());
    }
}
