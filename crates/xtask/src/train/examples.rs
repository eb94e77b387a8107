//! Labelled features, for training or for testing.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
};

use model::{Batch, DataType, Model, Output};
use npyz::WriterBuilder;
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{files::Files, pictures::enough};

/// Inputs per call of a classifier.
const BATCH: usize = 64;

/// Features `[pictures, features]`, and the index of each picture's class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Examples {
    pub(crate) features: Vec<f32>,
    pub(crate) labels: Vec<usize>,
}

impl Examples {
    pub(crate) fn push(&mut self, features: &[f32], label: usize) {
        self.features.extend(features);
        self.labels.push(label);
    }

    /// Features of one picture.
    pub(crate) fn width(&self) -> usize {
        self.features.len() / self.labels.len().max(1)
    }

    /// Splits each class into training examples and a held-out `share`, with at least one example in each. The choice
    /// depends on `seed` only. Both parts keep their order.
    pub(crate) fn split(
        &self,
        classes: &[String],
        share: f64,
        seed: u64,
    ) -> anyhow::Result<(Examples, Examples)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut is_held_out = vec![false; self.labels.len()];
        for (class, name) in classes.iter().enumerate() {
            let rows = 0..self.labels.len();
            let mut members: Vec<_> = rows.filter(|&row| self.labels[row] == class).collect();
            enough(name, members.len())?;
            let count = (members.len() as f64 * share).round() as usize;
            members.shuffle(&mut random);
            for &row in &members[..count.clamp(1, members.len() - 1)] {
                is_held_out[row] = true;
            }
        }
        let mut halves = (Examples::default(), Examples::default());
        let rows = self.features.chunks_exact(self.width());
        for ((features, &label), is_held_out) in rows.zip(&self.labels).zip(is_held_out) {
            let half = if is_held_out {
                &mut halves.1
            } else {
                &mut halves.0
            };
            half.push(features, label);
        }
        Ok(halves)
    }

    /// Outputs of the model, one per example.
    pub(crate) fn predict(&self, model: &mut dyn Model) -> anyhow::Result<Vec<Output>> {
        let bytes: Vec<u8> = self
            .features
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let inputs: Vec<&[u8]> = bytes.chunks_exact(4 * self.width()).collect();
        let mut outputs = Vec::new();
        for inputs in inputs.chunks(BATCH) {
            let batch = Batch {
                data_type: DataType::Floats,
                inputs: inputs.to_vec(),
            };
            for answer in model.predict(&batch)? {
                outputs.push(answer?);
            }
        }
        Ok(outputs)
    }

    /// Writes features and labels to the files that a benchmark reads as inputs.
    pub(crate) fn save(&self, classes: &[String], files: &Files) -> anyhow::Result<()> {
        let shape = [self.labels.len() as u64, self.width() as u64];
        let mut file = BufWriter::new(File::create(&files.inputs)?);
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut file)
            .begin_nd()?;
        writer.extend(&self.features)?;
        writer.finish()?;
        file.flush()?;
        let lines = self
            .labels
            .iter()
            .map(|&label| format!("{}\n", classes[label]));
        Ok(fs::write(&files.labels, lines.collect::<String>())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of two features that encode the example's index.
    fn examples(labels: &[usize]) -> Examples {
        let mut examples = Examples::default();
        for (number, &label) in labels.iter().enumerate() {
            examples.push(&[number as f32, 0.5], label);
        }
        examples
    }

    fn split(labels: &[usize], share: f64, seed: u64) -> (Examples, Examples) {
        let classes = ["cat", "owl"].map(str::to_owned);
        examples(labels).split(&classes, share, seed).unwrap()
    }

    #[test]
    fn a_share_of_each_class_is_held_out() {
        let labels = [vec![0; 8], vec![1; 80]].concat();
        let (train, held_out) = split(&labels, 0.25, 1);
        let of = |half: &Examples, class| half.labels.iter().filter(|&&l| l == class).count();
        assert_eq!((of(&held_out, 0), of(&held_out, 1)), (2, 20));
        assert_eq!((of(&train, 0), of(&train, 1)), (6, 60));
        let mut numbers: Vec<_> = [train.features, held_out.features].concat();
        numbers.retain(|&value| value != 0.5);
        numbers.sort_by(f32::total_cmp);
        assert!(
            numbers
                .iter()
                .copied()
                .eq((0..88).map(|number| number as f32))
        );
    }

    #[test]
    fn the_split_depends_on_the_seed_only() {
        let labels = [vec![0; 20], vec![1; 20]].concat();
        assert_eq!(split(&labels, 0.5, 1), split(&labels, 0.5, 1));
        assert_ne!(split(&labels, 0.5, 1), split(&labels, 0.5, 2));
    }

    #[test]
    fn the_smallest_class_has_an_example_in_both_parts() {
        for share in [0.01, 0.99] {
            let (train, held_out) = split(&[0, 1, 0, 1], share, 1);
            assert_eq!((train.labels, held_out.labels), (vec![0, 1], vec![0, 1]));
        }
        let classes = ["cat", "owl"].map(str::to_owned);
        let error = examples(&[0, 0, 1]).split(&classes, 0.5, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("class owl has too few usable pictures (1)"),
            "{error}"
        );
    }
}
