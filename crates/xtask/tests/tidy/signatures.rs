//! Checks visible signatures: no tuple in place of a struct, no array of unnamed figures, typed errors.

use std::collections::BTreeSet;

use quote::ToTokens;
use syn::{
    FnArg, GenericArgument, PathArguments, ReturnType, Signature, Type, Visibility, visit::Visit,
};

use crate::sources::{Crate, Module};

/// A rule of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A public or crate-visible function takes no tuple.
    Tuple,
    /// A public or crate-visible type shows no array of figures: a reader cannot tell which is which.
    Figures,
    /// A public function of a library fails with an error type of its own.
    Error,
}

/// Lists the breaches of one rule in a crate.
pub(crate) fn find(rule: Rule, of: &Crate) -> Vec<String> {
    let mut looked = Look {
        rule,
        is_library: of.is_library,
        tuples: BTreeSet::new(),
        found: Vec::new(),
    };
    let mut found = Vec::new();
    for module in &of.modules {
        looked.tuples = names_of_tuples(of, module);
        module.items.iter().for_each(|item| looked.visit_item(item));
        let here = looked.found.drain(..);
        found.extend(here.map(|what| format!("{}: {what}", shown(module))));
    }
    found
}

/// The type aliases of tuples that a module can use: its own, and visible ones of other modules.
fn names_of_tuples(of: &Crate, module: &Module) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for other in &of.modules {
        for item in &other.items {
            if let syn::Item::Type(alias) = item
                && matches!(*alias.ty, Type::Tuple(_))
                && (std::ptr::eq(other, module) || !matches!(alias.vis, Visibility::Inherited))
            {
                names.insert(alias.ident.to_string());
            }
        }
    }
    names
}

fn shown(module: &Module) -> String {
    module.file.display().to_string()
}

struct Look {
    rule: Rule,
    is_library: bool,
    /// Type aliases of tuples.
    tuples: BTreeSet<String>,
    found: Vec<String>,
}

impl Look {
    fn function(&mut self, visibility: &Visibility, signature: &Signature) {
        let name = &signature.ident;
        match self.rule {
            Rule::Tuple if !matches!(visibility, Visibility::Inherited) => {
                let arguments = signature.inputs.iter();
                let types = arguments.filter_map(|argument| match argument {
                    FnArg::Typed(typed) => Some(&*typed.ty),
                    FnArg::Receiver(_) => None,
                });
                let tuples: Vec<_> = types.filter(|of| self.is_tuple(of)).map(text).collect();
                let line = |of| format!("fn {name} takes the tuple {of}: make it a struct");
                self.found.extend(tuples.into_iter().map(line));
            }
            Rule::Error if self.is_library && matches!(visibility, Visibility::Public(_)) => {
                if let Some(error) = untyped_error(&signature.output) {
                    self.found
                        .push(format!("fn {name} fails with {error}: give it a type"));
                }
            }
            _ => {}
        }
    }

    /// True for a tuple by itself, behind a reference or in an option. A list of pairs is a list.
    fn is_tuple(&self, of: &Type) -> bool {
        match of {
            Type::Tuple(tuple) => !tuple.elems.is_empty(),
            Type::Reference(to) => self.is_tuple(&to.elem),
            Type::Paren(of) => self.is_tuple(&of.elem),
            Type::Path(path) => path.path.segments.last().is_some_and(|last| {
                self.tuples.contains(&last.ident.to_string())
                    || ["Option", "Box", "Arc"]
                        .iter()
                        .any(|name| last.ident == name)
                        && arguments(last).any(|inner| self.is_tuple(inner))
            }),
            _ => false,
        }
    }

