//! Detects models that need double inputs, because of thresholds, categories or linear leaves.
//!
//! LightGBM puts a **threshold** halfway between two neighbouring values of its training data. If
//! those are float32 numbers, two rules hold for the thresholds of a feature:
//!
//! 1. A float32 number lies between any two thresholds.
//! 2. A threshold is a multiple of half the distance between float32 numbers. That distance is
//!    taken at the neighbouring value nearest to zero: the feature's next threshold towards zero
//!    or, without one, the least (greatest, if negative) value of the training data.
//!
//! A model needs doubles if it breaks the first rule, or the second rule with a threshold of 2^24
//! or more (times in seconds, ids), where float32 lacks whole numbers: rounded inputs fall on the
//! wrong side of a threshold. A threshold below 2^24 may break the second rule: ordinary fractions
//! such as 0.1 do, and few inputs lie close to it.
//!
//! A split by **categories** needs doubles if float32 rounds a category of the training data to one
//! on the other side of the split. Only categories above 2^24 are rounded.
//!
//! A **linear leaf** needs doubles if a feature of its sum reached 2^24 in the training data. The
//! file does not show whether all these values were float32 numbers, so a model trained on float32
//! is reported, too.

use std::collections::BTreeMap;

use crate::model_file::FieldMap;

/// 2^24: float32 lacks whole numbers beyond it.
const WHOLE: f64 = 16_777_216.0;

/// 2^24 as a category.
const LARGE_CATEGORY: u64 = 1 << 24;

/// Index of the word that begins with category 2^24 in a set of categories.
const LARGE_WORD: usize = LARGE_CATEGORY as usize / 32;

/// Describes the first feature that needs doubles; `None` if there is none.
///
/// `text` must be a model that [`check`](crate::model_file::check) accepts.
pub(crate) fn loss(text: &str) -> Option<String> {
    let (header, trees) = text.split_once("\nTree=")?;
    let ends = ["\nend of trees", "\nfeature importances:"];
    let trees = ends.iter().fold(trees, |trees, end| {
        trees.split(end).next().unwrap_or_default()
    });
    let header = FieldMap::read(header);
    let mut features = BTreeMap::new();
    for tree in trees.split("\nTree=") {
        collect(&FieldMap::read(tree), &mut features);
    }
    let infos: Vec<String> = header.list("feature_infos").unwrap_or_default();
    let names: Vec<String> = header.list("feature_names").unwrap_or_default();
    features.into_iter().find_map(|(index, mut feature)| {
        feature.thresholds.sort_unstable_by(f64::total_cmp);
        feature.thresholds.dedup();
        let trained = infos.get(index).map(|info| TrainedValues::parse(info));
        let reason = feature.loss(&trained.unwrap_or_default())?;
        let name = names.get(index);
        let name = name.map_or_else(|| index.to_string(), |name| format!("{name:?}"));
        Some(format!("feature {name} has {reason}"))
    })
}

/// Use of a feature by the trees.
#[derive(Default)]
struct Feature {
    /// Ascending and without duplicates once all trees are read.
    thresholds: Vec<f64>,
    sets: Vec<LargeCategories>,
    in_linear_leaf: bool,
}

/// The categories of a set from 2^24 on, as bits of words.
struct LargeCategories(Vec<u32>);

/// A feature's values in the training data, as stated by the file.
#[derive(Default)]
struct TrainedValues {
    /// Least and greatest value of a numeric feature.
    range: Option<(f64, f64)>,
    /// Categories from 2^24 on of a categorical feature.
    large_categories: Vec<u64>,
}

/// Adds the features that a tree uses.
fn collect(tree: &FieldMap, features: &mut BTreeMap<usize, Feature>) {
    let split: Vec<usize> = tree.list("split_feature").unwrap_or_default();
    let thresholds: Vec<f64> = tree.list("threshold").unwrap_or_default();
    let decisions: Vec<i8> = tree.list("decision_type").unwrap_or_default();
    let ends: Vec<usize> = tree.list("cat_boundaries").unwrap_or_default();
    let words: Vec<u32> = tree.list("cat_threshold").unwrap_or_default();
    for ((feature, threshold), decision) in split.into_iter().zip(thresholds).zip(decisions) {
        let feature = features.entry(feature).or_default();
        if decision & 1 == 0 {
            feature.thresholds.push(threshold);
            continue;
        }
        // The threshold of a categorical split is the number of its set.
        let set = threshold as usize;
        if let Some(&[start, end]) = ends.get(set..).and_then(|ends| ends.first_chunk())
            && let Some(large) = words.get(start.saturating_add(LARGE_WORD)..end)
        {
            feature.sets.push(LargeCategories(large.to_vec()));
        }
    }
    if tree.is_linear() == Ok(true) {
        let terms: Vec<usize> = tree.list("leaf_features").unwrap_or_default();
        let coefficients: Vec<f64> = tree.list("leaf_coeff").unwrap_or_default();
        for (feature, coefficient) in terms.into_iter().zip(coefficients) {
            features.entry(feature).or_default().in_linear_leaf |= coefficient != 0.0;
        }
    }
}

