//! Parses the sources of every crate, module by module, without test code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item};

/// A library, a program, an example or a bench.
pub(crate) struct Crate {
    /// True for the library of a package that others depend on, where `pub` means public.
    pub(crate) is_library: bool,
    /// Modules; the root first, parents before children.
    pub(crate) modules: Vec<Module>,
}

/// A module: a file, or a block inside one.
pub(crate) struct Module {
    /// Its name; empty for the root.
    pub(crate) name: String,
    /// Index of the parent among the crate's modules.
    pub(crate) parent: Option<usize>,
    /// The file that holds it, from the root of the workspace.
    pub(crate) file: PathBuf,
    /// Number of lines of the file outside test code; 0 for a block.
    pub(crate) lines: usize,
    /// Its items, without test code and modules.
    pub(crate) items: Vec<Item>,
}

/// Every crate of the workspace that is not test code.
pub(crate) fn crates(metadata: &cargo_metadata::Metadata) -> Vec<Crate> {
    let root = metadata.workspace_root.as_std_path();
    let needed = metadata
        .packages
        .iter()
        .flat_map(|package| &package.dependencies);
    let needed: BTreeSet<_> = needed.map(|dependency| dependency.name.as_str()).collect();
    let mut crates = Vec::new();
    for package in &metadata.packages {
        for target in &package.targets {
            if target.is_test() || target.is_custom_build() {
                continue;
            }
            crates.push(Crate {
                is_library: target.is_lib() && needed.contains(package.name.as_str()),
                modules: modules(root, target.src_path.as_std_path()),
            });
        }
    }
    assert!(crates.len() > 20, "the crates are not where they were");
    crates
}

/// The modules of the crate whose root is the file at `path`; `workspace` is cut off the names of files.
pub(crate) fn modules(workspace: &Path, path: &Path) -> Vec<Module> {
    let mut found = Found {
        workspace,
        modules: Vec::new(),
    };
    let folder = path.parent().expect("a source file is in a folder");
    found.add_file(Place::default(), path, folder);
    found.modules
}

/// True for an item that only tests or fuzz targets have.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        let is_cfg = attribute.path().is_ident("cfg");
        attribute.path().is_ident("test")
            || is_cfg && ["test", "fuzzing"].contains(&tokens.as_str())
    })
}

/// Name and parent of a module.
#[derive(Default)]
struct Place {
    name: String,
    parent: Option<usize>,
}

struct Found<'a> {
    workspace: &'a Path,
    modules: Vec<Module>,
}

impl Found<'_> {
    /// Adds the module in the file at `path`, whose own modules are in `folder`.
    fn add_file(&mut self, place: Place, path: &Path, folder: &Path) {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let of_tests: usize = parsed.items.iter().map(lines_of_tests).sum();
        let module = Module {
            name: place.name,
            parent: place.parent,
            file: path.strip_prefix(self.workspace).unwrap_or(path).to_owned(),
            lines: text.lines().count() - of_tests,
            items: Vec::new(),
        };
        self.add(module, parsed.items, path, folder);
    }

    fn add(&mut self, module: Module, items: Vec<Item>, path: &Path, folder: &Path) {
        let here = self.modules.len();
        self.modules.push(module);
        for item in items {
            if is_test(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(inner) => self.add_inner(inner, here, path, folder),
                item => self.modules[here].items.push(item),
            }
        }
    }

    fn add_inner(&mut self, inner: syn::ItemMod, here: usize, path: &Path, folder: &Path) {
        let name = inner.ident.to_string();
        let place = Place {
            name: name.clone(),
            parent: Some(here),
        };
        let Some((_, items)) = inner.content else {
            let file = folder.join(format!("{name}.rs"));
            let folder = folder.join(&name);
            return match file.exists() {
                true => self.add_file(place, &file, &folder),
                false => self.add_file(place, &folder.join("mod.rs"), &folder),
            };
        };
        let module = Module {
            name: place.name,
            parent: place.parent,
            file: self.modules[here].file.clone(),
            lines: 0,
            items: Vec::new(),
        };
        self.add(module, items, path, &folder.join(name));
    }
}

/// The lines of an item that is test code; 0 of any other.
fn lines_of_tests(item: &Item) -> usize {
    use syn::spanned::Spanned;
    match is_test(attributes(item)) {
        true => item.span().end().line + 1 - item.span().start().line,
        false => 0,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
