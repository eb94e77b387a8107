//! Checks the lengths of files and functions, without test code.

use syn::{spanned::Spanned, visit::Visit};

use crate::sources::Module;

/// Maximum number of lines of a file.
const FILE: usize = 400;
/// Maximum number of lines of a function, from its `fn` to its last brace.
const FUNCTION: usize = 80;

/// Lists the file and the functions of a module that are too long.
pub(crate) fn too_long(module: &Module) -> Vec<String> {
    let file = module.file.display();
    let mut found = Vec::new();
    if module.lines > FILE {
        let lines = module.lines;
        found.push(format!(
            "{file} has {lines} lines, {FILE} at most: split it"
        ));
    }
    let mut functions = Functions::default();
    module
        .items
        .iter()
        .for_each(|item| functions.visit_item(item));
    let long = functions.0.iter().filter(|(_, lines)| *lines > FUNCTION);
    found.extend(long.map(|(name, lines)| {
        format!("{file}: fn {name} has {lines} lines, {FUNCTION} at most: split it")
    }));
    found
}

/// Every function with its lines.
#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.span().end().line + 1 - signature.fn_token.span().start().line;
        self.0.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sources;

    fn found_in(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.rs");
        fs::write(&path, text).unwrap();
        too_long(&sources::modules(folder.path(), &path)[0])
    }

    /// A function of `lines` lines.
    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    drop(1);\n".repeat(lines - 2))
    }

    #[test]
    fn long_code_is_found_and_test_code_is_not_counted() {
        assert!(found_in(&function(80)).is_empty());
        assert_eq!(
            found_in(&function(81)),
            ["lib.rs: fn long has 81 lines, 80 at most: split it"]
        );
        let file = function(80).repeat(5);
        assert!(found_in(&file).is_empty());
        let tests = format!("{file}#[cfg(test)]\nmod tests {{\n{file}}}\n");
        assert!(found_in(&tests).is_empty());
        assert_eq!(
            found_in(&format!("{file}struct More;\n")),
            ["lib.rs has 401 lines, 400 at most: split it"]
        );
    }
}
