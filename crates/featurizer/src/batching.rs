//! Which part of an output belongs to which picture: found on loading, from the declared shapes and by a trial.
//!
//! A declared shape can only rule out one row per picture: the dimension that it leaves open may be anything, whatever
//! its name. The trial proves the rest, with three pictures (noise, dark blocks, black: a detector finds nothing in
//! that), each alone and all in one call. Pictures are served in batches only if in every call the first dimension of
//! the chosen output is the number of pictures, and the row of a picture is the same in all of them.
//!
//! Rows that are alike would prove nothing. If any two of the three are, a white picture and a gradient are tried as
//! well; if then all are, the network is served one picture a call.
//!
//! Rounding depends on the number of pictures, so a row counts as the same if no value differs by more than a hundredth
//! of the largest value, or by more than a quarter of the least difference between two rows that are not alike.
//!
//! Not proved: that the rows of other pictures, and of batches of other sizes, keep apart as those of the trial do. A
//! later call whose first dimension is not the number of pictures is an error: no output is split by the number of its
//! values.

mod trial_picture;

use std::slice::ChunksExact;

use crate::{
    Network,
    engine::{Engine, EngineError, EngineOutput},
    network::Port,
};
use trial_picture::TrialPicture;

/// Largest difference of a value between two calls, as a share of the largest value of all trial pictures. Another
/// number of pictures may take another kernel, which rounds differently: by about 1e-6 in float32, 1e-3 in a float16
/// network.
const TOLERANCE: f32 = 1e-2;

/// Rows of different pictures are alike if no value differs by more than this share of the largest value: that may be
/// rounding.
const ALIKE: f32 = 4e-6;

/// How many pictures one call of the engine takes, and what its output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    /// Any number of pictures; row `i` of the output belongs to picture `i`.
    Any,
    /// Exactly this number of pictures, unused places filled with anything; row `i` belongs to picture `i`.
    Fixed(usize),
    /// One picture; the whole output belongs to it.
    Single,
}

impl Batching {
    /// Number of pictures in one call; `None` is any number.
    pub(crate) fn pictures(self) -> Option<usize> {
        match self {
            Batching::Any => None,
            Batching::Fixed(pictures) => Some(pictures),
            Batching::Single => Some(1),
        }
    }
}

/// What the trial found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// How the network is served.
    pub(crate) batching: Batching,
    /// Why a network that takes any number of pictures is served one picture a call.
    pub(crate) why_single: Option<String>,
}

/// Finds out how to serve the network, whose chosen output is declared as `output`. Costs four calls of the engine,
/// three of one picture and one of four, or of the network's fixed batch; more if that is small, or any rows are alike.
///
/// # Errors
/// Why the network cannot be served, in words.
pub(crate) fn find(
    engine: &mut dyn Engine,
    network: &Network,
    output: &Port,
) -> Result<Finding, String> {
    let mut trial = Trial {
        engine,
        network,
        pictures: Vec::new(),
    };
    trial.find_an_answer()?;
    if network.batch == Some(1) {
        return Ok(served(Batching::Single, None));
    }
    let by_picture = declared(network, output).and_then(|()| trial.prove_rows());
    match (by_picture, network.batch) {
        (Ok(()), None) => Ok(served(Batching::Any, None)),
        (Ok(()), Some(fixed)) => Ok(served(Batching::Fixed(fixed), None)),
        (Err(why), None) => Ok(served(Batching::Single, Some(why))),
        (Err(why), Some(fixed)) => Err(format!(
            "it takes {fixed} pictures a call, but its output is not proven to be one row for each: {why}; \
             export it for one picture, or for any number"
        )),
    }
}

fn served(batching: Batching, why_single: Option<String>) -> Finding {
    Finding {
        batching,
        why_single,
    }
}

/// An error if the declared shape of the output rules out one row per picture.
fn declared(network: &Network, output: &Port) -> Result<(), String> {
    match output.shape.first() {
        Some(&Some(rows)) if rows > 0 && Some(rows) != network.batch => Err(format!(
            "its {} declares {rows} as its first dimension, not the number of pictures",
            output.describe("output")
        )),
        _ => Ok(()),
    }
}

/// The engine, and the pictures that it has computed alone.
struct Trial<'a> {
    engine: &'a mut dyn Engine,
    network: &'a Network,
    pictures: Vec<Tried>,
}

/// A picture, and what was computed of it alone.
struct Tried {
    picture: TrialPicture,
    tensor: Vec<f32>,
    /// The output of a call of its own, or of one with it in every place of a fixed batch.
    alone: Result<EngineOutput, String>,
}

