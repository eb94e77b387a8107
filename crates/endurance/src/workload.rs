//! Inputs of queries, and the check of their answers.

use std::{hash::Hasher, sync::OnceLock};

use model::{DataType, Output};
use rustc_hash::FxHasher;

/// Inputs of one application, with their correct answers.
#[derive(Debug)]
pub enum Workload {
    /// Each query has a unique input, and its answer is the input's [`digest`], so that swapped answers are
    /// detected.
    Digest {
        /// Lengths of the inputs in elements, used in turn; at least 2.
        lengths: Vec<usize>,
    },
    /// A fixed list of inputs, used in turn. The first answer to an input is the reference for later ones.
    Known {
        /// Type of the inputs.
        input_type: DataType,
        /// Inputs.
        inputs: Vec<Vec<u8>>,
        /// Reference answer of each input, once known.
        answers: Vec<OnceLock<Output>>,
    },
}

/// Maximum difference of two answers to an input, relative to the largest value: a network computes batches
/// of different sizes in a different order.
const TOLERANCE: f32 = 1e-5;

impl Workload {
    /// Creates a fixed list of inputs; the first answers become the references.
    pub fn known(input_type: DataType, inputs: Vec<Vec<u8>>) -> Workload {
        Workload::Known {
            input_type,
            answers: inputs.iter().map(|_| OnceLock::new()).collect(),
            inputs,
        }
    }

    /// Creates a fixed list of inputs that all have this answer.
    pub fn with_answer(input_type: DataType, inputs: Vec<Vec<u8>>, answer: &Output) -> Workload {
        Workload::Known {
            input_type,
            answers: inputs.iter().map(|_| answer.clone().into()).collect(),
            inputs,
        }
    }

    /// Type of the inputs.
    pub fn input_type(&self) -> DataType {
        match self {
            Workload::Digest { .. } => DataType::Ints,
            Workload::Known { input_type, .. } => *input_type,
        }
    }

    /// Returns the input of a client's query.
    pub fn input(&self, client: u32, number: u32) -> Vec<u8> {
        match self {
            Workload::Digest { lengths } => {
                let length = lengths[number as usize % lengths.len()];
                let mut input = vec![7; 4 * length];
                input[..4].copy_from_slice(&number.to_le_bytes());
                input[4..8].copy_from_slice(&client.to_le_bytes());
                input
            }
            Workload::Known { inputs, .. } => inputs[number as usize % inputs.len()].clone(),
        }
    }

    /// Returns true if `output` is the correct answer to a client's query.
    pub fn is_correct(&self, client: u32, number: u32, output: &Output) -> bool {
        match self {
            Workload::Digest { .. } => {
                *output == Output::Ints(digest(&self.input(client, number)).into())
            }
            Workload::Known { answers, .. } => {
                let answer = &answers[number as usize % answers.len()];
                equals(answer.get_or_init(|| output.clone()), output)
            }
        }
    }
}

/// Answer of the model server `digest` to an input.
pub fn digest(input: &[u8]) -> [i32; 2] {
    let mut hasher = FxHasher::default();
    hasher.write(input);
    let hash = hasher.finish();
    [hash as i32, (hash >> 32) as i32]
}

/// Compares two answers, with a tolerance for floats.
fn equals(one: &Output, other: &Output) -> bool {
    let (Output::Floats(one), Output::Floats(other)) = (one, other) else {
        return one == other;
    };
    let largest = one.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * largest;
    one.len() == other.len() && one.iter().zip(other).all(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_correct_for_one_query_of_one_client() {
        let workload = Workload::Digest {
            lengths: vec![2, 10, 2_000],
        };
        let answer = |client, number| Output::Ints(digest(&workload.input(client, number)).into());
        for number in 0..6 {
            assert!(workload.is_correct(3, number, &answer(3, number)));
            assert!(!workload.is_correct(3, number, &answer(3, number + 1)));
            assert!(!workload.is_correct(3, number, &answer(4, number)));
        }
    }

    #[test]
    fn the_first_answer_to_an_input_is_the_reference() {
        let workload = Workload::known(DataType::Bytes, vec![vec![1], vec![2]]);
        let one = Output::Floats(vec![1.0, 100.0]);
        let near = Output::Floats(vec![1.0001, 100.0]);
        let other = Output::Floats(vec![1.1, 100.0]);
        assert!(workload.is_correct(0, 0, &one) && workload.is_correct(0, 1, &other));
        assert!(workload.is_correct(9, 2, &near) && workload.is_correct(9, 3, &other));
        assert!(!workload.is_correct(0, 2, &other) && !workload.is_correct(0, 3, &one));
        assert!(!workload.is_correct(0, 2, &Output::Floats(vec![1.0])));
        assert!(!workload.is_correct(0, 2, &Output::Text("1.0".into())));
    }
}
