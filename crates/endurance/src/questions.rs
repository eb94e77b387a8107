//! What is asked, and which answers belong to it.

use std::{hash::Hasher, sync::OnceLock};

use model::{DataType, Output};
use rustc_hash::FxHasher;

/// What the clients of one application ask.
#[derive(Debug)]
pub enum Questions {
    /// Each query has an input of its own, and its answer is the input's [`digest`]: no answer can pass for another's.
    Digest {
        /// The lengths of the inputs, in turn; 2 at least.
        lengths: Vec<usize>,
    },
    /// Inputs in turn. What an input is answered with first is what it must be answered with always.
    Known {
        /// The type of the inputs.
        input_type: DataType,
        /// The inputs. A clone shares the bytes, within a thread.
        inputs: Vec<Vec<u8>>,
        /// As many, once they are known.
        answers: Vec<OnceLock<Output>>,
    },
}

/// So far may two answers to an input be apart, as a share of the largest value: a network computes a batch of two in
/// another order than a batch of one.
const TOLERANCE: f32 = 1e-5;

impl Questions {
    /// Inputs that are asked in turn.
    pub fn known(input_type: DataType, inputs: Vec<Vec<u8>>) -> Questions {
        Questions::Known {
            input_type,
            answers: inputs.iter().map(|_| OnceLock::new()).collect(),
            inputs,
        }
    }

    /// The same where every answer is known to be this.
    pub fn answered(input_type: DataType, inputs: Vec<Vec<u8>>, answer: &Output) -> Questions {
        Questions::Known {
            input_type,
            answers: inputs.iter().map(|_| answer.clone().into()).collect(),
            inputs,
        }
    }

    /// The type of the inputs.
    pub fn input_type(&self) -> DataType {
        match self {
            Questions::Digest { .. } => DataType::Ints,
            Questions::Known { input_type, .. } => *input_type,
        }
    }

    /// The input of a client's query.
    pub fn input(&self, client: u32, number: u32) -> Vec<u8> {
        match self {
            Questions::Digest { lengths } => {
                let length = lengths[number as usize % lengths.len()];
                let mut input = vec![7; 4 * length];
                input[..4].copy_from_slice(&number.to_le_bytes());
                input[4..8].copy_from_slice(&client.to_le_bytes());
                input
            }
            Questions::Known { inputs, .. } => inputs[number as usize % inputs.len()].clone(),
        }
    }

    /// Whether this answers the client's query.
    pub fn is_right(&self, client: u32, number: u32, output: &Output) -> bool {
        match self {
            Questions::Digest { .. } => {
                *output == Output::Ints(digest(&self.input(client, number)).into())
            }
            Questions::Known { answers, .. } => {
                let answer = &answers[number as usize % answers.len()];
                same(answer.get_or_init(|| output.clone()), output)
            }
        }
    }
}

/// What the model server `digest` answers to an input.
pub fn digest(input: &[u8]) -> [i32; 2] {
    let mut hasher = FxHasher::default();
    hasher.write(input);
    let hash = hasher.finish();
    [hash as i32, (hash >> 32) as i32]
}

fn same(one: &Output, other: &Output) -> bool {
    let (Output::Floats(one), Output::Floats(other)) = (one, other) else {
        return one == other;
    };
    let largest = one
        .iter()
        .fold(0.0, |most: f32, value| most.max(value.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * largest;
    one.len() == other.len() && one.iter().zip(other).all(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_one_query_of_one_client() {
        let questions = Questions::Digest {
            lengths: vec![2, 10, 2_000],
        };
        let answer = |client, number| Output::Ints(digest(&questions.input(client, number)).into());
        for number in 0..6 {
            assert!(questions.is_right(3, number, &answer(3, number)));
            assert!(!questions.is_right(3, number, &answer(3, number + 1)));
            assert!(!questions.is_right(3, number, &answer(4, number)));
        }
    }

    #[test]
    fn the_first_answer_to_an_input_is_what_it_must_be_answered_with() {
        let questions = Questions::known(DataType::Bytes, vec![vec![1], vec![2]]);
        let one = Output::Floats(vec![1.0, 100.0]);
        let near = Output::Floats(vec![1.0001, 100.0]);
        let other = Output::Floats(vec![1.1, 100.0]);
        assert!(questions.is_right(0, 0, &one) && questions.is_right(0, 1, &other));
        assert!(questions.is_right(9, 2, &near) && questions.is_right(9, 3, &other));
        assert!(!questions.is_right(0, 2, &other) && !questions.is_right(0, 3, &one));
        assert!(!questions.is_right(0, 2, &Output::Floats(vec![1.0])));
        assert!(!questions.is_right(0, 2, &Output::Text("1.0".into())));
    }
}
