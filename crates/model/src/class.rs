//! Classifiers: which class an output names, and how often it is the right one.

use serde::{Deserialize, Serialize};

use crate::{DataType, Output};

/// How many of some labelled inputs a model named rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Inputs whose label was named.
    pub right: u64,
    /// Inputs.
    pub of: u64,
}

/// An output that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAClass {
    /// Neither a label nor scores.
    #[error("an output of {0} names no class: a classifier answers strings, floats or doubles")]
    Type(DataType),
    /// As many scores as there are classes (or one for two) would say which is which.
    #[error(
        "{scores} scores do not say which of {classes} classes is meant: train the artifact with `cargo xtask train`, \
         or list its classes in the .json file beside it"
    )]
    Scores {
        /// Numbers in the output.
        scores: usize,
        /// Classes of the artifact.
        classes: usize,
    },
    /// A score is NaN.
    #[error("a score is not a number")]
    NotANumber,
}

impl Accuracy {
    /// The share of inputs named rightly, 0 to 1; 0 of none.
    pub fn share(self) -> f64 {
        self.right as f64 / self.of.max(1) as f64
    }
}

impl Output {
    /// The class that the output names: the text itself, the first with the highest of as many scores as there are
    /// `classes`, or, where a single score is the probability of the second of two, the likelier one.
    ///
    /// # Errors
    /// If the output is of another type, its scores are not as many as the classes, or one is NaN.
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
    fn text_is_the_class_and_of_scores_the_first_highest_is() {
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
    fn one_score_for_two_classes_is_the_probability_of_the_second() {
        let classes = names(["no", "yes"]);
        for (score, class) in [(0.2, "no"), (0.5, "no"), (0.51, "yes")] {
            assert_eq!(Output::Floats(vec![score]).class(&classes), Ok(class));
        }
        assert_eq!(Output::Floats(vec![0.2, 0.8]).class(&classes), Ok("yes"));
    }

    #[test]
    fn doubles_name_a_class_by_digits_that_floats_lack() {
        let classes = names(["no", "yes"]);
        let close = Output::Doubles(vec![0.5, 0.5 + 1e-12]);
        assert_eq!(close.class(&classes), Ok("yes"));
    }

    #[test]
    fn an_output_that_does_not_fit_the_classes_names_none() {
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