    fn fields<'a>(&mut self, name: &syn::Ident, types: impl Iterator<Item = &'a Type>) {
        if self.rule == Rule::Figures {
            for of in types.filter(|of| has_figures(of)) {
                let of = text(of);
                self.found.push(format!(
                    "{name} has figures without names, {of}: make them a struct"
                ));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Look {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.vis, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.vis, &function.sig);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        for inner in &item.items {
            if let syn::TraitItem::Fn(function) = inner {
                self.function(&item.vis, &function.sig);
            }
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if !matches!(item.vis, Visibility::Inherited) {
            let shown = item.fields.iter();
            let shown = shown.filter(|field| !matches!(field.vis, Visibility::Inherited));
            self.fields(&item.ident, shown.map(|field| &field.ty));
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        if !matches!(item.vis, Visibility::Inherited) {
            let fields = item.variants.iter().flat_map(|variant| &variant.fields);
            self.fields(&item.ident, fields.map(|field| &field.ty));
        }
    }
}

/// Bytes are keys and texts, not figures.
const FIGURES: [&str; 14] = [
    "i8", "u16", "i16", "u32", "i32", "u64", "i64", "u128", "i128", "usize", "isize", "f32", "f64",
    "Duration",
];

/// True if an array of figures is anywhere in the type.
fn has_figures(of: &Type) -> bool {
    #[derive(Default)]
    struct Found(bool);
    impl<'ast> Visit<'ast> for Found {
        fn visit_type_array(&mut self, array: &'ast syn::TypeArray) {
            if let Type::Path(path) = &*array.elem {
                self.0 |= FIGURES.iter().any(|figure| path.path.is_ident(figure));
            }
            syn::visit::visit_type_array(self, array);
        }
    }
    let mut found = Found::default();
    found.visit_type(of);
    found.0
}

/// The error of a result, if it is text, `anyhow` or a boxed error.
fn untyped_error(output: &ReturnType) -> Option<String> {
    let ReturnType::Type(_, output) = output else {
        return None;
    };
    let Type::Path(path) = &**output else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Result" {
        return None;
    }
    if path.path.segments[0].ident == "anyhow" {
        return Some("anyhow".to_owned());
    }
    let error = text(arguments(last).nth(1)?);
    let untyped = ["String", "& str", "& 'static str", "anyhow :: Error"];
    let is_untyped = untyped.contains(&error.as_str()) || error.starts_with("Box < dyn");
    is_untyped.then_some(error)
}

fn arguments(segment: &syn::PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    };
    let arguments = arguments.into_iter().flatten();
    arguments.filter_map(|argument| match argument {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    })
}

fn text(of: &Type) -> String {
    of.to_token_stream().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sources;

    fn breaches(rule: Rule, text: &str) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.rs");
        fs::write(&path, text).unwrap();
        let of = Crate {
            is_library: true,
            modules: sources::modules(folder.path(), &path),
        };
        find(rule, &of).len()
    }

    #[test]
    fn a_visible_function_takes_no_tuple() {
        for (text, expected) in [
            ("pub fn f(a: (u8, u8)) {}", 1),
            (
                "struct S; impl S { pub(crate) fn f(&self, a: &mut (u8, u8)) {} }",
                1,
            ),
            ("pub trait T { fn f(&self, a: Option<(u8, u8)>); }", 1),
            ("type Pair = (u8, u8); pub fn f(a: &Pair) {}", 1),
            ("fn f(a: (u8, u8)) {}", 0),
            (
                "pub fn f(a: u8, b: &[(u8, u8)], of: impl Fn((u8, u8))) -> (u8, u8) { (a, a) }",
                0,
            ),
            ("#[cfg(test)] mod tests { pub fn f(a: (u8, u8)) {} }", 0),
        ] {
            assert_eq!(breaches(Rule::Tuple, text), expected, "{text}");
        }
    }

    #[test]
    fn a_visible_type_names_its_figures() {
        for (text, expected) in [
            ("pub struct S { pub micros: [u64; 5] }", 1),
            ("pub(crate) enum E { A(Vec<[f64; 2]>) }", 1),
            ("pub struct S { micros: [u64; 5], pub key: [u8; 32] }", 0),
            ("struct S { pub micros: [u64; 5] }", 0),
        ] {
            assert_eq!(breaches(Rule::Figures, text), expected, "{text}");
        }
    }

    #[test]
    fn a_public_function_has_a_typed_error() {
        for (text, expected) in [
            ("pub fn f() -> Result<u8, String> { Ok(1) }", 1),
            ("pub fn f() -> anyhow::Result<u8> { Ok(1) }", 1),
            (
                "pub fn f() -> Result<u8, Box<dyn std::error::Error>> { Ok(1) }",
                1,
            ),
            ("pub fn f() -> Result<u8, Problem> { Ok(1) }", 0),
            ("pub fn f() -> io::Result<u8> { Ok(1) }", 0),
            ("fn f() -> Result<u8, String> { Ok(1) }", 0),
        ] {
            assert_eq!(breaches(Rule::Error, text), expected, "{text}");
        }
    }
}
