//! Whether a model's thresholds tell numbers apart that float32 cannot.
//!
//! LightGBM puts a threshold halfway between two neighbouring values of its training data. If those are float32
//! numbers, two rules hold for the thresholds of a feature:
//!
//! 1. Between two thresholds lies a float32 number.
//! 2. A threshold is a multiple of half the distance between float32 numbers, that distance taken at the value nearest
//!    to zero that the threshold can lie beside: the feature's next threshold towards zero or, without one, the least
//!    (greatest, if negative) value of the training data.
//!
//! A model that breaks the first rule, or the second one with a threshold of 2^24 or more (times in seconds, ids:
//! float32 has not every whole number there), needs doubles: rounded inputs fall on the wrong side of a threshold. A
//! threshold below 2^24 may break the second rule: ordinary fractions such as 0.1 do, and few inputs lie close to it.

use crate::model_file::Fields;

/// From here on float32 lacks whole numbers.
const WHOLE: f64 = 16_777_216.0;

/// The first feature with a threshold that needs doubles, in words; `None` if there is none.
///
/// `text` must be a model that [`check`](crate::model_file::check) accepts.
pub(crate) fn loss(text: &str) -> Option<String> {
    let (header, trees) = text.split_once("\nTree=")?;
    let ends = ["\nend of trees", "\nfeature importances:"];
    let trees = ends.iter().fold(trees, |trees, end| {
        trees.split(end).next().unwrap_or_default()
    });
    let header = Fields::read(header);
    let mut features = Vec::new();
    for tree in trees.split("\nTree=") {
        collect(&Fields::read(tree), &mut features);
    }
    let ranges: Vec<String> = header.list("feature_infos").unwrap_or_default();
    let names: Vec<String> = header.list("feature_names").unwrap_or_default();
    let mut features = features.into_iter().enumerate();
    features.find_map(|(index, mut thresholds)| {
        thresholds.sort_unstable_by(f64::total_cmp);
        thresholds.dedup();
        let feature = Feature {
            range: ranges.get(index).and_then(|range| parse_range(range)),
            thresholds,
        };
        let name = names.get(index);
        let name = name.map_or_else(|| index.to_string(), |name| format!("{name:?}"));
        Some(format!("feature {name} has {}", feature.lost()?))
    })
}

/// The thresholds of a feature, ascending, and the least and greatest value that it was trained on, if the model tells.
struct Feature {
    thresholds: Vec<f64>,
    range: Option<(f64, f64)>,
}

/// Adds a tree's thresholds to those of each feature; a node that splits by categories has none.
fn collect(tree: &Fields, features: &mut Vec<Vec<f64>>) {
    let split: Vec<usize> = tree.list("split_feature").unwrap_or_default();
    let thresholds: Vec<f64> = tree.list("threshold").unwrap_or_default();
    let decisions: Vec<i8> = tree.list("decision_type").unwrap_or_default();
    for ((feature, threshold), decision) in split.into_iter().zip(thresholds).zip(decisions) {
        if decision & 1 == 0 {
            if features.len() <= feature {
                features.resize(feature + 1, Vec::new());
            }
            features[feature].push(threshold);
        }
    }
}

/// `[1700000000:1700001999]`; anything else is no range of numbers.
fn parse_range(text: &str) -> Option<(f64, f64)> {
    let (least, greatest) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    Some((least.parse().ok()?, greatest.parse().ok()?))
}

impl Feature {
    /// The first threshold that breaks a rule, in words.
    fn lost(&self) -> Option<String> {
        let places = self.thresholds.iter().enumerate();
        let mut lost = places.filter_map(|(place, &threshold)| {
            let below = place.checked_sub(1).map(|place| self.thresholds[place]);
            let above = self.thresholds.get(place + 1).copied();
            match below {
                Some(below) if floor(threshold) <= below => {
                    Some(format!("thresholds at {below} and {threshold}"))
                }
                _ if threshold.abs() < WHOLE => None,
                _ => (!self.is_halfway(threshold, below, above))
                    .then(|| format!("a threshold at {threshold}")),
            }
            .map(|what| {
                format!(
                    "{what}, where float32 numbers are {} apart",
                    step(threshold.abs())
                )
            })
        });
        lost.next()
    }

    /// Whether two float32 numbers can have this threshold halfway between them, when no training value but theirs lies
    /// between the thresholds `below` and `above`. Beyond float32's range anything can be.
    fn is_halfway(&self, threshold: f64, below: Option<f64>, above: Option<f64>) -> bool {
        let (least, greatest) = self.range.unzip();
        // The side towards zero, where float32's steps are shorter.
        let nearest = match threshold > 0.0 {
            true => below.or(least).map_or(0.0, |value| value.min(threshold)),
            false => above
                .or(greatest)
                .map_or(0.0, |value| -value.max(threshold)),
        };
        if nearest < f64::from(f32::MIN_POSITIVE) || threshold.abs() > f64::from(f32::MAX) {
            return true;
        }
        let half = step(nearest) / 2.0;
        // LightGBM takes the next float64 above what lies halfway.
        [threshold, threshold.next_down()]
            .iter()
            .any(|value| (value / half).fract() == 0.0)
    }
}

/// The greatest float32 number that is not above `value`.
fn floor(value: f64) -> f64 {
    let near = value as f32;
    match f64::from(near) > value {
        true => near.next_down().into(),
        false => near.into(),
    }
}

/// The distance between float32 numbers at a positive value.
fn step(value: f64) -> f64 {
    let below = floor(value) as f32;
    f64::from(below.next_up()) - f64::from(below)
}
