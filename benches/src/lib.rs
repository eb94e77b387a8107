//! What the models' benches share: a prediction beside its baseline. The bare loop that the frontend's bench compares with
//! is in `src/bin/bare.rs`.

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

/// The artifact of this name, in the workspace's `artifacts` folder.
pub fn artifact(file: &str) -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.with_file_name("artifacts").join(file)
}

/// Numbers of threads to measure: one, and the CPUs that the bench may use.
pub fn threads() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    if all == 1 { vec![1] } else { vec![1, all] }
}

/// A bench of one model. Criterion measures the predictions; a table at the end holds each against its baseline.
pub struct Bench {
    criterion: Criterion,
    name: &'static str,
    table: Table,
}

impl Bench {
    /// For the model of this name; `baseline` says what predictions are held against. Memory is kept as in a model server.
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

    /// Measures `predict` with batches of `size`, and in turn with it `baseline`: so whatever else the machine does
    /// meets both.
    pub fn row(
        &mut self,
        label: &str,
        size: usize,
        mut baseline: impl FnMut(),
        mut predict: impl FnMut(),
    ) {
        // Whoever is second finds the caches warm: each is, every other time.
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
                pair(0); // memory is taken, threads are started
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
            return; // another row was asked for on the command line
        }
        while pairs.len() < 3 {
            pairs.push(pair(pairs.len()));
        }
        let median_of = |of: &dyn Fn(&[Duration; 2]) -> f64| {
            let values: Vec<f64> = pairs.iter().map(of).collect();
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
        println!("\nMedians, measured in turn:\n{}", self.table);
    }
}

/// Measures a featurizer on every engine of the build against the engine alone with a ready tensor.
///
/// # Panics
/// If the model fails: there is nothing to measure then.
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
                // On one thread these take longer than anybody waits, and tell nothing new.
                row(8);
                row(32);
            }
        }
    }
    bench_pictures(architecture, &mut bench)?;
    bench.finish();
    Ok(())
}

/// A row whose inputs are JPEG files of photographs, which the model server decodes and resizes.
fn bench_pictures(architecture: &Architecture, bench: &mut Bench) -> Result<(), featurizer::Error> {
    let threads = threads().pop().expect("there is one");
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

/// Predictions of one batch, beside the engine alone with a tensor of as many pictures of `values` numbers.
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
            std::hint::black_box(engine.run(network, &tensor).expect("it computes"));
        },
        || predict_as(data_type, &mut *model.borrow_mut(), inputs),
    );
}

/// `count` inputs: the JPEG photographs that `make setup` fetched, in turn, each as base64.
fn photographs(count: usize) -> Vec<Vec<u8>> {
    let folder = artifact("../.deps/python/skimage/data");
    let files = ["rocket.jpg", "retina.jpg", "hubble_deep_field.jpg"].map(|file| {
        let file = folder.join(file);
        let bytes = std::fs::read(&file);
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}: make setup", file.display()));
        STANDARD.encode(bytes).into_bytes()
    });
    files.into_iter().cycle().take(count).collect()
}

/// Inputs of `length` seeded random floats from 0 to `scale`, as they come over the wire.
pub fn floats(count: usize, length: usize, scale: f32) -> Vec<Vec<u8>> {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::from_seed([7; 32]);
    let mut input = || {
        let values = (0..length).map(|_| random.random::<f32>() * scale);
        values.flat_map(f32::to_le_bytes).collect()
    };
    (0..count).map(|_| input()).collect()
}

/// The floats of inputs, one input after the other.
pub fn floats_of(inputs: &[Vec<u8>]) -> Vec<f32> {
    let bytes = inputs.iter().flat_map(|input| input.as_chunks::<4>().0);
    bytes.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// One batch of floats, from the bytes of the inputs to the bytes of the answers.
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
    let began = Instant::now();
    call();
    began.elapsed()
}