impl Trial<'_> {
    /// Computes the first pictures until one has an output with values; an error if none has.
    fn find_an_answer(&mut self) -> Result<(), String> {
        for picture in TrialPicture::FIRST {
            let tried = self.compute_alone(picture);
            if matches!(&tried.alone, Ok(output) if !output.values.is_empty()) {
                return Ok(());
            }
        }
        let EngineOutput { shape, .. } = self.pictures[0].alone.clone()?;
        Err(format!(
            "its output for pictures of noise and a black one is empty: its shape is {shape:?}; check --mean and --std"
        ))
    }

    /// Computes a picture alone.
    fn compute_alone(&mut self, picture: TrialPicture) -> &Tried {
        let tensor = picture.tensor(self.network);
        let places = self.network.batch.unwrap_or(1);
        let alone = run(self.engine, self.network, &tensor.repeat(places));
        let alone = alone.map_err(|error| match places {
            1 => format!("it fails on one picture ({}): {error}", picture.name()),
            _ => format!("it fails on {places} pictures: {error}"),
        });
        self.pictures.push(Tried {
            picture,
            tensor,
            alone,
        });
        &self.pictures[self.pictures.len() - 1]
    }

    /// An error if the output is not one row for each picture, or that cannot be told.
    fn prove_rows(&mut self) -> Result<(), String> {
        for &picture in &TrialPicture::FIRST[self.pictures.len()..] {
            self.compute_alone(picture);
        }
        let mut differences = Differences::between(&self.rows()?);
        if differences.some_alike {
            for picture in TrialPicture::MORE {
                self.compute_alone(picture);
            }
            differences = Differences::between(&self.rows()?);
        }
        self.compare_alone(differences.tolerance())?;
        self.compare_together(differences.tolerance())?;
        match differences.least {
            Some(_) => Ok(()),
            None => Err("its output is the same for every trial picture".to_owned()),
        }
    }

    /// The row of every picture alone.
    fn rows(&self) -> Result<Vec<&[f32]>, String> {
        let rows = self.pictures.iter().map(|tried| tried.row(self.network));
        rows.collect()
    }

    /// An error if the row of a picture changes with its place in a fixed batch of that picture.
    fn compare_alone(&self, tolerance: f32) -> Result<(), String> {
        for tried in &self.pictures {
            let first = tried.row(self.network)?;
            let mut rows = tried.rows(self.network)?;
            rows.try_for_each(|row| same(row, first, tolerance))?;
        }
        Ok(())
    }

    /// An error if the row of a picture changes with the pictures beside it. In one call the first picture comes first
    /// and last, so that the rows are in no order by which a network could have sorted them; a fixed batch that is too
    /// small for that has each picture in the first place once.
    fn compare_together(&mut self, tolerance: f32) -> Result<(), String> {
        let count = self.pictures.len();
        let places = self.network.batch.unwrap_or(count + 1);
        let calls = if places > count { 1 } else { count };
        for first in 0..calls {
            let call: Vec<_> = (first..first + places).map(|place| place % count).collect();
            let tensors = call.iter().map(|&number| &*self.pictures[number].tensor);
            let tensor = tensors.collect::<Vec<_>>().concat();
            let output = run(self.engine, self.network, &tensor)
                .map_err(|error| format!("it fails on {places} pictures in one call: {error}"))?;
            for (row, &number) in output.rows(places)?.zip(&call) {
                same(row, self.pictures[number].row(self.network)?, tolerance)?;
            }
        }
        Ok(())
    }
}

impl Tried {
    /// The picture's row alone, the first if it fills a fixed batch.
    fn row(&self, network: &Network) -> Result<&[f32], String> {
        Ok(self.rows(network)?.next().unwrap_or_default())
    }

    /// The row of every place that the picture fills when it is computed alone.
    fn rows(&self, network: &Network) -> Result<ChunksExact<'_, f32>, String> {
        let alone = self.alone.as_ref().map_err(String::clone)?;
        let rows = alone.rows(network.batch.unwrap_or(1));
        rows.map_err(|why| format!("{why} (trial picture: {})", self.picture.name()))
    }
}

/// Computes these pictures in one call; an error is one line.
fn run(
    engine: &mut dyn Engine,
    network: &Network,
    pictures: &[f32],
) -> Result<EngineOutput, String> {
    let output = engine.run(network, pictures);
    output.map_err(|EngineError(error)| error.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// How far the rows of different pictures are apart.
struct Differences {
    /// The largest value of all rows.
    largest: f32,
    /// Whether any two rows are alike.
    some_alike: bool,
    /// The least difference between two rows that are not alike; `None` if all are.
    least: Option<f32>,
}

impl Differences {
    /// Compares every row with every other.
    fn between(rows: &[&[f32]]) -> Differences {
        let values = rows.iter().copied().flatten();
        let finite = values.filter(|value| value.is_finite());
        let largest = finite.fold(0.0_f32, |most, value| most.max(value.abs()));
        let mut differences = Differences {
            largest,
            some_alike: false,
            least: None,
        };
        for (place, row) in rows.iter().enumerate() {
            for other in &rows[..place] {
                let difference = difference(row, other);
                if difference > ALIKE * largest {
                    let least = differences.least.unwrap_or(f32::INFINITY);
                    differences.least = Some(least.min(difference));
                } else {
                    differences.some_alike = true;
                }
            }
        }
        differences
    }

    /// How far a row may be from that of the same picture in another call: a small share of the largest value, and a
    /// quarter of the least difference, so that no row is taken for that of another picture.
    fn tolerance(&self) -> f32 {
        let quarter = self.least.map_or(f32::INFINITY, |least| least / 4.0);
        quarter.min(TOLERANCE * self.largest)
    }
}

/// The largest difference of two rows' values; infinite if their lengths differ.
fn difference(row: &[f32], other: &[f32]) -> f32 {
    if row.len() != other.len() {
        return f32::INFINITY;
    }
    let values = row.iter().zip(other).map(|(&a, &b)| apart(a, b));
    values.fold(0.0, f32::max)
}

/// The difference of two values; infinite if one of them is undefined.
fn apart(a: f32, b: f32) -> f32 {
    let difference = (a - b).abs();
    match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if difference.is_nan() => f32::INFINITY,
        false => difference,
    }
}

/// An error if a picture's row is not, within the tolerance, what it was in another call.
fn same(row: &[f32], expected: &[f32], tolerance: f32) -> Result<(), String> {
    if row.len() != expected.len() {
        let (now, before) = (row.len(), expected.len());
        return Err(format!(
            "a picture has {now} values in one call and {before} in another"
        ));
    }
    let mut values = row.iter().zip(expected);
    match values.find(|&(&a, &b)| apart(a, b) > tolerance) {
        None => Ok(()),
        Some((a, b)) => Err(format!(
            "a picture's values change with its place and the other pictures of a call ({b} to {a})"
        )),
    }
}
