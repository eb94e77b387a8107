//! Shared code of the models' benches: a prediction compared with its baseline.
//!
//! The bare programs of the frontend's bench are in `src/bin`.

use std::{
    cell::RefCell,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use comfy_table::{CellAlignment, Table, presets};
use criterion::{BenchmarkId, Criterion, Throughput};
use featurizer::{Architecture, EngineKind, Featurizer, Settings};
use loadgen::stats::interval::median;
use model::{Batch, DataType, Model};
use rand::{RngExt, SeedableRng};

/// Returns the path of an artifact in the workspace's `artifacts` folder.
pub fn artifact(file: &str) -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.with_file_name("artifacts").join(file)
}

/// Returns the numbers of threads to measure: one, and all CPUs that are allowed.
pub fn threads() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    if all == 1 { vec![1] } else { vec![1, all] }
}

/// A bench of one model. Criterion measures the predictions; the final table compares each with its
/// baseline.
pub struct Bench {
    criterion: Criterion,
    name: &'static str,
    table: Table,
}

impl Bench {
    /// Creates the bench of a model; `baseline` is the heading of the baseline's times. The
    /// allocator keeps freed memory as in a model server.
    pub fn new(name: &'static str, baseline: &str) -> Bench {
        transport::keep_freed_memory();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let ratio = format!("predict / {baseline}");
        table.set_header([name, "batch", baseline, "predict", &ratio, "inputs/s"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Bench {
            criterion: Criterion::default()
                .sample_size(10)
                .warm_up_time(Duration::from_millis(500))
                .measurement_time(Duration::from_secs(5))
                .configure_from_args(),
            name,
            table,
        }
    }

    /// Measures `predict` and `baseline` with batches of `size`, in turns, so that disturbances of
    /// the machine affect both.
    pub fn row(
        &mut self,
        label: &str,
        size: usize,
        mut baseline: impl FnMut(),
        mut predict: impl FnMut(),
    ) {
        // The second call of a pair profits from warm caches, so the order alternates.
        let mut pair = |turn: usize| {
            if turn.is_multiple_of(2) {
                let first = time(&mut baseline);
                [first, time(&mut predict)]
            } else {
                let first = time(&mut predict);
                [time(&mut baseline), first]
            }
        };
        let mut pairs: Vec<[Duration; 2]> = Vec::new();
        let mut group = self.criterion.benchmark_group(self.name);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new(label, size), |bencher| {
            if pairs.is_empty() {
                pair(0); // warm-up: allocates memory and starts threads
            }
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    pairs.push(pair(pairs.len()));
                    total += pairs[pairs.len() - 1][1];
                }
                total
            });
        });
        group.finish();
        if pairs.is_empty() {
            return; // the command line selects other rows
        }
        while pairs.len() < 3 {
            pairs.push(pair(pairs.len()));
        }
        let median_of = |value: &dyn Fn(&[Duration; 2]) -> f64| {
            let values: Vec<f64> = pairs.iter().map(value).collect();
            median(&values).expect("at least three pairs were timed")
        };
        let seconds = |side: usize| median_of(&|pair| pair[side].as_secs_f64());
        let ratio = median_of(&|[a, b]| b.as_secs_f64() / a.as_secs_f64());
        self.table.add_row([
            label.to_owned(),
            size.to_string(),
            format!("{:.3} ms", 1e3 * seconds(0)),
            format!("{:.3} ms", 1e3 * seconds(1)),
            format!("{ratio:.3}"),
            format!("{:.0}", size as f64 / seconds(1)),
        ]);
    }

    /// Prints the table.
    pub fn finish(self) {
        self.criterion.final_summary();
        println!(
            "\nMedians; prediction and baseline run in turns:\n{}",
            self.table
        );
    }
}