impl TrainedValues {
    /// Parses a range, `[1700000000:1700001999]`, or categories with -1 for any other,
    /// `-1:4:2:20000001`; ignores anything else.
    fn parse(info: &str) -> TrainedValues {
        let brackets = info
            .strip_prefix('[')
            .and_then(|info| info.strip_suffix(']'));
        match brackets.and_then(|range| range.split_once(':')) {
            Some((least, greatest)) => TrainedValues {
                range: least.parse().ok().zip(greatest.parse().ok()),
                large_categories: Vec::new(),
            },
            None => TrainedValues {
                range: None,
                large_categories: info
                    .split(':')
                    .filter_map(|category| category.parse().ok())
                    .filter(|&category| category >= LARGE_CATEGORY)
                    .collect(),
            },
        }
    }
}

impl LargeCategories {
    /// Returns whether a category of 2^24 or more is in the set.
    fn has(&self, category: u64) -> bool {
        let word = (category / 32) as usize - LARGE_WORD;
        let word = self.0.get(word).copied().unwrap_or_default();
        word >> (category % 32) & 1 == 1
    }

    /// Returns all categories.
    fn iter(&self) -> impl Iterator<Item = u64> {
        let words = self.0.iter().zip((LARGE_CATEGORY..).step_by(32));
        let words = words.filter(|&(&word, _)| word != 0);
        words.flat_map(|(&word, first)| {
            let bits = (0..32).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| first + bit)
        })
    }

    /// Describes the first category, of these and of `trained`, that float32 rounds to the other
    /// side of the split.
    fn loss(&self, trained: &[u64]) -> Option<String> {
        let mut categories = self.iter().chain(trained.iter().copied());
        categories.find_map(|category| {
            let rounded = category as f32 as u64;
            (self.has(category) != self.has(rounded))
                .then(|| format!("the category {category}, which float32 rounds to {rounded}"))
        })
    }
}

impl Feature {
    /// Describes the reason why the feature needs doubles.
    fn loss(&self, trained: &TrainedValues) -> Option<String> {
        let mut sets = self.sets.iter();
        self.threshold_loss(trained.range)
            .or_else(|| sets.find_map(|set| set.loss(&trained.large_categories)))
            .or_else(|| self.linear_loss(trained.range?))
    }

    /// Describes the first threshold that breaks a rule.
    fn threshold_loss(&self, range: Option<(f64, f64)>) -> Option<String> {
        let places = self.thresholds.iter().enumerate();
        let mut losses = places.filter_map(|(place, &threshold)| {
            let below = place.checked_sub(1).map(|place| self.thresholds[place]);
            let above = self.thresholds.get(place + 1).copied();
            match below {
                Some(below) if floor(threshold) <= below => {
                    Some(format!("thresholds at {below} and {threshold}"))
                }
                _ if threshold.abs() < WHOLE => None,
                _ => {
                    let (least, greatest) = range.unzip();
                    (!is_halfway(threshold, below.or(least), above.or(greatest)))
                        .then(|| format!("a threshold at {threshold}"))
                }
            }
            .map(|what| at_steps(&what, threshold))
        });
        losses.next()
    }

    /// Describes the largest value in a linear leaf if float32 lacks whole numbers there.
    fn linear_loss(&self, (least, greatest): (f64, f64)) -> Option<String> {
        let largest = match least.abs() > greatest.abs() {
            true => least,
            false => greatest,
        };
        (self.in_linear_leaf && largest.abs() >= WHOLE)
            .then(|| at_steps(&format!("values up to {largest} in a linear leaf"), largest))
    }
}

/// Appends to `what` the distance between float32 numbers at `value`.
fn at_steps(what: &str, value: f64) -> String {
    let step = step(value.abs());
    format!("{what}, where float32 numbers are {step} apart")
}

/// Returns whether the threshold can lie halfway between two float32 numbers of the training data,
/// which must lie between `below` and `above`: the next thresholds, or the ends of the training
/// data. True for any threshold beyond float32's range.
fn is_halfway(threshold: f64, below: Option<f64>, above: Option<f64>) -> bool {
    // Towards zero, float32 numbers are closer together.
    let nearest = match threshold > 0.0 {
        true => below.map_or(0.0, |value| value.min(threshold)),
        false => above.map_or(0.0, |value| -value.max(threshold)),
    };
    if nearest < f64::from(f32::MIN_POSITIVE) || threshold.abs() > f64::from(f32::MAX) {
        return true;
    }
    let half = step(nearest) / 2.0;
    // LightGBM rounds up to the next float64.
    [threshold, threshold.next_down()]
        .iter()
        .any(|value| (value / half).fract() == 0.0)
}

/// Returns the greatest float32 number that is not above `value`.
fn floor(value: f64) -> f64 {
    let near = value as f32;
    match f64::from(near) > value {
        true => near.next_down().into(),
        false => near.into(),
    }
}

/// Returns the distance between float32 numbers at a positive value.
fn step(value: f64) -> f64 {
    let below = floor(value) as f32;
    f64::from(below.next_up()) - f64::from(below)
}
