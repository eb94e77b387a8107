//! Decides on loading whether a network can be served in batches, from the declared shapes and by
//! computing sample pictures.
//!
//! A declared shape can only rule batches out: an open dimension may be anything, whatever its
//! name. The check therefore computes three sample pictures, each alone and all in one call: noise,
//! dark blocks, and black (in which a detector finds nothing). Pictures are served in batches only
//! if in every call the first dimension of the chosen output is the number of pictures, and a
//! picture's row is the same in every call.
//!
//! Equal rows prove nothing. If any two of the three are equal, the check adds a white picture and
//! a gradient. If all rows are equal then, the network is served one picture per call.
//!
//! Rounding depends on the number of pictures. Rows of the same picture match if no value differs
//! by more than 1 % of the largest value, nor by more than a quarter of the smallest difference
//! between two unequal rows.
//!
//! The check does not cover other pictures or other batch sizes. A later call whose first dimension
//! is not the number of pictures is an error; an output is never split by the number of its values.

mod sample_picture;

use std::slice::ChunksExact;

use crate::{
    Network,
    engine::{EngineError, EngineOutput, InferenceEngine},
    network::NetworkPort,
};
use sample_picture::SamplePicture;

/// Largest difference of a value between two calls, relative to the largest value of all sample
/// pictures. Another number of pictures may use another kernel, which rounds differently: by about
/// 1e-6 in float32, and 1e-3 in a float16 network.
const TOLERANCE: f32 = 1e-2;

/// Rows of different pictures count as equal up to this difference, relative to the largest value:
/// rounding may cause it.
const EQUAL: f32 = 4e-6;

/// Number of pictures in one call of the engine, and layout of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    /// Any number of pictures; row `i` of the output belongs to picture `i`.
    Any,
    /// Exactly this number of pictures, padded with arbitrary ones; row `i` belongs to picture `i`.
    Fixed(usize),
    /// One picture; the whole output belongs to it.
    Single,
}

impl Batching {
    /// Returns the number of pictures in one call; `None` for any number.
    pub(crate) fn pictures(self) -> Option<usize> {
        match self {
            Batching::Any => None,
            Batching::Fixed(pictures) => Some(pictures),
            Batching::Single => Some(1),
        }
    }
}

/// Result of the check.
#[derive(Debug)]
pub(crate) struct BatchingPlan {
    /// Batching to serve the network with.
    pub(crate) batching: Batching,
    /// Reason why a network that takes any number of pictures is served one picture per call.
    pub(crate) single_reason: Option<String>,
}

/// Chooses the batching of the network, whose chosen output is declared as `output`.
///
/// Calls the engine four times: three times with one picture, and once with four or with the
/// network's fixed batch. Calls it more often if that batch is small, or if any rows are equal.
///
/// # Errors
/// The reason why the network cannot be served.
pub(crate) fn choose(
    engine: &mut dyn InferenceEngine,
    network: &Network,
    output: &NetworkPort,
) -> Result<BatchingPlan, String> {
    let mut check = RowCheck {
        engine,
        network,
        samples: Vec::new(),
    };
    check.find_output()?;
    if network.batch == Some(1) {
        return Ok(plan(Batching::Single, None));
    }
    let one_row_each = check_declared(network, output).and_then(|()| check.check_rows());
    match (one_row_each, network.batch) {
        (Ok(()), None) => Ok(plan(Batching::Any, None)),
        (Ok(()), Some(fixed)) => Ok(plan(Batching::Fixed(fixed), None)),
        (Err(reason), None) => Ok(plan(Batching::Single, Some(reason))),
        (Err(reason), Some(fixed)) => Err(format!(
            "it takes {fixed} pictures per call, but its output may not be one row per picture: {reason}; \
             export it for one picture, or for any number"
        )),
    }
}

fn plan(batching: Batching, single_reason: Option<String>) -> BatchingPlan {
    BatchingPlan {
        batching,
        single_reason,
    }
}