/// Compares a featurizer on every engine of the build with the engine alone on a prepared tensor.
///
/// # Panics
/// If the model fails.
///
/// # Errors
/// If the artifact is missing or cannot be loaded.
pub fn bench_featurizer(architecture: &Architecture) -> Result<(), featurizer::Error> {
    let file = artifact(&format!("{}.onnx", architecture.name));
    let mut bench = Bench::new(architecture.name, "engine alone");
    for engine in EngineKind::in_this_build() {
        for threads in threads() {
            let mut settings = Settings {
                threads,
                ..Settings::default()
            };
            settings.flags.engine = engine;
            let model = Featurizer::load(architecture, &file, settings)?;
            let label = format!("{engine:?}, {threads} threads").to_lowercase();
            let model = RefCell::new(model);
            let values = 3 * architecture.side * architecture.side;
            let mut row = |count| {
                let inputs = floats(count, values, 255.0);
                featurizer_row(
                    &mut bench,
                    &label,
                    &model,
                    (DataType::Floats, &inputs),
                    values,
                );
            };
            row(1);
            if threads > 1 {
                // On one thread these take too long, and add no information.
                row(8);
                row(32);
            }
        }
    }
    bench_pictures(architecture, &mut bench)?;
    bench.finish();
    Ok(())
}

/// Adds a row whose inputs are JPEG files, which the model decodes and resizes.
fn bench_pictures(architecture: &Architecture, bench: &mut Bench) -> Result<(), featurizer::Error> {
    let threads = threads().pop().expect("at least one number of threads");
    let settings = Settings {
        threads,
        data_type: DataType::Strings,
        ..Settings::default()
    };
    let file = artifact(&format!("{}.onnx", architecture.name));
    let model = RefCell::new(Featurizer::load(architecture, &file, settings)?);
    let inputs: Vec<Vec<u8>> = photographs(8);
    let values = 3 * architecture.side * architecture.side;
    let label = format!("ort, {threads} threads, JPEG files");
    featurizer_row(bench, &label, &model, (DataType::Strings, &inputs), values);
    Ok(())
}

/// Adds a row that compares predictions of one batch with the engine alone on a tensor of the same
/// number of pictures, `values` numbers each.
fn featurizer_row(
    bench: &mut Bench,
    label: &str,
    model: &RefCell<Featurizer>,
    (data_type, inputs): (DataType, &[Vec<u8>]),
    values: usize,
) {
    let tensor = floats_of(&floats(inputs.len(), values, 1.0));
    bench.row(
        label,
        inputs.len(),
        || {
            let mut model = model.borrow_mut();
            let (engine, network) = model.engine();
            std::hint::black_box(engine.run(network, &tensor).expect("the engine runs"));
        },
        || predict_as(data_type, &mut *model.borrow_mut(), inputs),
    );
}

/// Returns `count` inputs: the JPEG photographs of `make setup` in rotation, as base64.
fn photographs(count: usize) -> Vec<Vec<u8>> {
    let folder = artifact("../.deps/python/skimage/data");
    let files = ["rocket.jpg", "retina.jpg", "hubble_deep_field.jpg"].map(|file| {
        let file = folder.join(file);
        let bytes = std::fs::read(&file);
        let bytes = bytes.unwrap_or_else(|error| {
            panic!("cannot read {}: {error}; run `make setup`", file.display())
        });
        STANDARD.encode(bytes).into_bytes()
    });
    files.into_iter().cycle().take(count).collect()
}

/// Returns `count` inputs of `length` seeded random floats from 0 to `scale`, as bytes of the wire.
pub fn floats(count: usize, length: usize, scale: f32) -> Vec<Vec<u8>> {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::from_seed([7; 32]);
    let mut input = || {
        let values = (0..length).map(|_| random.random::<f32>() * scale);
        values.flat_map(f32::to_le_bytes).collect()
    };
    (0..count).map(|_| input()).collect()
}

/// Returns the floats of all inputs, concatenated.
pub fn floats_of(inputs: &[Vec<u8>]) -> Vec<f32> {
    let bytes = inputs.iter().flat_map(|input| input.as_chunks::<4>().0);
    bytes.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// Predicts one batch of floats, from the bytes of the inputs to the bytes of the outputs.
///
/// # Panics
/// If the model fails.
pub fn predict(model: &mut impl Model, inputs: &[Vec<u8>]) {
    predict_as(DataType::Floats, model, inputs);
}

fn predict_as(data_type: DataType, model: &mut impl Model, inputs: &[Vec<u8>]) {
    let batch = Batch {
        data_type,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    let predictions = model.predict(&batch).expect("the model predicts");
    let mut bytes = Vec::new();
    for prediction in predictions {
        prediction.expect("no input fails").write_to(&mut bytes);
    }
    std::hint::black_box(bytes);
}

fn time(call: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}
