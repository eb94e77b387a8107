//! Classification: the class that an output names, and the accuracy.

use serde::{Deserialize, Serialize};

use crate::{DataType, Output};

/// Number of labelled inputs that a model classified correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Correctly classified inputs.
    pub right: u64,
    /// All inputs.
    pub of: u64,
}

/// Reason why an output names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAClass {
    /// The output is neither a label nor scores.
    #[error("an output of {0} names no class: a classifier returns strings, floats or doubles")]
    Type(DataType),
    /// The number of scores is not that of the classes, nor one score for two classes.
    #[error(
        "{scores} scores do not match {classes} classes: train the artifact with `cargo xtask train`, \
         or list its classes in the .json file beside it"
    )]
    Scores {
        /// Number of scores in the output.
        scores: usize,
        /// Number of classes of the artifact.
        classes: usize,
    },
    /// A score is NaN.
    #[error("a score is NaN")]
    NotANumber,
}

impl Accuracy {
    /// Returns the share of correctly classified inputs, 0 to 1; 0 if there are no inputs.
    pub fn share(self) -> f64 {
        self.right as f64 / self.of.max(1) as f64
    }
}

impl Output {
    /// Returns the class that the output names.
    ///
    /// A text is the class itself. Of one score per class, the highest counts, the first of equal
    /// ones. A single score for two classes is the probability of the second.
    ///
    /// # Errors
    /// If the output has another type or another number of scores, or a score is NaN.
    pub fn class<'a>(&'a self, classes: &'a [String]) -> Result<&'a str, NotAClass> {
        let scores: Vec<f64> = match self {
            Output::Text(label) => return Ok(label),
            Output::Floats(scores) => scores.iter().copied().map(f64::from).collect(),
            Output::Doubles(scores) => scores.clone(),
            other => return Err(NotAClass::Type(other.data_type())),
        };
        if scores.iter().any(|score| score.is_nan()) {
            return Err(NotAClass::NotANumber);
        }
        if let ([score], [first, second]) = (&scores[..], classes) {
            return Ok(if *score > 0.5 { second } else { first });
        }
        let pairs = scores.iter().zip(classes);
        let best = pairs.reduce(|best, other| if other.0 > best.0 { other } else { best });
        match best {
            Some((_, class)) if scores.len() == classes.len() => Ok(class),
            _ => Err(NotAClass::Scores {
                scores: scores.len(),
                classes: classes.len(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn text_names_the_class_and_the_first_highest_score_wins() {
        let classes = names(["cat", "dog", "owl"]);
        let class = |scores: [f32; 3]| {
            Output::Floats(scores.into())
                .class(&classes)
                .map(str::to_owned)
        };
        assert_eq!(class([0.1, 0.7, 0.2]), Ok("dog".to_owned()));
        assert_eq!(class([-3.0, -2.0, -2.0]), Ok("dog".to_owned()));
        assert_eq!(class([0.0; 3]), Ok("cat".to_owned()));
        assert_eq!(class([0.0, f32::NAN, 1.0]), Err(NotAClass::NotANumber));
        assert_eq!(Output::Text("emu".into()).class(&classes), Ok("emu"));
    }

    #[test]
    fn a_single_score_is_the_second_classs_probability() {
        let classes = names(["no", "yes"]);
        for (score, class) in [(0.2, "no"), (0.5, "no"), (0.51, "yes")] {
            assert_eq!(Output::Floats(vec![score]).class(&classes), Ok(class));
        }
        assert_eq!(Output::Floats(vec![0.2, 0.8]).class(&classes), Ok("yes"));
    }

    #[test]
    fn doubles_are_compared_in_double_precision() {
        let classes = names(["no", "yes"]);
        let close = Output::Doubles(vec![0.5, 0.5 + 1e-12]);
        assert_eq!(close.class(&classes), Ok("yes"));
    }

    #[test]
    fn an_output_that_does_not_match_the_classes_names_none() {
        let classes = names(["a", "b", "c"]);
        for scores in [0, 1, 2, 4] {
            let output = Output::Floats(vec![0.0; scores]);
            assert_eq!(
                output.class(&classes),
                Err(NotAClass::Scores { scores, classes: 3 })
            );
        }
        let ints = Output::Ints(vec![1]);
        assert_eq!(ints.class(&classes), Err(NotAClass::Type(DataType::Ints)));
        assert!(Output::Floats(vec![1.0]).class(&[]).is_err());
    }
}