/// Returns an error if the declared shape of the output rules out one row per picture.
fn check_declared(network: &Network, output: &NetworkPort) -> Result<(), String> {
    match output.shape.first() {
        Some(&Some(rows)) if rows > 0 && Some(rows) != network.batch => Err(format!(
            "its {} declares {rows} as its first dimension, not the number of pictures",
            output.describe("output")
        )),
        _ => Ok(()),
    }
}

/// The engine, and the sample pictures that it has computed alone.
struct RowCheck<'a> {
    engine: &'a mut dyn InferenceEngine,
    network: &'a Network,
    samples: Vec<SampleOutput>,
}

/// A sample picture, and its output when computed alone.
struct SampleOutput {
    picture: SamplePicture,
    tensor: Vec<f32>,
    /// Output of a call with this picture only; it fills every place of a fixed batch.
    alone: Result<EngineOutput, String>,
}

impl RowCheck<'_> {
    /// Computes the first sample pictures until one has a non-empty output; fails if none has.
    fn find_output(&mut self) -> Result<(), String> {
        for picture in SamplePicture::FIRST {
            let sample = self.compute_alone(picture);
            if matches!(&sample.alone, Ok(output) if !output.values.is_empty()) {
                return Ok(());
            }
        }
        let EngineOutput { shape, .. } = self.samples[0].alone.clone()?;
        Err(format!(
            "its output is empty for noise and for a black picture: its shape is {shape:?}; check --mean and --std"
        ))
    }

    /// Computes a sample picture alone.
    fn compute_alone(&mut self, picture: SamplePicture) -> &SampleOutput {
        let tensor = picture.tensor(self.network);
        let places = self.network.batch.unwrap_or(1);
        let alone = run(self.engine, self.network, &tensor.repeat(places));
        let alone = alone.map_err(|error| match places {
            1 => format!("it fails on one picture ({}): {error}", picture.name()),
            _ => format!("it fails on {places} pictures: {error}"),
        });
        self.samples.push(SampleOutput {
            picture,
            tensor,
            alone,
        });
        &self.samples[self.samples.len() - 1]
    }

    /// Returns an error unless the output is proven to be one row per picture.
    fn check_rows(&mut self) -> Result<(), String> {
        for &picture in &SamplePicture::FIRST[self.samples.len()..] {
            self.compute_alone(picture);
        }
        let mut differences = Differences::between(&self.rows()?);
        if differences.some_equal {
            for picture in SamplePicture::MORE {
                self.compute_alone(picture);
            }
            differences = Differences::between(&self.rows()?);
        }
        self.compare_alone(differences.tolerance())?;
        self.compare_together(differences.tolerance())?;
        match differences.smallest {
            Some(_) => Ok(()),
            None => Err("its output is the same for every sample picture".to_owned()),
        }
    }

    /// Returns the row of every sample picture when computed alone.
    fn rows(&self) -> Result<Vec<&[f32]>, String> {
        let rows = self.samples.iter().map(|sample| sample.row(self.network));
        rows.collect()
    }

    /// Returns an error if a picture's row depends on its place in a fixed batch of that picture.
    fn compare_alone(&self, tolerance: f32) -> Result<(), String> {
        for sample in &self.samples {
            let first = sample.row(self.network)?;
            let mut rows = sample.rows(self.network)?;
            rows.try_for_each(|row| check_equal(row, first, tolerance))?;
        }
        Ok(())
    }

    /// Returns an error if a picture's row depends on the other pictures of a call.
    ///
    /// The first picture comes first and last, so that no sorting network can reproduce the order.
    /// If a fixed batch is too small for that, each picture takes the first place in one call.
    fn compare_together(&mut self, tolerance: f32) -> Result<(), String> {
        let count = self.samples.len();
        let places = self.network.batch.unwrap_or(count + 1);
        let calls = if places > count { 1 } else { count };
        for first in 0..calls {
            let call: Vec<_> = (first..first + places).map(|place| place % count).collect();
            let tensors = call.iter().map(|&number| &*self.samples[number].tensor);
            let tensor = tensors.collect::<Vec<_>>().concat();
            let output = run(self.engine, self.network, &tensor)
                .map_err(|error| format!("it fails on {places} pictures in one call: {error}"))?;
            for (row, &number) in output.rows(places)?.zip(&call) {
                check_equal(row, self.samples[number].row(self.network)?, tolerance)?;
            }
        }
        Ok(())
    }
}

