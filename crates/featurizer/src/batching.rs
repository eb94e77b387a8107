//! Which part of an output belongs to which picture: found on loading, from the declared shapes and by a trial.
//!
//! The trial computes two different pictures, each alone and both in one call. Pictures are served in batches only if
//! the first dimension of every output is the number of pictures and a picture's row does not change with its place and
//! its neighbours. Nothing is ever split by the number of its values.

use crate::{
    Network,
    engine::{Engine, EngineOutput},
    network::Port,
    pictures::Reader,
};

/// Largest difference of a value between two calls, as a share of the largest value of the two pictures. Another number
/// of pictures may take another kernel, which rounds differently: by about 1e-6 in float32, 1e-3 in a float16 network.
const TOLERANCE: f32 = 1e-2;

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

/// Finds out how to serve the network, whose chosen output is declared as `output`. Costs three calls of the engine, of
/// one, one and two pictures, or of the network's fixed batch.
///
/// # Errors
/// Why the network cannot be served, in words.
pub(crate) fn find(
    engine: &mut dyn Engine,
    network: &Network,
    output: &Port,
) -> Result<Finding, String> {
    let mut trial = Trial {
        pictures: [0, 1].map(|number| picture(network, number)),
        engine,
        network,
    };
    let alone = [trial.alone(0)?, trial.alone(1)?];
    if alone.iter().all(|output| output.values.is_empty()) {
        let shape = &alone[0].shape;
        return Err(format!(
            "its output for two pictures of noise is empty: its shape is {shape:?}; check --mean and --std"
        ));
    }
    let by_picture = match network.batch {
        Some(1) => return Ok(served(Batching::Single, None)),
        _ => declared(network, output).and_then(|()| trial.compare(&alone)),
    };
    match (by_picture, network.batch) {
        (Ok(()), None) => Ok(served(Batching::Any, None)),
        (Ok(()), Some(fixed)) => Ok(served(Batching::Fixed(fixed), None)),
        (Err(why), None) => Ok(served(Batching::Single, Some(why))),
        (Err(why), Some(fixed)) => Err(format!(
            "it takes {fixed} pictures a call, but its output is not one row for each: {why}; \
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

/// Two pictures and the engine that computes them.
struct Trial<'a> {
    engine: &'a mut dyn Engine,
    network: &'a Network,
    pictures: [Vec<f32>; 2],
}

impl Trial<'_> {
    /// The output for picture `number`: in a call of its own, or in every place of a fixed batch.
    fn alone(&mut self, number: usize) -> Result<EngineOutput, String> {
        let pictures = self.network.batch.unwrap_or(1);
        let output = self.run(&vec![number; pictures]);
        output.map_err(|error| match pictures {
            1 => format!("it fails on one picture: {error}"),
            _ => format!("it fails on {pictures} pictures: {error}"),
        })
    }

    /// An error if the outputs of the pictures alone, or of both in turn in one call, are not rows of their own.
    fn compare(&mut self, alone: &[EngineOutput; 2]) -> Result<(), String> {
        let values = alone.iter().flat_map(|output| &output.values);
        let finite = values.filter(|value| value.is_finite());
        let tolerance = TOLERANCE * finite.fold(0.0_f32, |most, value| most.max(value.abs()));
        let mut expected: [&[f32]; 2] = [&[]; 2];
        for (expected, output) in expected.iter_mut().zip(alone) {
            let mut rows = output.rows(self.network.batch.unwrap_or(1))?;
            *expected = rows.next().unwrap_or_default();
            rows.try_for_each(|row| same(row, expected, tolerance))?;
        }
        let order: Vec<_> = (0..self.network.batch.unwrap_or(2))
            .map(|i| i % 2)
            .collect();
        let together = self.run(&order);
        let together = together.map_err(|error| format!("it fails on two pictures: {error}"))?;
        let mut rows = order.iter().zip(together.rows(order.len())?);
        rows.try_for_each(|(&number, row)| same(row, expected[number], tolerance))
    }

    /// Computes these pictures in one call.
    fn run(&mut self, order: &[usize]) -> Result<EngineOutput, String> {
        let pictures = order.iter().map(|&number| self.pictures[number].as_slice());
        let tensor = pictures.collect::<Vec<_>>().concat();
        let output = self.engine.run(self.network, &tensor);
        output.map_err(|error| error.split_whitespace().collect::<Vec<_>>().join(" "))
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
    let differ = |(a, b): &(&f32, &f32)| {
        let undefined = a.is_nan() && b.is_nan();
        let alike = undefined || a == b || (*a - *b).abs() <= tolerance;
        !alike
    };
    match row.iter().zip(expected).find(differ) {
        None => Ok(()),
        Some((a, b)) => Err(format!(
            "a picture's values change with its place and the other pictures of a call ({b} to {a})"
        )),
    }
}

/// A trial picture as the network takes it, always the same: number 0 is noise in every pixel, number 1 is dark and has
/// blocks of 8 x 8 pixels, so that a network that tells any two pictures apart has different outputs for them.
fn picture(network: &Network, number: usize) -> Vec<f32> {
    let (side, most) = [(1, [256; 3]), (8, [160, 96, 32])][number];
    let value = |y: usize, x: usize, channel: usize| {
        let place = (y / side * network.width + x / side) * 3 + channel;
        // The top bits of a product with the golden ratio, after a round of mixing: noise enough.
        let mixed = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40;
        (noise % most[channel]) as f32
    };
    let mut pixels = Vec::with_capacity(network.values() * 4);
    for y in 0..network.height {
        for x in 0..network.width {
            pixels.extend([0, 1, 2].map(|channel| value(y, x, channel).to_le_bytes()));
        }
    }
    let mut row = vec![0.0; network.values()];
    Reader::new(network)
        .floats(pixels.as_flattened(), &mut row)
        .expect("the pixels are as many as the network takes");
    row
}
