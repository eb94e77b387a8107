//! Validation of LightGBM's text format before LightGBM reads it.
//!
//! LightGBM's reader trusts the file: it reads past the end of a truncated file, ends the process
//! at a tree that it cannot parse, and follows any node that the file names.

use std::{collections::HashMap, str::FromStr};

/// Returns an error for text that LightGBM cannot read or cannot predict with.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if !text.starts_with("tree\n") {
        return Err("its first line is not \"tree\"".into());
    }
    let trees_at = text.find("\nTree=").ok_or("it has no tree")? + 1;
    let (header, mut rest) = text.split_at(trees_at);
    let is_name = |line: &str| line.starts_with("feature_names=");
    if text.contains('\0') || !header.lines().all(|line| is_plain(line) || is_name(line)) {
        return Err("its header has invalid characters".into());
    }
    let header = FieldMap::read(header);
    let classes: usize = header.number("num_class")?;
    let trees_per_iteration: usize = header.number("num_tree_per_iteration")?;
    if classes == 0 || trees_per_iteration != classes || !header.objective_has(classes) {
        return Err(format!(
            "its header counts {classes} classes, its objective or trees another number"
        ));
    }
    if header
        .0
        .get("objective")
        .is_some_and(|name| name.trim().is_empty())
    {
        return Err("its objective has no name".into());
    }
    let features = header.number::<usize>("max_feature_idx")?.saturating_add(1);
    let sizes: Vec<usize> = header.list("tree_sizes")?;
    if sizes.is_empty() || !sizes.len().is_multiple_of(classes) {
        let trees = sizes.len();
        return Err(format!(
            "{trees} trees are not a multiple of {classes} trees per iteration"
        ));
    }
    for (index, &size) in sizes.iter().enumerate() {
        let tree = rest
            .get(..size)
            .ok_or_else(|| format!("it ends within tree {index} of {}", sizes.len()))?;
        check_tree(tree, features).map_err(|problem| format!("tree {index}: {problem}"))?;
        rest = &rest[size..];
    }
    // Before version 2.1 the list of features came next.
    if !["end of trees\n", "\nfeature importances:\n"]
        .iter()
        .any(|end| rest.starts_with(end))
    {
        return Err("its trees do not end where its header says".into());
    }
    Ok(())
}

/// Returns an error unless the text is a tree in which every path ends in a leaf.
fn check_tree(text: &str, features: usize) -> Result<(), String> {
    let lines = text.trim_end_matches('\n');
    let is_field = |line: &str| is_plain(line) && line.contains('=');
    if !text.starts_with("Tree=") || !text.ends_with("\n\n") || !lines.lines().all(is_field) {
        return Err("its lines are not those of a tree".into());
    }
    let tree = FieldMap::read(lines);
    tree.0
        .keys()
        .try_for_each(|key| tree.list::<f64>(key).map(drop))?;
    let leaves: usize = tree.number("num_leaves")?;
    let nodes = leaves.checked_sub(1).ok_or("it has no leaf")?;
    tree.items::<f64>("leaf_value", leaves, |_, _| true)?;
    tree.number::<usize>("num_cat")?;
    let linear = tree.is_linear()?;
    if nodes == 0 && !linear {
        return Ok(()); // LightGBM ignores the rest, too
    }
    if tree.0.contains_key("leaf_weight") {
        tree.items::<f64>("leaf_weight", leaves, |_, _| true)?;
    }
    // Children are nodes with a higher index, or leaves: ~0, ~1, ...
    let is_child = |node: usize, child: i64| match usize::try_from(child) {
        Ok(child) => child > node && child < nodes,
        Err(_) => !child < leaves as i64,
    };
    tree.items("left_child", nodes, is_child)?;
    tree.items("right_child", nodes, is_child)?;
    let is_feature = |_, feature: usize| feature < features;
    tree.items("split_feature", nodes, is_feature)?;
    check_categories(&tree, nodes)?;
    match linear {
        true => check_linear_leaves(&tree, leaves, features),
        false => Ok(()),
    }
}