impl SampleOutput {
    /// Returns the picture's row when computed alone; the first row of a fixed batch.
    fn row(&self, network: &Network) -> Result<&[f32], String> {
        Ok(self.rows(network)?.next().unwrap_or_default())
    }

    /// Returns the rows of all places that the picture fills when computed alone.
    fn rows(&self, network: &Network) -> Result<ChunksExact<'_, f32>, String> {
        let alone = self.alone.as_ref().map_err(String::clone)?;
        let rows = alone.rows(network.batch.unwrap_or(1));
        rows.map_err(|reason| format!("{reason} (sample picture: {})", self.picture.name()))
    }
}

/// Computes these pictures in one call; makes an error one line of text.
fn run(
    engine: &mut dyn InferenceEngine,
    network: &Network,
    pictures: &[f32],
) -> Result<EngineOutput, String> {
    let output = engine.run(network, pictures);
    output.map_err(|EngineError(error)| error.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Differences between the rows of different pictures.
struct Differences {
    /// Largest absolute value of all rows.
    largest: f32,
    /// True if any two rows are equal, up to [`EQUAL`].
    some_equal: bool,
    /// Smallest difference between two unequal rows; `None` if all rows are equal.
    smallest: Option<f32>,
}

impl Differences {
    /// Compares every row with every other row.
    fn between(rows: &[&[f32]]) -> Differences {
        let values = rows.iter().copied().flatten();
        let finite = values.filter(|value| value.is_finite());
        let largest = finite.fold(0.0_f32, |max, value| max.max(value.abs()));
        let mut differences = Differences {
            largest,
            some_equal: false,
            smallest: None,
        };
        for (place, row) in rows.iter().enumerate() {
            for other in &rows[..place] {
                let difference = difference(row, other);
                if difference > EQUAL * largest {
                    let smallest = differences.smallest.unwrap_or(f32::INFINITY);
                    differences.smallest = Some(smallest.min(difference));
                } else {
                    differences.some_equal = true;
                }
            }
        }
        differences
    }

    /// Returns the tolerance between rows of the same picture in different calls: a share of the
    /// largest value, and at most a quarter of the smallest difference, so that rows of different
    /// pictures never match.
    fn tolerance(&self) -> f32 {
        let quarter = self
            .smallest
            .map_or(f32::INFINITY, |smallest| smallest / 4.0);
        quarter.min(TOLERANCE * self.largest)
    }
}

/// Returns the largest difference between two rows' values; infinite if their lengths differ.
fn difference(row: &[f32], other: &[f32]) -> f32 {
    if row.len() != other.len() {
        return f32::INFINITY;
    }
    let values = row.iter().zip(other).map(|(&a, &b)| value_difference(a, b));
    values.fold(0.0, f32::max)
}

/// Returns the difference between two values: zero for two NaN, infinite for one.
fn value_difference(a: f32, b: f32) -> f32 {
    let difference = (a - b).abs();
    match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if difference.is_nan() => f32::INFINITY,
        false => difference,
    }
}

/// Returns an error if a picture's row differs from that of another call by more than the
/// tolerance.
fn check_equal(row: &[f32], expected: &[f32], tolerance: f32) -> Result<(), String> {
    if row.len() != expected.len() {
        let (now, before) = (row.len(), expected.len());
        return Err(format!(
            "a picture has {now} values in one call and {before} in another"
        ));
    }
    let mut values = row.iter().zip(expected);
    match values.find(|&(&a, &b)| value_difference(a, b) > tolerance) {
        None => Ok(()),
        Some((a, b)) => Err(format!(
            "a picture's values depend on its place and the other pictures of a call ({b} becomes {a})"
        )),
    }
}