/// Checks the sets of categories, 32 categories per word. The threshold of a categorical node is
/// the index of its set.
fn check_categories(tree: &FieldMap, nodes: usize) -> Result<(), String> {
    let sets: usize = tree.number("num_cat")?;
    let thresholds = tree.items::<f64>("threshold", nodes, |_, _| true)?;
    tree.items("decision_type", nodes, |node, decision: i8| {
        let set = thresholds[node];
        decision & 1 == 0 || (set >= 0.0 && set < sets as f64)
    })?;
    if sets > 0 {
        let ends: Vec<usize> = tree.list("cat_boundaries")?;
        if ends.len() != sets.saturating_add(1) || ends[0] != 0 || !ends.is_sorted() {
            return Err("its cat_boundaries do not fit its num_cat".into());
        }
        tree.items::<u32>("cat_threshold", ends[sets], |_, _| true)?;
    }
    Ok(())
}

/// Checks the linear leaves, each a sum over some features.
fn check_linear_leaves(tree: &FieldMap, leaves: usize, features: usize) -> Result<(), String> {
    tree.items::<InRange>("leaf_const", leaves, |_, _| true)?;
    let counts = tree.items::<u16>("num_features", leaves, |_, _| true)?;
    let terms = counts.into_iter().map(usize::from).sum();
    tree.items("leaf_features", terms, |_, feature: usize| {
        feature < features
    })?;
    tree.items::<InRange>("leaf_coeff", terms, |_, _| true)
        .map(drop)
}

/// A number of a linear leaf. LightGBM ends the process at one out of the range of normal float64
/// numbers.
#[derive(Clone, Copy)]
struct InRange;

impl FromStr for InRange {
    type Err = ();

    fn from_str(text: &str) -> Result<InRange, ()> {
        let value: f64 = text.parse().map_err(drop)?;
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        // A text without these digits is zero, inf or nan.
        let has_digits = mantissa.contains(|digit: char| ('1'..='9').contains(&digit));
        if value.is_normal() || !has_digits {
            Ok(InRange)
        } else {
            Err(())
        }
    }
}

/// Returns whether the line is printable ASCII: LightGBM quotes lines in its errors, cut at any
/// byte.
fn is_plain(line: &str) -> bool {
    let mut bytes = line.bytes();
    bytes.all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Lines of the form `key=value`; the last of equal keys counts.
pub(crate) struct FieldMap<'a>(HashMap<&'a str, &'a str>);

impl<'a> FieldMap<'a> {
    pub(crate) fn read(text: &'a str) -> FieldMap<'a> {
        FieldMap(
            text.lines()
                .filter_map(|line| line.split_once('='))
                .collect(),
        )
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, String> {
        let value = self.0.get(key).and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("its {key} is missing or invalid"))
    }

    /// Returns whether the leaves of the tree are sums over features.
    pub(crate) fn is_linear(&self) -> Result<bool, String> {
        Ok(self.0.contains_key("is_linear") && self.number::<u8>("is_linear")? != 0)
    }

    /// Returns the numbers of a list; none if it is missing.
    pub(crate) fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, String> {
        let items = self.0.get(key).copied().unwrap_or_default();
        items
            .split(' ')
            .filter(|item| !item.is_empty())
            .map(|item| item.parse().map_err(|_| format!("its {key} has {item:?}")))
            .collect()
    }

    /// Returns a list that must exist and have `length` numbers; `fits` checks each with its index.
    fn items<T: FromStr + Copy>(
        &self,
        key: &str,
        length: usize,
        fits: impl Fn(usize, T) -> bool,
    ) -> Result<Vec<T>, String> {
        let items: Vec<T> = self.list(key)?;
        if items.len() != length || !self.0.contains_key(key) {
            return Err(format!("its {key} has {} of {length} numbers", items.len()));
        }
        match items
            .iter()
            .enumerate()
            .find(|&(index, &item)| !fits(index, item))
        {
            Some((index, _)) => Err(format!("number {index} of its {key} is out of range")),
            None => Ok(items),
        }
    }

    /// Returns whether the objective states this number of classes, or none.
    fn objective_has(&self, classes: usize) -> bool {
        let objective = self.0.get("objective").copied().unwrap_or_default();
        let mut words = objective.split_ascii_whitespace();
        words.all(|word| match word.strip_prefix("num_class:") {
            Some(count) => count.parse() == Ok(classes),
            None => true,
        })
    }
}
